//! Who is measured: Sidestep, its peers, and the limits.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{Ask, Launch, Process, free_port, last_words};

pub(crate) use list::{FENCED, PEERS, SUBJECTS, TROUBLED};

mod list;

/// One kind of server that can be started.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    programs: &'static [Program],
    /// The configuration's file name and its text with `{{…}}` in it.
    configuration: Option<(&'static str, &'static str)>,
    /// Keeps what was asked for over TCP apart, so that it has to be warmed over TCP too.
    pub(crate) keeps_tcp_apart: bool,
    /// How it is asked whether it is up.
    ask: Ask,
    /// How it is asked for its version.
    version: &'static str,
    /// Roughly what a cached A answer takes in the unit of its cache setting; makes caches of
    /// about the same number of entries from settings in octets.
    entry_octets: u64,
}

/// What a subject is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sidestep itself.
    Product,
    /// What somebody could use instead: a Debian package.
    Peer {
        /// The name of the package.
        package: &'static str,
    },
    /// The least that the kernel allows.
    Limit,
}

/// A program with its arguments, in which `{{…}}` is filled in.
struct Program {
    file: File,
    arguments: &'static [&'static str],
}

/// Where a program is found.
enum File {
    /// In `PATH` or a folder of system programs.
    Installed(&'static str),
    /// Beside this program.
    Built(&'static str),
    /// This program.
    Own,
}

/// How much a cache may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Capacity {
    /// This many entries, with plenty of room to spare.
    Roomy(u32),
    /// About this many entries and no more.
    Tight(u32),
    /// This many octets, for those that count in octets.
    Octets(u64),
}

/// By name, what is filled in for `{{name}}`.
type Values = BTreeMap<&'static str, String>;

/// A running subject.
pub(crate) struct Server {
    processes: Vec<Process>,
    ask: Ask,
    /// Where it answers, over UDP and TCP.
    pub(crate) address: SocketAddr,
    /// Where Sidestep shows its metrics.
    pub(crate) admin: SocketAddr,
    /// What is filled in.
    values: Values,
    folder: TempDir,
}

impl Subject {
    /// Its program files; `None` when one is missing on this machine.
    fn files(&self) -> Option<Vec<PathBuf>> {
        self.programs.iter().map(|p| p.file.path()).collect()
    }

    /// Whether it can be started here.
    pub(crate) fn is_here(&self) -> bool {
        self.files().is_some()
    }

    /// The version that its program tells.
    pub(crate) fn version(&self) -> Option<String> {
        if self.role == Role::Limit {
            return Some(env!("CARGO_PKG_VERSION").to_owned());
        }
        let files = self.files()?;
        let output = Command::new(files.first()?).arg(self.version).output();
        let output = output.ok()?;
        let text = [output.stdout, output.stderr].concat();
        first_version(&String::from_utf8_lossy(&text))
    }

    /// Starts it on a core and waits for its first answer, to the question for cached name 0.
    ///
    /// # Errors
    /// When it cannot be started or does not answer; with what it printed last.
    pub(crate) fn start(
        &self,
        capacity: Capacity,
        upstream: SocketAddr,
        core: usize,
    ) -> Result<Server> {
        let mut server = self.spawn(capacity, upstream, core)?;
        server
            .answers()
            .with_context(|| format!("{}: its last words:\n{}", self.name, server.last_words()))?;
        // The others work on what the first has made.
        let files = self.files().unwrap_or_default();
        for (program, file) in self.programs.iter().zip(&files).skip(1) {
            server.start_program(program, file, core)?;
        }
        Ok(server)
    }

    /// Starts its first program and waits for nothing.
    ///
    /// # Errors
    /// When there is no room, no port, or no program.
    pub(crate) fn spawn(
        &self,
        capacity: Capacity,
        upstream: SocketAddr,
        core: usize,
    ) -> Result<Server> {
        let files = self.files();
        let files = files.with_context(|| format!("{} is not installed", self.name))?;
        let folder = TempDir::with_prefix(format!("bench-{}-", self.name))?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let values = self.values(capacity, folder.path(), [port, upstream.port(), admin_port]);
        if let Some((name, text)) = self.configuration {
            fs::write(folder.path().join(name), filled(text, &values))?;
        }
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server {
            processes: Vec::new(),
            ask: self.ask,
            address: at(port),
            admin: at(admin_port),
            values,
            folder,
        };
        if let (Some(program), Some(file)) = (self.programs.first(), files.first()) {
            server.start_program(program, file, core)?;
        }
        Ok(server)
    }

