//! `sidestep explain [SERVICE]`: why each service is announced as it is, or is not.
//!
//! Exit codes: 0 good, 1 no such service, 2 wrong usage, 3 the node is not reachable.

use std::process::ExitCode;

use anyhow::Context;

use super::control::{run as ask, unexpected};
use super::layout::printable;
use crate::admin::status::Service;
use crate::admin::{Answer, Command, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Explains this service alone.
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    control: super::ControlArguments,
    /// Prints JSON instead of text: the services of `status --json`.
    #[arg(long)]
    json: bool,
}

/// Prints a paragraph for each address of the services.
///
/// # Errors
/// No such service, an answer that makes no sense, or standard output cannot be written.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        service,
        control,
        json,
    } = arguments;
    ask(&control.socket, &Command::Status, |answer| match answer {
        Answer::Status(status) => {
            let services = chosen(&status, service.as_deref())?;
            if json {
                return serde_json::to_string_pretty(&services).context("services as JSON");
            }
            Ok(paragraphs(&services))
        }
        other => unexpected(other),
    })
}

fn chosen<'a>(status: &'a Status, name: Option<&str>) -> anyhow::Result<Vec<&'a Service>> {
    let services = status.services.iter();
    let chosen: Vec<_> = services
        .filter(|service| name.is_none_or(|name| service.name == name))
        .collect();
    match name {
        Some(name) if chosen.is_empty() => {
            let known: Vec<_> = status.services.iter().map(|s| s.name.as_str()).collect();
            let known = match known.as_slice() {
                [] => "the node has none".to_owned(),
                known => format!("known: {}", known.join(", ")),
            };
            anyhow::bail!("no service {name}; {known}")
        }
        _ => Ok(chosen),
    }
}

fn paragraphs(services: &[&Service]) -> String {
    let families = services.iter().flat_map(|service| &service.families);
    let paragraphs: Vec<String> = families
        .map(|family| printable(&family.explanation))
        .collect();
    if paragraphs.is_empty() {
        return "There is no service, so nothing is announced.".to_owned();
    }
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::example;

    #[test]
    fn each_address_of_the_chosen_service_has_a_paragraph() {
        let mut status = example();
        status.explain();
        let text = paragraphs(&chosen(&status, Some("resolver")).unwrap());
        assert_eq!(text.split("\n\n").count(), 2);
        assert!(text.starts_with("resolver 10.53.53.53 is announced"));
        assert_eq!(text, paragraphs(&chosen(&status, None).unwrap()));
    }

    #[test]
    fn an_unknown_service_is_told_the_known_ones() {
        let error = chosen(&example(), Some("resolvr")).unwrap_err();
        assert_eq!(error.to_string(), "no service resolvr; known: resolver");
        let empty = Status::default();
        let nothing = chosen(&empty, None).unwrap();
        assert!(paragraphs(&nothing).starts_with("There is no service"));
    }
}
