//! The `sidestep` command: arguments → `cli`.

use std::process::ExitCode;

use clap::Parser;
use sidestep::cli;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
