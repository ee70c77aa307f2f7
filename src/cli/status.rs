//! `sidestep status`, `sidestep drain` and `sidestep undrain`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::control::{run, unexpected};
use crate::admin::{Answer, Command};

mod table;

/// Prints the state of the node behind `socket`, as a table or as JSON.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn status(socket: &Path, json: bool) -> anyhow::Result<ExitCode> {
    run(socket, &Command::Status, |answer| match answer {
        Answer::Status(status) if json => {
            serde_json::to_string_pretty(&status).context("status as JSON")
        }
        Answer::Status(status) => Ok(table::render(&status).trim_end().to_owned()),
        other => unexpected(other),
    })
}

/// Moves traffic away from the node behind `socket`.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn drain(socket: &Path, reason: String) -> anyhow::Result<ExitCode> {
    run(socket, &Command::Drain { reason }, unexpected)
}

/// Ends a drain of the node behind `socket`.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn undrain(socket: &Path) -> anyhow::Result<ExitCode> {
    run(socket, &Command::Undrain, unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::control::tests::with_node;

    #[test]
    fn a_refusal_exits_with_1_and_success_with_0() {
        let refused = "{\"error\":\"not drained\"}\n";
        let (code, asked) = with_node(refused, |path| undrain(path).unwrap());
        assert_eq!(asked, "{\"command\":\"undrain\"}\n");
        assert_eq!(code, ExitCode::from(1));
        let done = "{\"done\":\"draining\"}\n";
        let (code, asked) = with_node(done, |path| drain(path, "new kernel".into()).unwrap());
        assert_eq!(asked, "{\"command\":\"drain\",\"reason\":\"new kernel\"}\n");
        assert_eq!(code, ExitCode::SUCCESS);
    }

    #[test]
    fn a_node_that_is_not_there_or_hangs_up_exits_with_3() {
        let nowhere = Path::new("/nonexistent/control.sock");
        assert_eq!(status(nowhere, false).unwrap(), ExitCode::from(3));
        let (code, _) = with_node("", |path| status(path, true).unwrap());
        assert_eq!(code, ExitCode::from(3));
    }
}
