//! Sidestep's query path measured against its peers and against bare loops, in one run.
//!
//! ```text
//! run ─→ subject (a server on one core: sidestep, a peer, a limit) ─→ process: its CPU time, its memory
//!     └→ load (questions from the other core, every answer checked) ─→ report ─→ JSON, SVG, table
//! ```

use clap::{Parser, Subcommand};

mod lookups;
mod names;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The cache alone.
    Lookups(lookups::Lookups),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Lookups(lookups) => lookups.run(),
    }
}
