//! `sidestep check [FILE]`: reads a configuration exactly as `sidestep run` does.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its result is what it prints"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file [default: /etc/sidestep/sidestep.toml if it exists].
    file: Option<PathBuf>,
}

/// Errors and warnings go to standard error, the summary to standard output.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match config::load(&super::load_options(arguments.file)) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("{warning}");
            }
            println!("{}", summary(&config));
            ExitCode::SUCCESS
        }
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                eprintln!("{diagnostic}");
            }
            ExitCode::FAILURE
        }
    }
}

fn summary(config: &Config) -> String {
    let source = match config.sources.first() {
        Some(file) => file.display().to_string(),
        None => "no file".to_owned(),
    };
    let zones = &config.dns.zones;
    let neighbors = config.bgp.as_ref().map_or(0, |bgp| bgp.neighbors.len());
    format!(
        "{source}: good: {}, {}, {}",
        count(config.services.len(), "service"),
        count(
            zones.iter().map(|zone| zone.upstreams.len()).sum(),
            "upstream"
        ),
        count(neighbors, "neighbor"),
    )
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
