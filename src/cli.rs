//! The command line: the only place that prints.
//!
//! Exit codes: 0 good, 1 failed, no such neighbour or service, bad configuration, 2 wrong usage, 3 node not
//! reachable (only commands that talk to a running node).

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{DEFAULT_FILE, LoadOptions};

mod check;
mod control;
mod drain;
mod explain;
mod layout;
mod neighbors;
pub mod run;
mod status;

const EXIT_CODES: &str = "\
Exit codes:
  0  good
  1  failed, no such neighbor or service, or the configuration is bad
  2  wrong usage
  3  the node cannot be reached (status, explain, neighbors, drain, undrain)";

/// An anycast DNS node: caching forwarder, health checker and BGP speaker in one process.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the node in the foreground until SIGTERM.
    #[command(after_help = EXIT_CODES)]
    Run(run::Arguments),
    /// Checks a configuration and tells all that is wrong with it.
    #[command(after_help = EXIT_CODES)]
    Check(check::Arguments),
    /// Shows what a running node does.
    #[command(after_help = EXIT_CODES)]
    Status(StatusArguments),
    /// Explains why each service is announced as it is, or is not, and what would change that.
    #[command(after_help = EXIT_CODES)]
    Explain(explain::Arguments),
    /// Shows the BGP neighbors of a running node, or all about one of them.
    #[command(after_help = EXIT_CODES)]
    Neighbors(neighbors::Arguments),
    /// Moves the clients of a service, or of all, away, withdraws it and keeps answering.
    ///
    /// Waits until it is withdrawn; ^C leaves the drain going. It outlasts restarts of the node.
    #[command(after_help = EXIT_CODES)]
    Drain(drain::Arguments),
    /// Takes a drain back: that of all services, or that of one.
    #[command(after_help = EXIT_CODES)]
    Undrain(drain::UndrainArguments),
}

#[derive(Debug, clap::Args)]
struct ControlArguments {
    /// The control socket of the node.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/sidestep/sidestep.sock"
    )]
    socket: PathBuf,
}

#[derive(Debug, clap::Args)]
struct StatusArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Does what the arguments say.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Run(arguments) => return run::run(arguments),
        Command::Check(arguments) => return check::run(arguments),
        Command::Status(arguments) => status::status(&arguments.control.socket, arguments.json),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Neighbors(arguments) => neighbors::run(arguments),
        Command::Drain(arguments) => drain::drain(arguments),
        Command::Undrain(arguments) => drain::undrain(arguments),
    };
    result.unwrap_or_else(|error| {
        run::complain(&error);
        ExitCode::FAILURE
    })
}

/// What this process and this host know for [`crate::config::load`].
fn load_options(file: Option<PathBuf>) -> LoadOptions {
    let environment = std::env::vars_os().map(|(name, value)| {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    LoadOptions {
        file,
        default_file: DEFAULT_FILE.into(),
        environment: environment.collect(),
        // A host without a readable name has to have `node.name`, and is told so.
        host_name: crate::os::process::host_name().unwrap_or_default(),
        processors: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}
