//! Sidestep's query path measured against its peers and against bare loops, in one run.
//!
//! ```text
//! run ─→ subject (a server on one core: sidestep, a peer, a limit) ─→ process: its CPU time, its memory
//!     └→ load (questions from the other core, every answer checked) ─→ report ─→ JSON, SVG, table
//! ```

use clap::{Parser, Subcommand};

mod latency;
mod limit;
mod load;
mod names;
mod sys;
mod upstream;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A bare loop to compare with.
    #[command(subcommand)]
    Limit(limit::Limit),
    /// A fake upstream.
    Upstream(upstream::Upstream),
    /// Questions by hand.
    Load(load::Load),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Limit(limit) => limit.run()?,
        Command::Upstream(upstream) => upstream.run()?,
        Command::Load(load) => load.run()?,
    }
    Ok(())
}
