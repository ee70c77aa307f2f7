//! What runs in a node: routers, name servers and the node's own program.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lab, Paths, enter};
use crate::topology::{Node, Program, Topology};
use crate::{frr, stop};

const FRR_FOLDER: &str = "/usr/lib/frr";
/// Where Debian's packages put the other routers.
const BIRD: &str = "/usr/sbin/bird";
const GOBGPD: &str = "/usr/bin/gobgpd";
const UNBOUND: &str = "/usr/sbin/unbound";
/// Where a node finds what its Unbound reads: a file with its name.
const UNBOUND_FOLDER: &str = "/etc/sidestep";
/// Daemons open their sockets within so much, even on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// What was killed is gone by then.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A program of a node.
pub(super) struct Running {
    /// The last part of its path.
    name: String,
    pub(super) child: Child,
}

/// Everything that the topology asks for is on this host.
pub(super) fn check_programs(paths: &Paths, topology: &Topology) -> Result<()> {
    for node in topology.nodes.values() {
        let (program, package) = match node.program {
            Program::Frr => (Path::new(FRR_FOLDER).join("bgpd"), "frr"),
            Program::Bird(_) => (BIRD.into(), "bird2"),
            Program::Gobgp(_) => (GOBGPD.into(), "gobgpd"),
            Program::Sidestep(_) | Program::SidestepAndUnbound(_) => {
                let has_unbound =
                    matches!(node.program, Program::Sidestep(_)) || Path::new(UNBOUND).exists();
                ensure!(has_unbound, "no {UNBOUND}: install the package unbound");
                let program = &paths.sidestep;
                ensure!(
                    program.exists(),
                    "no {}: run `cargo build --release` first",
                    program.display()
                );
                continue;
            }
            Program::Nsd(_) | Program::None => continue,
        };
        ensure!(
            program.exists(),
            "no {}: install the package {package}",
            program.display()
        );
    }
    Ok(())
}

impl Lab {
    /// From its next start on, the program of a node reads this file instead of the one that the
    /// topology gives it.
    pub(crate) fn configure(&mut self, name: &str, file: PathBuf) {
        self.configurations.insert(name.to_owned(), file);
    }

    /// From its next start on, the program of a node is started by these words, if any; they must
    /// replace themselves with it.
    pub(crate) fn wrap(&mut self, name: &str, words: Vec<String>) {
        self.wrappers.insert(name.to_owned(), words);
    }

    /// Has all nodes read this text and the node `wrapped` be started by these words, if any; starts
    /// again which had something else.
    pub(crate) fn equip(&mut self, text: &str, wrapped: &str, words: &[String]) -> Result<()> {
        for node in self.sidesteps() {
            let words = if node == wrapped { words } else { &[] };
            let file = self.paths.state.join(format!("{node}.toml"));
            let had = self.wrappers.get(&node).map_or(&[][..], Vec::as_slice);
            let read = match self.configurations.get(&node) {
                Some(file) => fs::read_to_string(file)?,
                None => fs::read_to_string(self.own_configuration(&node)?)?,
            };
            if read == text && had == words {
                continue;
            }
            fs::write(&file, text)?;
            self.configure(&node, file);
            self.wrap(&node, words.to_vec());
            self.kill_programs(&node)?;
            self.start(&node)?;
        }
        Ok(())
    }

    /// What the topology has a node read.
    fn own_configuration(&self, name: &str) -> Result<PathBuf> {
        let node = self.topology.node(name)?;
        let (Program::Sidestep(arguments) | Program::SidestepAndUnbound(arguments)) = &node.program
        else {
            bail!("{name} does not run the binary");
        };
        let target = arguments.iter().find(|a| a.starts_with("/etc/"));
        let target = Path::new(target.with_context(|| format!("{name}: no file"))?);
        let binds = node.binds.iter();
        let mut sources = binds.filter_map(|bind| {
            let rest = target.strip_prefix(&bind.target).ok()?;
            let source = self.paths.folder.join(&bind.source);
            Some(if rest.as_os_str().is_empty() {
                source
            } else {
                source.join(rest)
            })
        });
        sources
            .next_back()
            .with_context(|| format!("{name}: {} is not bound", target.display()))
    }

