//! What clients see on the day when upstreams are ill: Sidestep beside its peers, in one run.
//!
//! Each subject forwards to two fake upstreams (`tests/upstream`), of which one falls ill; then both
//! fall silent while another zone's upstream is well; then one client prefix floods. Every figure is
//! what clients measured, or what the upstreams were asked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fake_upstream::script::Script;
use fake_upstream::serve::Server as Fake;
use serde::{Deserialize, Serialize};

use crate::process::free_port;
use crate::subject::{Capacity, FENCED, Server, Subject, TROUBLED};
use crate::sys;

mod asker;
mod course;
mod dead;
mod fair;
mod table;

/// The subject's own; everything else is on the first.
const SUBJECT_CORE: usize = 1;
const OWN_CORE: usize = 0;
/// The first name is what a subject is asked for to see whether it is up.
const AT_FIRST: &str = "h0000000.bench.example. -> answer \"10.0.0.0\"\n* -> echo, delay 5ms..15ms";

/// What clients see while upstreams are ill
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Trouble {
    /// Who takes part [default: all]
    #[arg(long, value_name = "SUBJECT,…", value_delimiter = ',')]
    only: Vec<String>,
    /// What befalls one of two upstreams: silent, servfail, refused, unreachable, loss, slow, none;
    /// `dead`: both fall silent; `fair`: a flood [default: all]
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',')]
    fault: Vec<String>,
    /// How long an upstream is ill, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where trouble.json goes
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Results {
    versions: Vec<(String, String)>,
    courses: Vec<course::Figures>,
    dead: Vec<dead::Figures>,
    fair: Vec<fair::Figures>,
}

impl Trouble {
    /// Plays everything out; prints the tables and writes the file.
    ///
    /// # Errors
    /// When a subject cannot be started or a socket fails.
    pub(crate) fn run(&self) -> Result<()> {
        sys::pin(OWN_CORE)?;
        let mut results = Results::default();
        for subject in &TROUBLED {
            if !self.has(&self.only, subject.name) {
                continue;
            }
            if !subject.is_here() {
                table::say(&format!("{} is not installed: left out", subject.name));
                continue;
            }
            let version = subject.version().unwrap_or_default();
            results.versions.push((subject.name.to_owned(), version));
            self.play(subject, &mut results)
                .with_context(|| subject.name)?;
        }
        table::print(&results);
        fs::create_dir_all(&self.out)?;
        let file = self.out.join("trouble.json");
        fs::write(&file, serde_json::to_vec_pretty(&results)?)
            .with_context(|| file.display().to_string())
    }

    fn has(&self, list: &[String], name: &str) -> bool {
        list.is_empty() || list.iter().any(|one| one == name)
    }

    fn play(&self, subject: &Subject, results: &mut Results) -> Result<()> {
        for fault in course::FAULTS {
            if !self.has(&self.fault, fault.name) {
                continue;
            }
            table::say(&format!("{}: one upstream: {}", subject.name, fault.name));
            let stage = Stage::new(subject)?;
            let ill_for = Duration::from_secs(self.seconds);
            let figures = course::run(&stage.server, &stage.fakes, fault, ill_for)?;
            results.courses.push(course::Figures {
                subject: subject.name.to_owned(),
                fault: fault.name.to_owned(),
                ..figures
            });
        }
        if self.has(&self.fault, "dead") {
            table::say(&format!("{}: both upstreams silent", subject.name));
            let stage = Stage::new(subject)?;
            let figures = dead::run(&stage.server, &stage.fakes, &stage.second)?;
            results.dead.push(dead::Figures {
                subject: subject.name.to_owned(),
                ..figures
            });
        }
        if self.has(&self.fault, "fair") {
            let fenced = (subject.name == FENCED.name).then_some(&FENCED);
            for (subject, name) in [(Some(subject), subject.name), (fenced, "sidestep, refused")] {
                let Some(subject) = subject else { continue };
                table::say(&format!("{name}: a flood"));
                let stage = Stage::new(subject)?;
                let figures = fair::run(&stage.server, &stage.fakes)?;
                results.fair.push(fair::Figures {
                    subject: name.to_owned(),
                    ..figures
                });
            }
        }
        Ok(())
    }
}

/// A subject with fresh upstreams.
struct Stage {
    server: Server,
    fakes: [Fake; 2],
    second: Fake,
}

impl Stage {
    fn new(subject: &Subject) -> Result<Self> {
        let port = free_port()?;
        let fake = |host: u8| {
            let listen = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
            let script = Script::parse(AT_FIRST)?;
            Fake::start(listen, script, host.into()).with_context(|| listen.to_string())
        };
        let (fakes, second) = ([fake(1)?, fake(2)?], fake(3)?);
        let upstream = fakes[0].address();
        let server = subject.start(Capacity::Roomy(1_000_000), upstream, SUBJECT_CORE)?;
        Ok(Self {
            server,
            fakes,
            second,
        })
    }
}
