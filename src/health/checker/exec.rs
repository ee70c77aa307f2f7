//! Runs a program of the operator's: exit code 0 is good.
//!
//! It gets a process group of its own, no input, and none of the node's descriptors. At its time
//! limit, or when the node stops, the whole group is killed; what it leaves behind in that group
//! when it ends by itself is killed as well.
//!
//! The system starts it on a thread of its own: until the new program runs, the thread that starts it
//! stands still, for ever where the program lies on a disk that does not answer.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command as Process};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::health::CheckOutcome;
use crate::health::check::{Command, bad};
use crate::os::process::kill_group;

/// Octets of its output that are kept; the rest is read and thrown away.
const OUTPUT_MAX: usize = 4 << 10;
/// Where programs without a slash in their name are looked for, if the node itself has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) async fn check(command: &Command, limit: Duration) -> CheckOutcome {
    let starting = command.clone();
    follow(&command.program, move || start(&starting), limit).await
}

/// Judges the program that `start` starts. As long as that does not return there is no result, and
/// nobody is started beside it.
pub(super) async fn follow(
    program: &str,
    start: impl FnOnce() -> io::Result<(Group, Output)> + Send + 'static,
    limit: Duration,
) -> CheckOutcome {
    let started = spawn_blocking(start).await;
    let started = started.unwrap_or_else(|error| Err(io::Error::other(error)));
    let (mut group, mut output) = match started {
        Ok(started) => started,
        Err(error) => return bad(&format!("{program}: {error}")),
    };
    let ended = timeout(limit, group.follow(&mut output)).await;
    if ended.is_err() {
        group.kill();
        // One that not even this ends, because its disk does not answer, must not get company: who
        // waits for results sees that there are none.
        let _status = group.child.wait().await;
    }
    drop(group);
    let said = String::from_utf8_lossy(&output.kept);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    let result = match ended {
        Ok(Ok(status)) if status.success() => return CheckOutcome::Good,
        Ok(Ok(status)) => told(status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("killed after {} ms", limit.as_millis()),
    };
    match first {
        Some(first) => bad(&format!("{result}: {first}")),
        None => bad(&result),
    }
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn start(command: &Command) -> io::Result<(Group, Output)> {
    let (reader, writer) = io::pipe()?;
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let mut process = Process::new(&command.program);
    process
        .args(&command.arguments)
        .env_clear()
        .env("PATH", path)
        .envs(command.environment.iter().cloned())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let child = process.spawn()?;
    let id = child.id();
    let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let output = Output {
        pipe: Some(pipe),
        kept: Vec::new(),
    };
    Ok((Group { child, id }, output))
}

/// A child that leads a process group; when dropped, everything in it is killed.
pub(super) struct Group {
    child: Child,
    id: Option<u32>,
}

impl Group {
    /// Waits for its end, and reads what it says until then.
    async fn follow(&mut self, output: &mut Output) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                biased;
                () = output.read() => {}
                status = self.child.wait() => {
                    output.read_rest();
                    return status;
                }
            }
        }
    }
}

impl Group {
    fn kill(&self) {
        if let Some(id) = self.id {
            // An empty group is as good as a killed one.
            let _is_killed = kill_group(id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) struct Output {
    /// `None`: it has ended.
    pipe: Option<pipe::Receiver>,
    kept: Vec<u8>,
}

impl Output {
    /// Takes in some; waits for ever once there will be no more.
    async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return std::future::pending().await;
        };
        let mut buffer = [0; 1024];
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => self.keep(buffer.get(..count).unwrap_or_default()),
        }
    }

    /// Takes in what is there without waiting: somebody else may hold the pipe open.
    fn read_rest(&mut self) {
        let mut buffer = [0; OUTPUT_MAX];
        let Some(pipe) = self.pipe.take() else {
            return;
        };
        if let Ok(count) = pipe.try_read(&mut buffer) {
            self.keep(buffer.get(..count).unwrap_or_default());
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        let room = OUTPUT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(octets.iter().take(room));
    }
}
