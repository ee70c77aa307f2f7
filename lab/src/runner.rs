//! The running lab: every node's namespaces, links and programs, and their end.

#![expect(clippy::disallowed_methods, reason = "waits for processes to end")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::namespace::{self, output};
use crate::stop;
use crate::topology::Topology;

mod paths;
mod program;

pub(crate) use paths::Paths;
use program::{Running, check_programs};

/// A lab that runs until this is dropped.
pub(crate) struct Lab {
    pub(crate) paths: Paths,
    topology: Topology,
    holders: BTreeMap<String, Child>,
    programs: BTreeMap<String, Vec<Running>>,
    /// What a node's program reads instead of what the topology gives it.
    configurations: BTreeMap<String, PathBuf>,
    /// What a node's program is started by.
    wrappers: BTreeMap<String, Vec<String>>,
    keep: bool,
    _lock: Flock<File>,
}

impl Lab {
    /// Starts everything; what an earlier run left is ended first.
    pub(crate) fn up(paths: Paths) -> Result<Self> {
        ensure!(geteuid().is_root(), "the lab needs root for its namespaces");
        let lock = lock(&paths)?;
        sweep(&paths)?;
        if paths.state.join("log").exists() {
            fs::remove_dir_all(paths.state.join("log"))?;
        }
        fs::create_dir_all(paths.state.join("log"))?;
        let topology = Topology::read(&paths.topology)?;
        check_programs(&paths, &topology)?;
        let mut lab = Self {
            paths,
            topology,
            holders: BTreeMap::new(),
            programs: BTreeMap::new(),
            configurations: BTreeMap::new(),
            wrappers: BTreeMap::new(),
            keep: false,
            _lock: lock,
        };
        lab.build()?;
        Ok(lab)
    }

    /// Ends a lab that was left running.
    pub(crate) fn down(paths: &Paths) -> Result<()> {
        let _lock = lock(paths)?;
        sweep(paths)
    }