    /// What stands for each `{{…}}`. Ports: its own, the upstream's, the admin listener's.
    fn values(&self, capacity: Capacity, folder: &Path, ports: [u16; 3]) -> Values {
        let (entries, octets) = match capacity {
            Capacity::Roomy(entries) => (2 * entries, u64::from(entries) * self.entry_octets * 4),
            Capacity::Tight(entries) => (entries, u64::from(entries) * self.entry_octets),
            Capacity::Octets(octets) => {
                let entries = u32::try_from(octets / self.entry_octets).unwrap_or(u32::MAX);
                (entries, octets)
            }
        };
        let [port, upstream_port, admin_port] = ports;
        BTreeMap::from([
            ("entries", entries.to_string()),
            ("octets", octets.to_string()),
            ("third_of_octets", (octets / 3).to_string()),
            ("two_thirds_of_octets", (octets / 3 * 2).to_string()),
            ("folder", folder.display().to_string()),
            ("port", port.to_string()),
            ("upstream_port", upstream_port.to_string()),
            ("admin_port", admin_port.to_string()),
        ])
    }
}

impl Server {
    /// Waits for its first right answer.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn answers(&mut self) -> Result<()> {
        let [main, ..] = &mut self.processes[..] else {
            return Ok(());
        };
        main.answers(self.address, self.ask)
    }

    fn start_program(&mut self, program: &Program, file: &Path, core: usize) -> Result<()> {
        let arguments = program.arguments.iter();
        self.processes.push(Process::start(Launch {
            program: file.to_owned(),
            arguments: arguments.map(|text| filled(text, &self.values)).collect(),
            folder: self.folder.path().to_owned(),
            cores: core.to_string(),
        })?);
        Ok(())
    }

    /// What its programs printed last.
    pub(crate) fn last_words(&self) -> String {
        last_words(self.folder.path())
    }

    /// All its processes.
    pub(crate) fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Stops all its processes, so that they disturb nobody.
    ///
    /// # Errors
    /// When the first process is gone.
    pub(crate) fn rest(&mut self) -> Result<()> {
        self.each(Process::rest)
    }

    /// Undoes [`Server::rest`]; helpers that have ended are started again, as their service would.
    ///
    /// # Errors
    /// When the first process is gone.
    pub(crate) fn wake(&mut self) -> Result<()> {
        let mut helpers = self.processes.iter_mut().skip(1);
        helpers.try_for_each(Process::revive)?;
        self.each(Process::wake)
    }

    /// Helpers may end at any time; then there is nothing to do to them.
    fn each(&mut self, act: fn(&mut Process) -> Result<()>) -> Result<()> {
        let mut done = self.processes.iter_mut().map(act);
        let first = done.next();
        done.for_each(drop);
        first.unwrap_or(Ok(()))
    }

    /// Asks its processes to end; dropping waits for them.
    pub(crate) fn ask_to_end(&mut self) {
        self.processes.iter_mut().for_each(Process::ask_to_end);
    }
}

impl File {
    fn path(&self) -> Option<PathBuf> {
        let own = || env::current_exe().ok();
        match self {
            Self::Own => own(),
            Self::Built(name) => Some(own()?.with_file_name(name)).filter(|file| file.exists()),
            Self::Installed(name) => {
                let path = env::var_os("PATH").unwrap_or_default();
                let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
                let mut files = env::split_paths(&path).chain(system).map(|f| f.join(name));
                files.find(|file| file.exists())
            }
        }
    }
}

/// The text with every `{{name}}` replaced by its value.
fn filled(text: &str, values: &Values) -> String {
    let fill = |text: String, (name, value): (&&str, &String)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    };
    values.iter().fold(text.to_owned(), fill)
}

/// The first word that begins with a digit and has a dot, but is no time of day.
fn first_version(text: &str) -> Option<String> {
    let words = text.split_ascii_whitespace();
    let mut versions = words.filter(|word| {
        word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && !word.contains(':')
    });
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_print() {
        let found = |text| first_version(text).unwrap();
        assert_eq!(found("Version 1.17.1\n\nConfigure line: x"), "1.17.1");
        assert_eq!(
            found("Nov 21 11:13:29 PowerDNS Recursor 4.8.8 (C)"),
            "4.8.8"
        );
        assert_eq!(
            found("BIND 9.18.49-1~deb12u3-Debian (x)"),
            "9.18.49-1~deb12u3-Debian"
        );
    }

    #[test]
    fn every_placeholder_of_every_template_has_a_value() {
        for subject in &SUBJECTS {
            let values = subject.values(Capacity::Tight(1000), Path::new("/x"), [1, 2, 3]);
            let (_, text) = subject.configuration.unwrap_or_default();
            let arguments = subject.programs.iter().flat_map(|p| p.arguments);
            for text in arguments.chain([&text]) {
                let text = filled(text, &values);
                // The one in a comment says what they are.
                assert!(!text.replace("{{…}}", "").contains("{{"), "{text}");
            }
        }
    }
}
