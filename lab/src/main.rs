//! The lab's own program: starts `anycast.clab.yml` in network namespaces, breaks it, measures.
//!
//! ```text
//! topology ─→ runner (namespaces, FRR, nsd, sidestep) ─→ drill: ready → fault → repair
//!                                                          ├ client    good, lost, gap
//!                                                          └ sentinel  was the machine itself still?
//! budget ←─ results ←──────────────────────────────────────┘
//! ```
//!
//! A drill is repeated; the median of its gaps has to keep its budget and the worst of them one and a
//! half times that, while what may not be lost may not be lost in any repetition: see `budget`.
//!
//! | crate | why |
//! |---|---|
//! | `anyhow` | errors of a program that only prints them |
//! | `clap` | command line |
//! | `nix` | namespaces, mounts and signals without unsafe code |
//! | `rand` | query ids, the garbage of its drill |
//! | `serde` | topology and results as types |
//! | `serde-saphyr` | the topology's YAML |
//! | `serde_json` | results, and what vtysh and `/status` say |
//! | `signal-hook` | Ctrl-C ends the lab in good order |
//! | `socket2` | packet sockets without unsafe code |

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

mod budget;
mod client;
mod clients;
mod drill;
mod frr;
mod http;
mod loss;
mod message;
mod namespace;
mod packets;
mod place;
mod report;
mod results;
mod routers;
mod routes;
mod runner;
mod sentinel;
mod setting;
mod siblings;
mod stop;
mod topology;

use runner::{Lab, Paths};

/// Sidestep's lab: real routers and name servers in network namespaces, and what happens to
/// queries when something in it breaks. Needs root.
#[derive(Parser)]
struct Arguments {
    /// The binary that nodes run; by default target/release/sidestep.
    #[arg(long, global = true, value_name = "FILE")]
    sidestep: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the lab and leave it running.
    Up,
    /// End the lab, and whatever an earlier run left behind.
    Down,
    /// Run a command in a node, for example `lab exec core -- vtysh -c 'show bgp summary'`.
    Exec {
        /// A node of the topology.
        node: String,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Start the lab afresh, run drills (all of them unless named), end it.
    Drill {
        /// Drills by their short names, as the report shows them.
        names: Vec<String>,
        /// How often each is repeated.
        #[arg(long, default_value_t = budget::REPETITIONS, value_parser = clap::value_parser!(u32).range(1..))]
        repetitions: u32,
    },
    /// Have every resolver that Debian packages ask a node, in namespaces of their own.
    Clients,
    /// Take the upstreams of three sites away that are siblings, and count what they ask each other;
    /// exit code 1 when that or what clients see is over budget.
    Siblings,
    /// Take a node's sessions with FRR, BIRD and GoBGP through what operators do to them; exit code 1
    /// unless all of it came out as it should.
    Routers {
        /// Parts by their names, as the report shows them; all of them unless named.
        parts: Vec<String>,
    },
    /// Start a node with BFD against FRR and BIRD again and again, and then flood it; exit code 1 when
    /// any session is torn down.
    Bfd {
        /// How often the node is started.
        #[arg(long, default_value_t = 20)]
        starts: u32,
        /// How long it is flooded, in seconds.
        #[arg(long, default_value_t = 30)]
        load_s: u64,
    },
    /// Print what the drills measured against the budget; exit code 1 unless all of it holds.
    Report,
    /// Hold the namespaces of one node; for the runner's own use.
    #[command(hide = true)]
    Hold {
        /// A node of the topology.
        node: String,
        /// The file of the topology.
        #[arg(long)]
        topology: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            report::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let paths = Paths::new(arguments.sidestep);
    match arguments.command {
        Command::Up => {
            stop::watch()?;
            let mut lab = Lab::up(paths)?;
            drill::wait_until_ready(&mut lab)?;
            lab.leave_running();
            report::say("the lab is up; end it with `cargo lab down`");
        }
        Command::Down => Lab::down(&paths)?,
        Command::Exec { node, command } => return Lab::exec(&paths, &node, &command),
        Command::Drill { names, repetitions } => {
            stop::watch()?;
            if !drill::run(paths, &names, repetitions)? {
                bail!("not every drill could be measured; see the report");
            }
        }
        Command::Report => return report::print(&paths),
        Command::Clients => {
            stop::watch()?;
            if !clients::run(paths.with_topology(Path::new("clients.clab.yml")))? {
                bail!("not every client got what there is");
            }
        }
        Command::Siblings => {
            stop::watch()?;
            if !siblings::run(paths.with_topology(Path::new("siblings.clab.yml")))? {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Routers { parts } => {
            stop::watch()?;
            if !routers::run(paths, &parts)? {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Bfd { starts, load_s } => {
            stop::watch()?;
            if !routers::run_bfd(paths, starts, Duration::from_secs(load_s))? {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Hold { node, topology } => {
            namespace::hold(&paths.with_topology(&topology), &node)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
