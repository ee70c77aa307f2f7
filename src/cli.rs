//! The command line: the only place that prints.
//!
//! Exit codes: 0 good, 1 failed or bad configuration, 2 wrong usage.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sidestep::config::{DEFAULT_FILE, LoadOptions};

mod check;

const EXIT_CODES: &str = "\
Exit codes:
  0  good
  1  failed, or the configuration is bad
  2  wrong usage";

/// An anycast DNS node: caching forwarder, health checker and BGP speaker in one process.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a configuration and tells all that is wrong with it.
    #[command(after_help = EXIT_CODES)]
    Check(check::Arguments),
}

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Check(arguments) => check::run(arguments),
    }
}

/// What this process and this host know for [`sidestep::config::load`].
fn load_options(file: Option<PathBuf>) -> LoadOptions {
    // A host without a readable name has to have `node.name`, and is told so.
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let environment = std::env::vars_os().map(|(name, value)| {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    LoadOptions {
        file,
        default_file: DEFAULT_FILE.into(),
        environment: environment.collect(),
        host_name: host_name.trim().to_owned(),
        processors: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}
