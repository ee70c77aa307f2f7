//! `fake-upstream`: a script on a port.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use fake_upstream::script::Script;
use fake_upstream::serve::Server;

/// A DNS server that does what a script says; see the crate's documentation for its language
///
/// A line on standard input names the script of the file to follow from then on; the end of the
/// input ends it.
#[derive(Parser)]
struct Arguments {
    /// For UDP and TCP
    #[arg(long)]
    listen: SocketAddr,
    /// A file of scripts; it begins with the first of them
    #[arg(long)]
    script: PathBuf,
    /// The same seed does the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = fs::read_to_string(&arguments.script)
        .with_context(|| arguments.script.display().to_string())?;
    let scripts =
        Script::parse_all(&text).with_context(|| arguments.script.display().to_string())?;
    let (_, first) = scripts.first().context("there is no script in the file")?;
    let server = Server::start(arguments.listen, first.clone(), arguments.seed)?;
    let by_name: HashMap<_, _> = scripts.iter().cloned().collect();
    for line in io::stdin().lock().lines() {
        let name = line?;
        let script = by_name.get(name.trim());
        server.follow(
            script
                .with_context(|| format!("no script {name:?}"))?
                .clone(),
        );
    }
    Ok(())
}
