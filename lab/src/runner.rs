//! The running lab: every node's namespaces, links and programs, and their end.

#![expect(clippy::disallowed_methods, reason = "waits for processes to end")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::namespace::{self, output};
use crate::topology::{Node, Program, Topology};
use crate::{frr, stop};

const FRR_FOLDER: &str = "/usr/lib/frr";

/// Where the lab's files are.
pub(crate) struct Paths {
    /// The folder of this package.
    pub(crate) folder: PathBuf,
    /// The topology file.
    pub(crate) topology: PathBuf,
    /// Results, logs and the process ids of a running lab; not tracked by git.
    pub(crate) state: PathBuf,
    sidestep: PathBuf,
    /// Namespaces of this checkout begin so, and nobody else's.
    prefix: String,
}

impl Paths {
    /// Around the folder that this program was built in.
    pub(crate) fn new(sidestep: Option<PathBuf>) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let release = folder.with_file_name("target").join("release/sidestep");
        Self {
            topology: folder.join("anycast.clab.yml"),
            state: folder.join(".state"),
            sidestep: sidestep.unwrap_or(release),
            prefix: format!("sidestep-lab-{:06x}-", fold(&folder)),
            folder,
        }
    }

    /// The same for another topology of this folder, which can be up at the same time.
    pub(crate) fn with_topology(self, file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default();
        Self {
            topology: self.folder.join(file),
            state: self.state.join(name),
            prefix: format!("{}{name}-", self.prefix.replacen("lab", "labs", 1)),
            ..self
        }
    }

    /// The file of a node's network namespace.
    pub(crate) fn namespace(&self, node: &str) -> PathBuf {
        namespace::path(&format!("{}{node}", self.prefix))
    }

    /// What the node's programs wrote.
    pub(crate) fn log(&self, node: &str) -> PathBuf {
        self.state.join("log").join(format!("{node}.log"))
    }

    fn holder(&self, node: &str) -> PathBuf {
        self.state.join(format!("{node}.pid"))
    }
}

/// 24 bits of a path (FNV-1a), so that two checkouts can run side by side.
fn fold(path: &Path) -> u32 {
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash & 0x00FF_FFFF
}

/// A lab that runs until this is dropped.
pub(crate) struct Lab {
    pub(crate) paths: Paths,
    topology: Topology,
    holders: BTreeMap<String, Child>,
    programs: BTreeMap<String, Vec<Child>>,
    keep: bool,
    _lock: Flock<File>,
}