    /// Runs a command in a node of a lab that is up, with this terminal.
    pub(crate) fn exec(paths: &Paths, node: &str, command: &[String]) -> Result<ExitCode> {
        let [program, arguments @ ..] = command else {
            bail!("no command");
        };
        let status = enter(paths, node, program)?.args(arguments).status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// The lab outlives this process.
    pub(crate) fn leave_running(mut self) {
        self.keep = true;
    }

    /// Ends everything and starts it again.
    pub(crate) fn rebuild(&mut self) -> Result<()> {
        self.end()?;
        self.build()
    }

    fn end(&mut self) -> Result<()> {
        let result = sweep(&self.paths);
        for running in self.programs.values_mut().flatten() {
            // Dead by now; this only takes it off the process table.
            let _ = running.child.try_wait();
        }
        for child in self.holders.values_mut() {
            let _ = child.try_wait();
        }
        self.programs.clear();
        self.holders.clear();
        result
    }

    fn build(&mut self) -> Result<()> {
        let names: Vec<String> = self.topology.nodes.keys().cloned().collect();
        for name in &names {
            self.hold(name)?;
        }
        for [a, b] in &self.topology.links {
            output(
                Command::new("ip")
                    .args(["-n", &self.namespace_name(&a.node), "link", "add"])
                    .args([&a.interface, "type", "veth", "peer", "name", &b.interface])
                    .args(["netns", &self.namespace_name(&b.node)]),
            )?;
            for end in [a, b] {
                self.run(&end.node, &["ip", "link", "set", &end.interface, "up"])?;
            }
        }
        for name in &names {
            self.run_exec(name)?;
        }
        // Routers and servers first: what the nodes derive and ask for is then there.
        let (nodes, others): (Vec<_>, Vec<_>) = names
            .iter()
            .partition(|name| self.topology.nodes[*name].program.is_sidestep());
        for name in others.into_iter().chain(nodes) {
            self.start(name)?;
        }
        Ok(())
    }

    fn namespace_name(&self, node: &str) -> String {
        format!("{}{node}", self.paths.prefix)
    }

    /// Makes the namespaces of a node and waits until they are as its entry says.
    fn hold(&mut self, name: &str) -> Result<()> {
        stop::check()?;
        output(Command::new("ip").args(["netns", "add", &self.namespace_name(name)]))?;
        let mut holder = Command::new("nsenter")
            .arg(format!("--net={}", self.paths.namespace(name).display()))
            .arg(std::env::current_exe()?)
            .args(["hold", name, "--topology"])
            .arg(&self.paths.topology)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log(name)?)
            .process_group(0)
            .spawn()
            .context("cannot start nsenter")?;
        fs::write(self.paths.holder(name), holder.id().to_string())?;
        let stdout = holder.stdout.take();
        self.holders.insert(name.to_owned(), holder);
        let mut line = String::new();
        BufReader::new(stdout.context("the holder has no output")?).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "node {name}: {}",
            fs::read_to_string(self.paths.log(name))?.trim_end()
        );
        self.run(name, &["ip", "link", "set", "lo", "up"])?;
        Ok(())
    }

    fn log(&self, node: &str) -> Result<File> {
        let path = self.paths.log(node);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))
    }

    /// Runs a command in a node to its end and returns what it printed.
    pub(crate) fn run(&self, node: &str, command: &[impl AsRef<str>]) -> Result<String> {
        stop::check()?;
        let [program, arguments @ ..] = command else {
            bail!("no command");
        };
        let mut command = enter(&self.paths, node, program.as_ref())?;
        output(command.args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Whether the topology has such a node.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        self.topology.nodes.contains_key(name)
    }

    /// The names of the nodes that run the binary.
    pub(crate) fn sidesteps(&self) -> Vec<String> {
        let nodes = self.topology.nodes.iter();
        nodes
            .filter(|(_, node)| node.program.is_sidestep())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Runs the commands of the node's `exec` entry; they may be run again.
    pub(crate) fn run_exec(&self, name: &str) -> Result<()> {
        for command in &self.topology.node(name)?.exec {
            self.run(name, command)?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.end() {
            crate::report::complain(&format!("the lab could not be taken down: {error:#}"));
        }
    }
}

/// A command that will run in the namespaces of a node. It replaces nsenter, so the process
/// started is the program itself.
fn enter(paths: &Paths, node: &str, program: &str) -> Result<Command> {
    let holder = fs::read_to_string(paths.holder(node))
        .with_context(|| format!("{node} is not running; `lab up` first"))?;
    let holder: i32 = holder.trim().parse()?;
    ensure!(
        namespace::processes(&paths.namespace(node))
            .is_ok_and(|found| found.contains(&Pid::from_raw(holder))),
        "{node} is not running; `lab up` first"
    );
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &holder.to_string()])
        .args(["--net", "--mount", "--uts", "--wd=/", "--", program]);
    Ok(command)
}

/// One command at a time may start or end the lab of this checkout.
fn lock(paths: &Paths) -> Result<Flock<File>> {
    fs::create_dir_all(&paths.state)?;
    let file = File::create(paths.state.join("lock"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| anyhow::anyhow!("another lab command is at work in this checkout"))
}

/// Ends every process in our namespaces, and the namespaces.
fn sweep(paths: &Paths) -> Result<()> {
    for name in namespace::names(&paths.prefix)? {
        let path = namespace::path(&name);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = namespace::processes(&path)?;
            if left.is_empty() {
                break;
            }
            ensure!(Instant::now() < deadline, "{name}: {left:?} do not end");
            for pid in left {
                // It may have ended since it was seen.
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        output(Command::new("ip").args(["netns", "delete", &name]))?;
        if let Some(node) = name.strip_prefix(&paths.prefix) {
            let _ = fs::remove_file(paths.holder(node));
        }
    }
    Ok(())
}
