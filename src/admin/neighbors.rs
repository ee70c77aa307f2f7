//! Who is asked about neighbours: the snapshot that the routing thread has published.
//!
//! The routing thread publishes what it knows of each neighbour as it is; putting it into words is
//! left to the thread that wants to know, so that nobody who asks costs the routing thread anything.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use super::Snapshot;
use super::status::neighbor::{NeighborDetail, NeighborList};

/// What is known of one neighbour at the moment of a snapshot.
pub trait Describe: fmt::Debug + Send + Sync {
    /// Puts it into words; times are reckoned to `now`.
    fn describe(&self, now: Instant) -> NeighborDetail;
}

/// No neighbour, or more than one, has that address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no neighbor {wanted}; known: {}", known_text(known))]
pub struct NoSuchNeighbor {
    /// As asked for.
    pub wanted: String,
    /// The addresses of all.
    pub known: Vec<String>,
}

fn known_text(known: &[String]) -> String {
    match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    }
}

impl Snapshot {
    /// All neighbours in full.
    #[must_use]
    pub fn neighbors(&self, now: Instant) -> NeighborList {
        let neighbors = self.neighbors.iter();
        NeighborList {
            node: self.status.node.clone(),
            neighbors: neighbors.map(|known| known.describe(now)).collect(),
            warnings: self.status.warnings.clone(),
        }
    }

    /// The neighbour with the address `wanted`, which may name the interface after a `%`, and must
    /// if several neighbours have the same link-local address.
    ///
    /// # Errors
    /// [`NoSuchNeighbor`] names all that there are.
    pub fn neighbor(&self, now: Instant, wanted: &str) -> Result<NeighborDetail, NoSuchNeighbor> {
        let mut all = self.neighbors(now).neighbors;
        let is_it = |known: &NeighborDetail| fits(&known.summary.address, wanted);
        if let Some(place) = all.iter().position(is_it)
            && all.iter().rposition(is_it) == Some(place)
        {
            return Ok(all.swap_remove(place));
        }
        let known = all.into_iter().map(|known| known.summary.address);
        Err(NoSuchNeighbor {
            wanted: wanted.chars().filter(|c| !c.is_control()).collect(),
            known: known.collect(),
        })
    }
}

fn fits(known: &str, wanted: &str) -> bool {
    let (address, interface) = split(known);
    let (wanted, wanted_interface) = split(wanted);
    address.is_some()
        && address == wanted
        && (wanted_interface.is_none() || wanted_interface == interface)
}

/// Address and interface of `ADDRESS%INTERFACE`.
fn split(text: &str) -> (Option<IpAddr>, Option<&str>) {
    let (address, interface) = match text.split_once('%') {
        Some((address, interface)) => (address, Some(interface)),
        None => (text, None),
    };
    (address.parse().ok(), interface)
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use super::*;
    use crate::admin::status;
    use crate::admin::status::neighbor::example;

    /// A neighbour that is always the same.
    #[derive(Debug)]
    pub(crate) struct Fixed(pub(crate) NeighborDetail);

    impl Describe for Fixed {
        fn describe(&self, _: Instant) -> NeighborDetail {
            self.0.clone()
        }
    }

    pub(crate) fn with_address(address: &str) -> Box<dyn Describe> {
        let mut detail = example();
        detail.summary.address = address.into();
        Box::new(Fixed(detail))
    }

    fn snapshot(addresses: &[&str]) -> Snapshot {
        Snapshot {
            status: status::example(),
            neighbors: addresses.iter().copied().map(with_address).collect(),
            at: Instant::now(),
        }
    }

    const ALL: [&str; 4] = ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "fe80::1%eth1"];

    #[test]
    fn a_neighbour_is_found_by_any_spelling_of_its_address() {
        let snapshot = snapshot(&ALL);
        for (wanted, address) in [
            ("192.0.2.1", ALL[0]),
            ("2001:DB8:0::1", ALL[1]),
            ("FE80::1%eth1", ALL[3]),
        ] {
            let found = snapshot.neighbor(Instant::now(), wanted).unwrap();
            assert_eq!(found.summary.address, address);
        }
    }

    #[test]
    fn an_address_of_no_neighbour_or_of_two_is_refused_with_the_names_of_all() {
        let snapshot = snapshot(&ALL);
        for wanted in [
            "192.0.2.2",
            "fe80::1",
            "fe80::1%eth2",
            "192.0.2.1%eth0",
            "",
            "%",
            "rout\u{7}er",
        ] {
            let error = snapshot.neighbor(Instant::now(), wanted).unwrap_err();
            assert_eq!(error.known, ALL, "{wanted}");
            assert!(!error.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn a_node_without_neighbours_says_so() {
        let error = snapshot(&[]).neighbor(Instant::now(), "192.0.2.1");
        let text = error.unwrap_err().to_string();
        assert_eq!(text, "no neighbor 192.0.2.1; known: none");
        assert!(snapshot(&[]).neighbors(Instant::now()).neighbors.is_empty());
    }
}