impl Lab {
    /// Starts everything; what an earlier run left is ended first.
    pub(crate) fn up(paths: Paths) -> Result<Self> {
        check_host(&paths)?;
        let lock = lock(&paths)?;
        sweep(&paths)?;
        if paths.state.join("log").exists() {
            fs::remove_dir_all(paths.state.join("log"))?;
        }
        fs::create_dir_all(paths.state.join("log"))?;
        let topology = Topology::read(&paths.topology)?;
        let mut lab = Self {
            paths,
            topology,
            holders: BTreeMap::new(),
            programs: BTreeMap::new(),
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
        for child in self.programs.values_mut().flatten() {
            // Dead by now; this only takes it off the process table.
            let _ = child.try_wait();
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
            .partition(|name| matches!(self.topology.nodes[*name].program, Program::Sidestep(_)));
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

    /// Runs the commands of the node's `exec` entry; they may be run again.
    pub(crate) fn run_exec(&self, name: &str) -> Result<()> {
        for command in &self.topology.node(name)?.exec {
            self.run(name, command)?;
        }
        Ok(())
    }

    /// Starts what the node's image stands for.
    pub(crate) fn start(&mut self, name: &str) -> Result<()> {
        let node = self.topology.node(name)?;
        let children = match &node.program {
            Program::None => return Ok(()),
            Program::Frr => return self.start_frr(name),
            Program::Nsd(arguments) => vec![self.spawn(name, Path::new("nsd"), arguments)?],
            Program::Sidestep(arguments) => {
                vec![self.spawn(name, &self.paths.sidestep, arguments)?]
            }
        };
        self.programs.insert(name.to_owned(), children);
        Ok(())
    }

    fn start_frr(&mut self, name: &str) -> Result<()> {
        let file = daemons_file(self.topology.node(name)?)?;
        let text = fs::read_to_string(self.paths.folder.join(file))?;
        let root = PathBuf::from(format!("/proc/{}/root", self.holder(name)?)).join("run/frr");
        for daemon in frr::daemons(&text) {
            let program = Path::new(FRR_FOLDER).join(&daemon.name);
            let child = self.spawn(name, &program, &daemon.options)?;
            self.programs
                .entry(name.to_owned())
                .or_default()
                .push(child);
            // Each daemon looks for zebra once it starts, and vtysh for each daemon.
            let socket = root.join(format!("{}.vty", daemon.name));
            stop::wait_until(&format!("{name}: {}", daemon.name), START_LIMIT, || {
                Ok(socket.exists())
            })?;
        }
        self.run(name, &["vtysh", "-b"])?;
        Ok(())
    }

    fn holder(&self, name: &str) -> Result<u32> {
        let holder = self.holders.get(name).context("no such node")?;
        Ok(holder.id())
    }

    /// Starts a program of a node, away from this terminal's signals.
    fn spawn(&self, node: &str, program: &Path, arguments: &[String]) -> Result<Child> {
        let log = self.log(node)?;
        enter(&self.paths, node, &program.display().to_string())?
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} in {node}", program.display()))
    }

    /// Starts another program in a node, which ends with the lab.
    pub(crate) fn start_beside(&mut self, node: &str, program: &Path) -> Result<()> {
        let child = self.spawn(node, program, &[])?;
        self.programs
            .entry(node.to_owned())
            .or_default()
            .push(child);
        Ok(())
    }

    fn program(&mut self, node: &str) -> Result<&mut Child> {
        match self.programs.get_mut(node).map(Vec::as_mut_slice) {
            Some([child]) => Ok(child),
            _ => bail!("{node} does not run just one program"),
        }
    }

    /// The process id of the one program of a node.
    pub(crate) fn pid(&mut self, node: &str) -> Result<u32> {
        Ok(self.program(node)?.id())
    }

    /// Sends a signal to the one program of a node.
    pub(crate) fn signal(&mut self, node: &str, signal: Signal) -> Result<()> {
        let child = self.program(node)?;
        ensure!(
            child.try_wait()?.is_none(),
            "{node}: the program had already ended; see its log"
        );
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        Ok(())
    }

    /// Waits for the program of a node to end.
    pub(crate) fn wait_for_exit(&mut self, node: &str, limit: Duration) -> Result<ExitStatus> {
        let mut status = None;
        let child = self.program(node)?;
        stop::wait_until(&format!("{node}: exit"), limit, || {
            status = child.try_wait()?;
            Ok(status.is_some())
        })?;
        status.context("no exit status")
    }

    /// Whether the program of a node has not ended.
    pub(crate) fn is_running(&mut self, node: &str) -> Result<bool> {
        Ok(self.program(node)?.try_wait()?.is_none())
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

/// Daemons open their sockets within so much, even on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);

fn daemons_file(node: &Node) -> Result<&str> {
    node.binds
        .iter()
        .find(|bind| bind.target == "/etc/frr/daemons")
        .map(|bind| bind.source.as_str())
        .context("an FRR node binds no /etc/frr/daemons")
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

fn check_host(paths: &Paths) -> Result<()> {
    ensure!(geteuid().is_root(), "the lab needs root for its namespaces");
    let frr = Path::new(FRR_FOLDER).join("bgpd");
    ensure!(
        frr.exists(),
        "no {}: install the package frr",
        frr.display()
    );
    ensure!(
        paths.sidestep.exists(),
        "no {}: run `cargo build --release` first",
        paths.sidestep.display()
    );
    Ok(())
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
