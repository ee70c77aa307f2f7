//! The control socket: one JSON command on a line in, one JSON answer on a line out, then the end.
//!
//! Who may write to the socket file (mode 0660) may command the node. Bounded: 8 connections at a
//! time, 4 KiB a command, 5 s to send it, 10 s for its effect.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Answer, Change, Command, Order, Published, Snapshot};
use crate::os::user;

const CONNECTIONS_MAX: usize = 8;
const COMMAND_BYTES_MAX: u64 = 4096;
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
const EFFECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const REASON_CHARS_MAX: usize = 200;
const NO_REASON: &str = "no reason given";
/// The longest that a drain may be asked for: 30 days.
const DRAIN_S_MAX: u64 = 30 * 24 * 3600;
/// After accept failed, usually because the process may open no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another node is running: it answers on {}", path.display())]
    InUse {
        /// The socket file.
        path: PathBuf,
    },
    /// Something else has this name; it is left alone.
    #[error("{} exists and is no socket", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// Permission, a missing disk, a name that is too long.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What could not be done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The bound socket; its file goes when it is dropped, unless a successor has replaced it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl ControlSocket {
    /// Makes the socket, and its directory if missing; replaces what a dead predecessor left.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let fail = |action| {
            move |source| SocketError::File {
                action,
                path: path.to_owned(),
                source,
            }
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(fail("make the directory of"))?;
        }
        ensure_unused(path)?;
        // Under another name first: at its own one it must never be open to everybody.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(name);
        let _ = fs::remove_file(&hidden);
        let listener =
            std::os::unix::net::UnixListener::bind(&hidden).map_err(fail("make the socket"))?;
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o660))
            .map_err(fail("restrict access to"))?;
        fs::rename(&hidden, path).map_err(fail("put in place"))?;
        let metadata = fs::symlink_metadata(path).map_err(fail("look at"))?;
        listener
            .set_nonblocking(true)
            .map_err(fail("use the socket"))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode: (metadata.dev(), metadata.ino()),
        })
    }

    /// Serves until the future is dropped.
    ///
    /// `orders` goes to the routing thread; while it is full, commands are refused.
    ///
    /// # Errors
    /// The listener cannot be used; a failing connection is no error.
    pub async fn serve(
        self,
        published: Arc<Published>,
        orders: mpsc::Sender<Order>,
    ) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        // Ends with this future, and with it every connection.
        let mut connections = JoinSet::new();
        loop {
            if connections.len() >= CONNECTIONS_MAX {
                connections.join_next().await;
                continue;
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let conversation = converse(stream, Arc::clone(&published), orders.clone());
                        connections.spawn(conversation);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "control connection not accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn ensure_unused(path: &Path) -> Result<(), SocketError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            let action = "look at";
            return Err(SocketError::File {
                action,
                path,
                source,
            });
        }
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path });
        }
        Ok(_) => {}
    }
    match StdUnixStream::connect(&path) {
        Ok(_) => Err(SocketError::InUse { path }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => {
            let action = "find out who serves";
            Err(SocketError::File {
                action,
                path,
                source,
            })
        }
    }
}

/// One connection from its first octet to its last.
async fn converse(mut stream: UnixStream, published: Arc<Published>, orders: mpsc::Sender<Order>) {
    let who = match stream.peer_cred() {
        Ok(peer) => user::name_of(peer.uid()),
        Err(_) => "somebody".to_owned(),
    };
    let answer = match timeout(COMMAND_LIMIT, read_command(&mut stream)).await {
        Ok(Ok(command)) => obey(command, who, &published, &orders).await,
        Ok(Err(problem)) => Answer::Error(problem),
        Err(_) => Answer::Error("no command within 5 s".to_owned()),
    };
    let mut line = match serde_json::to_vec(&answer) {
        Ok(line) => line,
        Err(error) => {
            tracing::error!(%error, "answer cannot be written as JSON");
            return;
        }
    };
    line.push(b'\n');
    if let Ok(Err(error)) = timeout(ANSWER_LIMIT, stream.write_all(&line)).await {
        tracing::debug!(%error, "answer not taken");
    }
}

async fn read_command(stream: &mut UnixStream) -> Result<Command, String> {
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream.take(COMMAND_BYTES_MAX));
    bounded
        .read_until(b'\n', &mut line)
        .await
        .map_err(|error| error.to_string())?;
    if line.pop() != Some(b'\n') {
        return Err(format!(
            "a command is one line of at most {COMMAND_BYTES_MAX} octets"
        ));
    }
    serde_json::from_slice(&line).map_err(|error| format!("not a command: {error}"))
}

async fn obey(
    command: Command,
    who: String,
    published: &Published,
    orders: &mpsc::Sender<Order>,
) -> Answer {
    let change = match command {
        Command::Status => {
            return tell(published, |snapshot| {
                Answer::Status(Box::new(snapshot.status.clone()))
            });
        }
        Command::Neighbors { address } => {
            return tell(published, |snapshot| neighbors(snapshot, address));
        }
        Command::Drain {
            service,
            reason,
            for_s,
        } => match checked_drain(service, reason.as_deref(), for_s) {
            Ok(drain) => drain,
            Err(problem) => return Answer::Error(problem),
        },
        Command::Undrain { service } => Change::Undrain { service },
    };
    let (outcome, done) = oneshot::channel();
    let order = Order {
        change,
        who,
        outcome,
    };
    if orders.try_send(order).is_err() {
        return Answer::Error("the node is too busy or stopping".to_owned());
    }
    match timeout(EFFECT_LIMIT, done).await {
        Ok(Ok(Ok(text))) => Answer::Done(text),
        Ok(Ok(Err(problem))) => Answer::Error(problem),
        Ok(Err(_)) => Answer::Error("the node is stopping".to_owned()),
        Err(_) => Answer::Error("no effect within 10 s; it may still come".to_owned()),
    }
}

fn tell(published: &Published, answer: impl FnOnce(&Snapshot) -> Answer) -> Answer {
    match published.latest() {
        Some(snapshot) => answer(&snapshot),
        None => Answer::Error("the node is starting".to_owned()),
    }
}

fn neighbors(snapshot: &Snapshot, address: Option<String>) -> Answer {
    #[expect(
        clippy::disallowed_methods,
        reason = "a shell: reads the clock when a command comes in"
    )]
    let now = Instant::now();
    match address.map(|address| snapshot.neighbor(now, &address)) {
        None => Answer::Neighbors(Box::new(snapshot.neighbors(now))),
        Some(Ok(neighbor)) => Answer::Neighbor(Box::new(neighbor)),
        Some(Err(problem)) => Answer::Error(problem.to_string()),
    }
}

fn checked_drain(
    service: Option<String>,
    reason: Option<&str>,
    for_s: Option<u64>,
) -> Result<Change, String> {
    if for_s.is_some_and(|for_s| !(1..=DRAIN_S_MAX).contains(&for_s)) {
        return Err("a drain lasts from 1 s to 30 days".to_owned());
    }
    Ok(Change::Drain {
        service,
        reason: checked_reason(reason.unwrap_or(NO_REASON))?,
        lasts: for_s.map(Duration::from_secs),
    })
}

fn checked_reason(reason: &str) -> Result<String, String> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err("a drain needs a reason".to_owned());
    }
    if reason.chars().count() > REASON_CHARS_MAX || reason.contains(char::is_control) {
        return Err(format!(
            "a reason is one line of at most {REASON_CHARS_MAX} characters"
        ));
    }
    Ok(reason.to_owned())
}

#[cfg(test)]
mod tests;
