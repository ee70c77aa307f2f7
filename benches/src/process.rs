//! A server as a child: on a core of its own, in a folder of its own, with its CPU time and memory.
#![expect(
    clippy::disallowed_methods,
    reason = "waits for processes to begin and to end"
)]

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::names::{self, Kind};

pub(crate) use account::{CpuTime, Memory};

mod account;

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_micros(200);
/// A server that does not answer by then never will.
const START: Duration = Duration::from_secs(10);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// How a child is started.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Where it works; what it prints goes to a `.log` there, called like the program.
    pub(crate) folder: PathBuf,
    /// A list as `taskset` takes it.
    pub(crate) cores: String,
}

/// A running child; it ends with this value, and with this program, however that ends.
pub(crate) struct Process {
    launch: Launch,
    child: Child,
    resting: bool,
}

impl Launch {
    fn name(&self) -> Cow<'_, str> {
        self.program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
    }

    fn spawn(&self) -> Result<Child> {
        let log = self.folder.join(format!("{}.log", self.name()));
        let log = File::create(&log).with_context(|| log.display().to_string())?;
        // Both replace themselves by what they start, so the id is the server's own.
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c"])
            .arg(&self.cores)
            .arg(&self.program)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start setpriv (util-linux)")
    }
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the log cannot be written or `setpriv` cannot be started. A program that is missing
    /// ends at once, which [`Process::answers`] tells.
    pub(crate) fn start(launch: Launch) -> Result<Self> {
        Ok(Self {
            child: launch.spawn()?,
            launch,
            resting: false,
        })
    }

    /// Starts it again when it has ended.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub(crate) fn revive(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            self.child = self.launch.spawn()?;
            self.resting = false;
        }
        Ok(())
    }

    /// Waits for the first right answer to the question for cached name 0.
    ///
    /// # Errors
    /// When the process ends before, or does not answer within 10 s.
    pub(crate) fn answers(&mut self, address: SocketAddr, ask: Ask) -> Result<()> {
        let started = Instant::now();
        while !answered(address, ask) {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended before its first answer: {status}",
                    self.launch.name()
                );
            }
            ensure!(
                started.elapsed() < START,
                "{} has not answered within {START:?}",
                self.launch.name()
            );
        }
        Ok(())
    }

    /// CPU time of all its threads so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn cpu(&self) -> Result<CpuTime> {
        CpuTime::of(self.child.id()).with_context(|| format!("{} is gone", self.launch.name()))
    }

    /// Its resident memory.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(self.child.id()).with_context(|| format!("{} is gone", self.launch.name()))
    }

    /// Stops it (SIGSTOP), so that its timers do not disturb others on the same core.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn rest(&mut self) -> Result<()> {
        self.resting = true;
        self.signal(Signal::SIGSTOP)
    }

    /// Undoes [`Process::rest`].
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn wake(&mut self) -> Result<()> {
        if self.resting {
            self.signal(Signal::SIGCONT)?;
            self.resting = false;
        }
        Ok(())
    }

    /// Asks it to end; dropping waits for that.
    pub(crate) fn ask_to_end(&mut self) {
        // An error says that it has ended already.
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.wake();
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // A child that was waited for has no id any more; another process may have it.
        if let Some(status) = self.child.try_wait()? {
            bail!("{} has ended: {status}", self.launch.name());
        }
        let id = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(id), signal)
            .with_context(|| format!("{signal} to {}", self.launch.name()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        let asked = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if asked.elapsed() > GRACE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            sleep(Duration::from_millis(2));
        }
    }
}

/// Asks once for cached name 0, and waits a moment when there was no right answer.
fn answered(address: SocketAddr, ask: Ask) -> bool {
    let query = names::query(1, Kind::Cached, 0);
    let answer = ask(address, &query).unwrap_or_default();
    let right = names::address(&names::name(Kind::Cached, 0)).unwrap_or_default();
    let answered =
        answer.starts_with(&query[..2]) && answer.windows(right.len()).any(|part| part == right);
    if !answered {
        sleep(LOOK);
    }
    answered
}

/// Sends a message and returns the one that comes back, without the length before it over TCP.
pub(crate) type Ask = fn(SocketAddr, &[u8]) -> io::Result<Vec<u8>>;

/// Longest wait for one answer while a server starts.
const ANSWER: Duration = Duration::from_millis(100);

/// [`Ask`] over UDP.
pub(crate) fn over_udp(address: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.send(query)?;
    let mut answer = vec![0; 512];
    let octets = socket.recv(&mut answer)?;
    answer.truncate(octets);
    Ok(answer)
}

/// [`Ask`] over TCP.
pub(crate) fn over_tcp(address: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER))?;
    exchange(&mut stream, query)
}

/// Two octets of length stand before each message. RFC 7766 §8.
pub(crate) fn exchange(stream: &mut TcpStream, query: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(query.len()).unwrap_or_default().to_be_bytes();
    stream.write_all(&[&length, query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A port of 127.0.0.1 that is free for UDP and TCP right now.
///
/// # Errors
/// When there is none.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// The end of what the programs in a folder printed, for the message of a failure.
pub(crate) fn last_words(folder: &Path) -> String {
    let mut words = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            let first = lines.len().saturating_sub(10);
            words.push_str(&lines.get(first..).unwrap_or_default().join("\n"));
        }
    }
    words
}
