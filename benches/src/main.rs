//! Sidestep's query path measured against its peers and against bare loops, in one run.
//!
//! ```text
//! run ─→ subject (a server on one core: sidestep, a peer, a limit) ─→ process: its CPU time, its memory
//!     └→ load (questions from the other core, every answer checked) ─→ report ─→ JSON, SVG, table
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::Validity;

mod chart;
mod latency;
mod limit;
mod load;
mod lookups;
mod names;
mod process;
mod report;
mod run;
mod scenario;
mod soak;
mod subject;
mod sys;
mod trouble;
mod upstream;

/// Sidestep's query path against its peers and against bare loops
#[derive(Parser)]
#[command(
    after_help = "Exit codes:\n  0  measured\n  1  failed, or an answer was wrong\n  \
                        2  wrong usage\n  3  measured, but the run is invalid"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures; prints tables, writes results.json and chart.svg
    Run {
        /// A look in between, in under two minutes
        #[arg(long)]
        quick: bool,
        /// Sidestep and peers that take part [default: all]
        #[arg(long, value_name = "SUBJECT,…", value_delimiter = ',')]
        only: Vec<String>,
        /// What is measured [default: all]
        #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
        scenario: Vec<String>,
        /// Where the files go
        #[arg(long, value_name = "DIR", default_value = "target/bench")]
        out: PathBuf,
    },
    /// Prints the tables of an earlier run and draws its chart again
    Report {
        /// Its results.json
        file: PathBuf,
    },
    /// A bare loop to compare with
    #[command(subcommand)]
    Limit(limit::Limit),
    /// A fake upstream
    Upstream(upstream::Upstream),
    /// Questions by hand
    Load(load::Load),
    /// The cache alone: two threads against one, memory, inserts
    Lookups(lookups::Lookups),
    /// Full load with a checker, for a long time
    Soak(soak::Soak),
    /// What clients see while upstreams are ill, beside the peers
    Trouble(trouble::Trouble),
}

fn main() -> Result<ExitCode> {
    let validity = match Arguments::parse().command {
        Command::Run {
            quick,
            only,
            scenario,
            out,
        } => {
            let order = run::Order {
                quick,
                only,
                scenarios: scenario,
            };
            let results = run::run(&order)?;
            report::write(&results, &out)?;
            report::print(&results)
        }
        Command::Report { file } => {
            let results = report::read(&file)?;
            let folder = file.parent().map(PathBuf::from).unwrap_or_default();
            report::write(&results, &folder)?;
            report::print(&results)
        }
        Command::Limit(limit) => {
            limit.run()?;
            Validity::Unchecked
        }
        Command::Upstream(upstream) => {
            upstream.run()?;
            Validity::Unchecked
        }
        Command::Lookups(lookups) => {
            lookups.run()?;
            Validity::Unchecked
        }
        Command::Soak(soak) => {
            soak.run()?;
            Validity::Unchecked
        }
        Command::Trouble(trouble) => {
            trouble.run()?;
            Validity::Unchecked
        }
        Command::Load(load) => {
            load.run()?;
            Validity::Unchecked
        }
    };
    Ok(match validity {
        Validity::Valid | Validity::Unchecked => ExitCode::SUCCESS,
        Validity::Invalid(_) => ExitCode::from(3),
    })
}