    /// Starts what the node's image stands for, as far as it does not run already.
    pub(crate) fn start(&mut self, name: &str) -> Result<()> {
        let node = self.topology.node(name)?;
        let (program, arguments) = match &node.program {
            Program::None => return Ok(()),
            Program::Frr => return self.start_frr(name),
            Program::Nsd(arguments) => ("nsd".into(), arguments),
            Program::Bird(arguments) => (BIRD.into(), arguments),
            Program::Gobgp(arguments) => (GOBGPD.into(), arguments),
            Program::Sidestep(arguments) | Program::SidestepAndUnbound(arguments) => {
                (self.paths.sidestep.clone(), arguments)
            }
        };
        let mut arguments = arguments.clone();
        if matches!(node.program, Program::SidestepAndUnbound(_)) {
            self.start_unbound(name)?;
        }
        if let Some(file) = self.configurations.get(name) {
            let argument = arguments.iter_mut().find(|a| a.starts_with("/etc/"));
            *argument.with_context(|| format!("{name}: no file to replace"))? =
                file.display().to_string();
        }
        let running = self.spawn(name, &program, &arguments)?;
        let programs = self.programs.entry(name.to_owned()).or_default();
        programs.retain(|other| other.name != running.name);
        programs.push(running);
        Ok(())
    }

    /// Unless it runs already.
    pub(crate) fn start_unbound(&mut self, name: &str) -> Result<()> {
        if self.has_daemon(name, "unbound") {
            return Ok(());
        }
        let file = format!("{UNBOUND_FOLDER}/{name}.conf");
        let arguments = ["-d".to_owned(), "-c".to_owned(), file];
        let running = self.spawn_plain(name, Path::new(UNBOUND), &arguments)?;
        let programs = self.programs.entry(name.to_owned()).or_default();
        programs.push(running);
        Ok(())
    }

    fn start_frr(&mut self, name: &str) -> Result<()> {
        let file = daemons_file(self.topology.node(name)?)?;
        let text = fs::read_to_string(self.paths.folder.join(file))?;
        for daemon in frr::daemons(&text) {
            if self.has_daemon(name, &daemon.name) {
                continue;
            }
            // A socket that a killed daemon left would look as if the new one were ready.
            let socket = self.frr_socket(name, &daemon.name)?;
            if socket.exists() {
                fs::remove_file(&socket)?;
            }
            let program = Path::new(FRR_FOLDER).join(&daemon.name);
            let running = self.spawn(name, &program, &daemon.options)?;
            let programs = self.programs.entry(name.to_owned()).or_default();
            programs.push(running);
            // Each daemon looks for zebra once it starts, and vtysh for each daemon.
            stop::wait_until(&format!("{name}: {}", daemon.name), START_LIMIT, || {
                Ok(socket.exists())
            })?;
        }
        match self.configurations.get(name) {
            Some(file) => self.run(name, &["vtysh", "-f", &file.display().to_string()])?,
            None => self.run(name, &["vtysh", "-b"])?,
        };
        Ok(())
    }

    fn frr_socket(&self, name: &str, daemon: &str) -> Result<PathBuf> {
        let holder = self.holders.get(name).context("no such node")?.id();
        let root = PathBuf::from(format!("/proc/{holder}/root"));
        Ok(root.join("run/frr").join(format!("{daemon}.vty")))
    }

    /// Starts the program of a node.
    fn spawn(&self, node: &str, program: &Path, arguments: &[String]) -> Result<Running> {
        let wrapper = self.wrappers.get(node).map_or(&[][..], Vec::as_slice);
        self.spawn_by(wrapper, node, program, arguments)
    }

