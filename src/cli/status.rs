//! `sidestep status`.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::control::tests::with_node;

    #[test]
    fn a_node_that_is_not_there_or_hangs_up_exits_with_3() {
        let nowhere = Path::new("/nonexistent/control.sock");
        assert_eq!(status(nowhere, false).unwrap(), ExitCode::from(3));
        let (code, _) = with_node("", |path| status(path, true).unwrap());
        assert_eq!(code, ExitCode::from(3));
    }
}
