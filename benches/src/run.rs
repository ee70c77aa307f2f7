//! One run: who is here, what is asked of them, in turns.
//!
//! The server has a core, generator and fake upstream have the other. Every server of a scenario
//! stays up through it; those whose turn it is not are stopped (SIGSTOP), because even an idle
//! server has timers, and they would run on the core of the one that is measured.
#![expect(
    clippy::disallowed_methods,
    reason = "says how long it has been running"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::lookups::Lookups;
use crate::process::{Launch, Process, free_port, over_udp};
use crate::report::{Machine, Results, say};
use crate::scenario::{SCENARIOS, Scale, Scenario};
use crate::subject::{Role, SUBJECTS, Subject};

use fleet::Fleet;

mod dead;
mod fill;
mod fleet;
pub(crate) mod metrics;
mod rounds;
mod start;

/// Where servers run.
const SERVER_CORE: usize = 1;
/// Where the generator and the fake upstream run.
const LOAD_CORE: usize = 0;

/// What to measure.
pub(crate) struct Order {
    pub(crate) quick: bool,
    /// Subjects; empty: all. Limits take part wherever they are needed.
    pub(crate) only: Vec<String>,
    /// Scenarios; empty: all.
    pub(crate) scenarios: Vec<String>,
}

/// A run under way.
struct Bench {
    scale: Scale,
    /// Sidestep and its peers, those that are here and wanted.
    subjects: Vec<&'static Subject>,
    fleet: Fleet,
    upstream: Upstream,
    results: Results,
    began: Instant,
}

/// The fake upstream.
struct Upstream {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

/// Measures all that is ordered.
///
/// # Errors
/// For unknown names, when a server does not start or ends, and for any wrong answer.
pub(crate) fn run(order: &Order) -> Result<Results> {
    let scenarios = chosen_scenarios(&order.scenarios)?;
    let (subjects, missing) = chosen_subjects(&order.only)?;
    let mut results = Results {
        machine: machine(order.quick)?,
        missing,
        ..Results::default()
    };
    for subject in &subjects {
        let version = subject.version().unwrap_or_default();
        results.versions.insert(subject.name.to_owned(), version);
    }
    let mut bench = Bench {
        scale: if order.quick {
            Scale::QUICK
        } else {
            Scale::WHOLE
        },
        subjects,
        fleet: Fleet::default(),
        upstream: Upstream::start()?,
        results,
        began: Instant::now(),
    };
    for scenario in scenarios {
        bench.measure(scenario)?;
    }
    Ok(bench.results)
}

impl Bench {
    fn measure(&mut self, scenario: Scenario) -> Result<()> {
        say(&format!(
            "== {} ({:.0} s)",
            scenario.name(),
            self.began.elapsed().as_secs_f32()
        ));
        match scenario {
            Scenario::Load(load) => rounds::measure(self, load),
            Scenario::Memory => fill::memory(self),
            Scenario::Resident => fill::resident(self),
            Scenario::DeadUpstreams => dead::measure(self),
            Scenario::Start => start::measure(self),
            Scenario::Lookups => {
                let figures = Lookups::apart()?;
                say(&format!(
                    "a look-up takes {:.0} ns, beside a second thread {:.0} ns",
                    figures.hit_ns, figures.hit_two_threads_ns
                ));
                self.results.lookups = figures.two_to_one_rounds;
                Ok(())
            }
        }
    }

    /// Sidestep, where it takes part.
    fn product(&self) -> Option<&'static Subject> {
        let mut subjects = self.subjects.iter();
        subjects
            .find(|subject| subject.role == Role::Product)
            .copied()
    }
}

impl Upstream {
    fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("bench-upstream-")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let arguments = ["upstream", "--listen", &address.to_string()];
        let mut process = Process::start(Launch {
            program: std::env::current_exe()?,
            arguments: arguments.map(str::to_owned).into(),
            folder: folder.path().to_owned(),
            cores: LOAD_CORE.to_string(),
        })?;
        process.answers(address, over_udp)?;
        Ok(Self {
            process,
            address,
            _folder: folder,
        })
    }

    /// From now on it reads nothing and answers nothing.
    fn silence(&mut self) -> Result<()> {
        self.process.rest()
    }

    /// It answers again.
    fn speak(&mut self) -> Result<()> {
        self.process.wake()
    }
}

fn chosen_scenarios(names: &[String]) -> Result<Vec<Scenario>> {
    let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name()).collect();
    for name in names {
        ensure!(
            known.contains(&name.as_str()),
            "no scenario is called {name}; there are {}",
            known.join(", ")
        );
    }
    let chosen =
        |scenario: &Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name());
    Ok(SCENARIOS.into_iter().filter(chosen).collect())
}

/// Those that are here and wanted, and the names of those that are wanted only.
fn chosen_subjects(names: &[String]) -> Result<(Vec<&'static Subject>, Vec<String>)> {
    let known = SUBJECTS
        .iter()
        .filter(|subject| subject.role != Role::Limit);
    let known: Vec<&Subject> = known.collect();
    for name in names {
        ensure!(
            known.iter().any(|subject| subject.name == name),
            "no subject is called {name}; there are {}",
            known.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = known
        .into_iter()
        .filter(|subject| names.is_empty() || names.iter().any(|name| name == subject.name));
    let (here, missing): (Vec<_>, Vec<_>) = wanted.partition(|subject| subject.is_here());
    for subject in &missing {
        let what = match subject.role {
            Role::Peer { package } => format!("install the Debian package {package}"),
            Role::Product | Role::Limit => "build it first".to_owned(),
        };
        say(&format!("{} is not here: {what}", subject.name));
    }
    let missing = missing.into_iter().map(|s| s.name.to_owned()).collect();
    Ok((here, missing))
}

fn machine(quick: bool) -> Result<Machine> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':'));
    let date = Command::new("date").args(["-u", "+%FT%TZ"]).output()?;
    let cores = std::thread::available_parallelism()?.get();
    ensure!(
        cores > SERVER_CORE,
        "two cores are needed: one serves, one asks"
    );
    Ok(Machine {
        date: String::from_utf8_lossy(&date.stdout).trim().to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        processor: model
            .map_or("unknown processor", |(_, model)| model.trim())
            .to_owned(),
        cores,
        quick,
    })
}
