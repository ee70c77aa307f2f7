//! A node with FRR, BIRD and GoBGP: what operators do to sessions, and what each router makes of it.
//!
//! ```text
//! setup (files with changes) ─→ bench (starts them) ─→ checks ─→ table
//!                                 ├ view     what the routers say
//!                                 └ capture  what crossed the wire
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::report::say;
use crate::runner::{Lab, Paths};

mod bench;
mod bfd;
mod capture;
mod checks;
mod kind;
mod message;
mod setup;
mod table;
mod view;

use bench::{Bench, NODE};

/// Of all parts the one whose topology this is.
const TOPOLOGY: &str = "routers.clab.yml";

/// The `routers` command: whether everything is as it should be.
pub(crate) fn run(paths: Paths, parts: &[String]) -> Result<bool> {
    let lab = Lab::up(paths.with_topology(Path::new(TOPOLOGY)))?;
    let mut bench = Bench::new(lab, &setup::PLAIN, &[NODE])?;
    checks::run(&mut bench, parts)?;
    report(bench, "routers.md")
}

/// The `bfd` command: whether no session was ever torn down.
pub(crate) fn run_bfd(paths: Paths, starts: u32, load: Duration) -> Result<bool> {
    let lab = Lab::up(paths.with_topology(Path::new(TOPOLOGY)))?;
    // Not at the node: under load a listener there would have to look at every query.
    let mut bench = Bench::new(lab, &setup::BFD, &["frr", "bird"])?;
    bfd::run(&mut bench, starts, load)?;
    report(bench, "bfd.md")
}

fn report(bench: Bench, file: &str) -> Result<bool> {
    let (lab, table) = bench.finish()?;
    let text = table.text();
    fs::write(lab.paths.state.join(file), &text)?;
    say("");
    say(&text);
    Ok(table.holds())
}
