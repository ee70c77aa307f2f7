//! `sidestep neighbors [ADDRESS]`: what a running node knows of its BGP neighbours.
//!
//! Exit codes: 0 good, 1 no such neighbour, 2 wrong usage, 3 the node is not reachable.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::control;
use crate::admin::{Answer, Command};

mod detail;
mod table;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tells all about this neighbor; of a link-local one as fe80::1%eth1.
    #[arg(value_name = "ADDRESS", value_parser = address)]
    address: Option<String>,
    #[command(flatten)]
    control: super::ControlArguments,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<String, String> {
    let (address, interface) = match text.split_once('%') {
        Some((address, interface)) => (address, Some(interface)),
        None => (text, None),
    };
    match (address.parse::<IpAddr>(), interface) {
        (Ok(IpAddr::V6(_)), Some("")) | (Ok(IpAddr::V4(_)), Some(_)) | (Err(_), _) => {
            Err("an address is wanted, for example 192.0.2.1 or fe80::1%eth1".to_owned())
        }
        (Ok(_), _) => Ok(text.to_owned()),
    }
}

/// Prints the neighbours of the node, or one of them.
///
/// # Errors
/// The answer makes no sense, or standard output cannot be written.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        address,
        control,
        json,
    } = arguments;
    let command = Command::Neighbors { address };
    control::run(&control.socket, &command, |answer| match answer {
        Answer::Neighbors(list) if json => pretty(&list),
        Answer::Neighbors(list) => Ok(table::render(&list).trim_end().to_owned()),
        Answer::Neighbor(neighbor) if json => pretty(&neighbor),
        Answer::Neighbor(neighbor) => Ok(detail::render(&neighbor).trim_end().to_owned()),
        other => control::unexpected(other),
    })
}

fn pretty(answer: &impl Serialize) -> anyhow::Result<String> {
    serde_json::to_string_pretty(answer).context("neighbors as JSON")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::ControlArguments;
    use crate::cli::control::tests::with_node;

    fn ask(socket: &Path, address: Option<&str>) -> ExitCode {
        let arguments = Arguments {
            address: address.map(str::to_owned),
            control: ControlArguments {
                socket: socket.to_owned(),
            },
            json: true,
        };
        run(arguments).unwrap()
    }

    #[test]
    fn only_addresses_are_asked_for() {
        for good in ["192.0.2.1", "2001:db8::1", "fe80::1", "fe80::1%eth1"] {
            assert_eq!(address(good), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "router",
            "192.0.2.1%eth1",
            "192.0.2.1:179",
            "fe80::1%",
            "%eth1",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_neighbour_exits_with_1_and_a_node_that_is_away_with_3() {
        let answer = "{\"error\":\"no neighbor 192.0.2.9; known: 192.0.2.1\"}\n";
        let (code, asked) = with_node(answer, |path| ask(path, Some("192.0.2.9")));
        assert_eq!(
            asked,
            "{\"command\":\"neighbors\",\"address\":\"192.0.2.9\"}\n"
        );
        assert_eq!(code, ExitCode::from(1));
        let list = "{\"neighbors\":{\"node\":\"a\",\"neighbors\":[],\"warnings\":[]}}\n";
        let (code, asked) = with_node(list, |path| ask(path, None));
        assert_eq!(asked, "{\"command\":\"neighbors\"}\n");
        assert_eq!(code, ExitCode::SUCCESS);
        assert_eq!(ask(Path::new("/nonexistent/x"), None), ExitCode::from(3));
    }
}
