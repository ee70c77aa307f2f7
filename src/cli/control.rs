//! The client of the control socket: one command, one answer, and what becomes of it.
//!
//! Exit codes: 0 done, 1 refused by the node or not understood, 3 the node is not reachable.
#![expect(clippy::print_stderr, reason = "errors of a command go to its user")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::layout::printable;
use crate::admin::{Answer, Command};

const REFUSED: u8 = 1;
const NOT_REACHABLE: u8 = 3;
/// Longer than the node gives a command to take effect.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Sends `command` to the node behind `socket` and prints what `show` makes of its answer, or what
/// was done.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn run(
    socket: &Path,
    command: &Command,
    show: impl FnOnce(Answer) -> anyhow::Result<String>,
) -> anyhow::Result<ExitCode> {
    let answer = match ask(socket, command) {
        Ok(answer) => answer,
        Err(error) => return Ok(unanswered(socket, &error)),
    };
    let text = match answer {
        Answer::Done(text) => printable(&text),
        Answer::Error(problem) => {
            eprintln!("error: {}", printable(&problem));
            return Ok(ExitCode::from(REFUSED));
        }
        telling => show(telling)?,
    };
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a line, or several, to standard output.
///
/// # Errors
/// It cannot be written.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough, for example `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

/// Tells why there is no answer; with which code to exit.
pub(super) fn unanswered(socket: &Path, error: &AskError) -> ExitCode {
    match error {
        AskError::Io(error) => {
            eprintln!("error: {}", unreachable_text(socket, error));
            ExitCode::from(NOT_REACHABLE)
        }
        AskError::Unreadable { .. } => {
            eprintln!("error: {}", printable(&error.to_string()));
            ExitCode::from(REFUSED)
        }
    }
}

/// For a command that is only done, and for an answer to another question.
///
/// # Errors
/// Always.
pub(super) fn unexpected(_: Answer) -> anyhow::Result<String> {
    anyhow::bail!("the node answered another question")
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody answers, or not in full.
    #[error("no answer")]
    Io(#[source] io::Error),
    /// The node is there and speaks otherwise.
    #[error(
        "the answer of the node is not understood ({source}): it may be of another version than this \
         program, which is {}; use the program that the node was started from",
        env!("CARGO_PKG_VERSION")
    )]
    Unreadable {
        /// Where reading stopped.
        source: serde_json::Error,
    },
}

/// One command, one answer.
///
/// # Errors
/// There is no node, or no sense in its answer.
pub(super) fn ask(socket: &Path, command: &Command) -> Result<Answer, AskError> {
    let line = exchange(socket, command).map_err(AskError::Io)?;
    serde_json::from_str(&line).map_err(|source| AskError::Unreadable { source })
}

/// A line for a line.
fn exchange(socket: &Path, command: &Command) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    match answer.ends_with('\n') {
        true => Ok(answer),
        // The node is going down, or says more than anybody wants.
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn unreachable_text(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no node is running: nobody answers on {socket} (another one? use --socket)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("no permission to use {socket}: be root or in its group")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the node does not answer on {socket}")
        }
        _ => format!("the node is not reachable on {socket}: {error}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::admin::status::example;

    /// Answers one connection with `answer` and tells what it was asked.
    pub(in crate::cli) fn with_node<T>(
        answer: &str,
        client: impl FnOnce(&Path) -> T,
    ) -> (T, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::scope(|scope| {
            let node = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = String::new();
                BufReader::new(&stream).read_line(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            });
            (client(&path), node.join().unwrap())
        })
    }

    #[test]
    fn the_question_and_the_answer_are_one_line_each() {
        let line = serde_json::to_string(&Answer::Status(Box::new(example()))).unwrap() + "\n";
        let (answer, asked) = with_node(&line, |path| ask(path, &Command::Status));
        assert_eq!(asked, "{\"command\":\"status\"}\n");
        assert_eq!(answer.unwrap(), Answer::Status(Box::new(example())));
    }

    /// Once it was told as a node that is not reachable, which a script would start anew.
    #[test]
    fn an_answer_that_is_not_understood_is_no_missing_node() {
        let run = |answer: &str| {
            let show = |_: Answer| anyhow::Ok(String::new());
            let (code, _) = with_node(answer, |path| run(path, &Command::Status, show).unwrap());
            format!("{code:?}")
        };
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        for odd in [
            "{\"neighbor_map\":{}}\n",
            "null\n",
            "\n",
            "{\"status\":{}}\n",
        ] {
            assert_eq!(run(odd), code(REFUSED), "{odd}");
        }
        // Cut off.
        for part in ["", "{\"status\":"] {
            assert_eq!(run(part), code(NOT_REACHABLE), "{part}");
        }
        let (answer, _) = with_node("{}\n", |path| ask(path, &Command::Status));
        let text = answer.unwrap_err().to_string();
        assert!(text.contains("another version"), "{text}");
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }

    #[test]
    fn a_node_that_is_not_there_says_how_to_find_another() {
        let error = io::ErrorKind::NotFound.into();
        let text = unreachable_text(Path::new("/nonexistent/control.sock"), &error);
        assert!(text.starts_with("no node is running"), "{text}");
    }
}