    fn spawn_plain(&self, node: &str, program: &Path, arguments: &[String]) -> Result<Running> {
        self.spawn_by(&[], node, program, arguments)
    }

    /// Starts a program in a node, away from this terminal's signals.
    fn spawn_by(
        &self,
        wrapper: &[String],
        node: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<Running> {
        let log = self.log(node)?;
        let program_text = program.display().to_string();
        let words = [wrapper, &[program_text], arguments].concat();
        let (first, rest) = words.split_first().context("no program")?;
        let child = enter(&self.paths, node, first)?
            .args(rest)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} in {node}", program.display()))?;
        let name = program.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        Ok(Running { name, child })
    }

    /// Starts another program in a node, which ends with the lab.
    pub(crate) fn start_beside(&mut self, node: &str, program: &Path) -> Result<()> {
        let running = self.spawn(node, program, &[])?;
        let programs = self.programs.entry(node.to_owned()).or_default();
        programs.push(running);
        Ok(())
    }

    /// The only program of a node, or of several the one that is the node itself.
    fn program(&mut self, node: &str) -> Result<&mut Child> {
        let own = self.paths.sidestep.file_name().unwrap_or_default();
        let own = own.to_string_lossy();
        match self.programs.get_mut(node).map(Vec::as_mut_slice) {
            Some([running]) => Ok(&mut running.child),
            Some(several) => {
                let mut several = several.iter_mut();
                let found = several.find(|running| running.name == own);
                Ok(&mut found
                    .with_context(|| format!("{node} does not run {own}"))?
                    .child)
            }
            None => bail!("{node} runs nothing"),
        }
    }

    /// Sends a signal to one of a node's programs.
    pub(crate) fn signal_daemon(&self, node: &str, daemon: &str, signal: Signal) -> Result<()> {
        let programs = self.programs.get(node).context("nothing runs there")?;
        let found = programs.iter().find(|running| running.name == daemon);
        let running = found.with_context(|| format!("{node} does not run {daemon}"))?;
        kill(Pid::from_raw(i32::try_from(running.child.id())?), signal)?;
        Ok(())
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

    /// Whether a node has a program of that name, which may have ended by itself.
    pub(crate) fn has_daemon(&self, node: &str, daemon: &str) -> bool {
        let programs = self.programs.get(node);
        programs.is_some_and(|all| all.iter().any(|running| running.name == daemon))
    }

    /// Ends one of a node's programs by a signal and waits for its end.
    pub(crate) fn end_daemon(&mut self, node: &str, daemon: &str, signal: Signal) -> Result<()> {
        let programs = self.programs.get_mut(node).context("nothing runs there")?;
        let index = programs.iter().position(|running| running.name == daemon);
        let mut ending = programs.remove(index.with_context(|| format!("{node}: no {daemon}"))?);
        // It may have ended by itself: its log says why.
        let _ = kill(Pid::from_raw(i32::try_from(ending.child.id())?), signal);
        stop::wait_until(&format!("{node}: end of {daemon}"), START_LIMIT, || {
            Ok(ending.child.try_wait()?.is_some())
        })?;
        Ok(())
    }

    /// Kills all programs of a node.
    pub(crate) fn kill_programs(&mut self, node: &str) -> Result<()> {
        for mut running in self.programs.remove(node).unwrap_or_default() {
            running.child.kill()?;
            stop::wait_until(
                &format!("{node}: end of {}", running.name),
                KILL_LIMIT,
                || Ok(running.child.try_wait()?.is_some()),
            )?;
        }
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

fn daemons_file(node: &Node) -> Result<&str> {
    node.binds
        .iter()
        .find(|bind| bind.target == "/etc/frr/daemons")
        .map(|bind| bind.source.as_str())
        .context("an FRR node binds no /etc/frr/daemons")
}
