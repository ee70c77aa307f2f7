//! What becomes of running sessions when others are wanted; no waiting, no clock.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::node::session::{Fit, Wanted};

/// What becomes of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is wanted as it is.
    Keep,
    /// It is wanted, and its routes lead elsewhere.
    Tell {
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
    },
    /// The same neighbour under new terms: two sessions would only collide, so there will be a gap.
    Close,
    /// Another neighbour stands in its place: it stays until that one's session is up.
    Retire,
    /// Nobody knows anything better: it stays as it is.
    Leave,
}

/// A running session.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Running<'a> {
    /// The terms that it was started on.
    pub(in crate::node) terms: &'a Wanted,
    /// Its link has carrier.
    pub(in crate::node) is_link_up: bool,
    /// It is up, and IPv4 was not agreed on.
    pub(in crate::node) lacks_ipv4: bool,
}

/// What becomes of a session.
pub(super) fn fate(session: Running<'_>, wanted: &[Wanted]) -> Fate {
    let old = session.terms;
    let same = wanted.iter().filter(|new| new.key() == old.key());
    let Some(first) = same.clone().next() else {
        let mut heirs = wanted.iter().filter(|new| new.setting == old.setting);
        // Its interface was made anew: operators and metrics know both by one name.
        let is_namesake = |new: &Wanted| {
            old.parameters.interface.is_some() && new.parameters.name() == old.parameters.name()
        };
        return match (heirs.clone().next(), heirs.any(is_namesake)) {
            (None, _) => Fate::Leave,
            (Some(_), true) => Fate::Close,
            (Some(_), false) => Fate::Retire,
        };
    };
    if !session.is_link_up && old.is_on_link && !first.is_on_link {
        // While its link is down, the kernel thinks that some gateway leads there. It does not, or
        // not for long.
        return Fate::Keep;
    }
    let fit = same.map(|new| old.fit(new)).find(|fit| *fit != Fit::Unfit);
    match fit {
        Some(Fit::Same) => Fate::Keep,
        // The neighbour takes no IPv6 next hop for IPv4: only another OPEN brings IPv4.
        Some(Fit::NextHops { v4: Some(_), .. })
            if session.lacks_ipv4
                && old.parameters.next_hop_v4.is_none()
                && old.parameters.offered().ipv4 =>
        {
            Fate::Close
        }
        Some(Fit::NextHops { v4, v6 }) => Fate::Tell { v4, v6 },
        Some(Fit::Unfit) | None => Fate::Close,
    }
}

#[cfg(test)]
mod tests;
