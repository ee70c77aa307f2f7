//! `sidestep run`: the node in the foreground.
#![expect(
    clippy::print_stderr,
    reason = "why a node does not start is told before there is a log"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::telemetry::Format;
use crate::{config, node};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file, which must exist [default: /etc/sidestep/sidestep.toml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How logs are written to standard error.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// A level, or a filter such as "info,sidestep::bgp=debug".
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Runs a node with this configuration until it is told to stop, for programs that bring their own
/// arguments.
#[must_use]
pub fn node(config: &Path) -> ExitCode {
    run(Arguments {
        config: Some(config.to_owned()),
        log_format: LogFormat::Text,
        log_level: "info".to_owned(),
    })
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let config = match config::load(&super::load_options(arguments.config)) {
        Ok(config) => config,
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                eprintln!("{diagnostic}");
            }
            return ExitCode::FAILURE;
        }
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let format = match arguments.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    match node::run(config, format, &arguments.log_level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.into());
            ExitCode::FAILURE
        }
    }
}

/// Tells an error with its causes.
pub(super) fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
