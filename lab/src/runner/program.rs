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
            Program::Sidestep(_) => {
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

    /// Starts what the node's image stands for, as far as it does not run already.
    pub(crate) fn start(&mut self, name: &str) -> Result<()> {
        let node = self.topology.node(name)?;
        let (program, arguments) = match &node.program {
            Program::None => return Ok(()),
            Program::Frr => return self.start_frr(name),
            Program::Nsd(arguments) => (Path::new("nsd"), arguments),
            Program::Bird(arguments) => (Path::new(BIRD), arguments),
            Program::Gobgp(arguments) => (Path::new(GOBGPD), arguments),
            Program::Sidestep(arguments) => (self.paths.sidestep.as_path(), arguments),
        };
        let mut arguments = arguments.clone();
        if let Some(file) = self.configurations.get(name) {
            let argument = arguments.iter_mut().find(|a| a.starts_with("/etc/"));
            *argument.with_context(|| format!("{name}: no file to replace"))? =
                file.display().to_string();
        }
        let running = self.spawn(name, program, &arguments)?;
        self.programs.insert(name.to_owned(), vec![running]);
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

    /// Starts a program of a node, away from this terminal's signals.
    fn spawn(&self, node: &str, program: &Path, arguments: &[String]) -> Result<Running> {
        let log = self.log(node)?;
        let wrapper = self.wrappers.get(node).cloned().unwrap_or_default();
        let program_text = program.display().to_string();
        let words = [&wrapper[..], &[program_text], arguments].concat();
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

    fn program(&mut self, node: &str) -> Result<&mut Child> {
        match self.programs.get_mut(node).map(Vec::as_mut_slice) {
            Some([running]) => Ok(&mut running.child),
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
