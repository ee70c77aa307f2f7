//! Sidestep's query path measured against its peers and against bare loops, in one run.
//!
//! ```text
//! run ─→ subject (a server on one core: sidestep, a peer, a limit) ─→ process: its CPU time, its memory
//!     └→ load (questions from the other core, every answer checked) ─→ report ─→ JSON, SVG, table
//! ```
#![allow(dead_code, reason = "the parts come one after the other")]

use std::process::ExitCode;

mod latency;
mod load;
mod names;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
