//! What a router says about its sessions and routes, in the words of each.

use std::collections::BTreeSet;

use anyhow::Result;

use super::kind::{Kind, Session};
use crate::routes::Family;
use crate::runner::Lab;

mod bird;
mod frr;
mod gobgp;

/// A session as a router sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) is_established: bool,
    /// Negotiated, in seconds.
    pub(super) hold_s: Option<u32>,
    /// Negotiated, in seconds.
    pub(super) keepalive_s: Option<u32>,
}

/// The service's prefix as a router has it from a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) next_hops: Vec<String>,
    pub(super) as_path: Vec<u32>,
    /// All of the path is a sequence.
    pub(super) is_sequence: bool,
    pub(super) med: Option<u32>,
    pub(super) local_pref: Option<u32>,
    /// As `65535:0`.
    pub(super) communities: BTreeSet<String>,
    /// As `65053:1:2`.
    pub(super) large_communities: BTreeSet<String>,
}

/// GRACEFUL_SHUTDOWN, RFC 8326 §5.
pub(super) const LEAVING: &str = "65535:0";

impl Route {
    pub(super) fn is_leaving(&self) -> bool {
        self.communities.contains(LEAVING)
    }
}

/// The service's prefixes.
pub(super) fn prefix(family: Family) -> &'static str {
    match family {
        Family::V4 => "10.53.53.53/32",
        Family::V6 => "fd53::53/128",
    }
}

/// How the session is.
pub(super) fn state(lab: &Lab, session: &Session) -> Result<State> {
    let name = session.kind.node();
    let words = match session.kind {
        Kind::Frr => frr::show_state(session),
        Kind::Bird => bird::show_state(session),
        Kind::Gobgp => gobgp::show_state(session),
    };
    let text = lab.run(name, &words)?;
    match session.kind {
        Kind::Frr => frr::read_state(&text),
        Kind::Bird => Ok(bird::read_state(&text)),
        Kind::Gobgp => gobgp::read_state(&text),
    }
}

/// The route of the session's family that came by it.
pub(super) fn route(lab: &Lab, session: &Session) -> Result<Option<Route>> {
    let name = session.kind.node();
    match session.kind {
        Kind::Frr => frr::read_route(&lab.run(name, &frr::show_route(session))?, &session.peer),
        Kind::Bird => match lab.run(name, &bird::show_route(session)) {
            Ok(text) => Ok(bird::read_route(&text)),
            // What other programs print, birdc says with its exit code.
            Err(error) if format!("{error}").contains("not found") => Ok(None),
            Err(error) => Err(error),
        },
        Kind::Gobgp => match lab.run(name, &gobgp::show_route(session)) {
            Ok(text) => gobgp::read_route(&text, &session.peer),
            Err(error) if format!("{error}").contains("not in table") => Ok(None),
            Err(error) => Err(error),
        },
    }
}

/// Has the router ask the node for its routes again. RFC 2918. `false`: it never asks, as GoBGP, which
/// keeps all that it was told and looks at that again.
pub(super) fn refresh(lab: &Lab, session: &Session) -> Result<bool> {
    let words = match session.kind {
        Kind::Frr => frr::refresh(session),
        Kind::Bird => bird::refresh(session),
        Kind::Gobgp => return Ok(false),
    };
    lab.run(session.kind.node(), &words)?;
    Ok(true)
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests;
