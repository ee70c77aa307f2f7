//! How many TCP connections a worker has, in all and for each client.
//!
//! Source: RFC 7766 §6.2.2 (limits for each client), RFC 7766 §6.2.3 (idle time-outs that shrink).

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

/// Most connections of one worker, however many descriptors there are.
pub const CONNECTIONS_MAX: usize = 512;
/// Most connections of one client to one worker; an IPv6 /64 counts as one client.
pub(super) const PER_CLIENT_MAX: u64 = 64;
/// How long a connection may be silent while there is room.
const IDLE: Duration = Duration::from_secs(10);
/// The same when more than three quarters of the connections are taken.
const IDLE_UNDER_PRESSURE: Duration = Duration::from_secs(1);

/// The connections of one worker; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Connections(Rc<RefCell<Open>>);

#[derive(Debug)]
struct Open {
    max: u64,
    all: u64,
    by_client: HashMap<IpAddr, u64>,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Connections,
    client: IpAddr,
}

impl Connections {
    /// None yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Self {
        Self(Rc::new(RefCell::new(Open {
            max: u64::try_from(max).unwrap_or(u64::MAX),
            all: 0,
            by_client: HashMap::new(),
        })))
    }

    /// A place for a connection of `client`; `None` when there are too many.
    pub(super) fn admit(&self, client: IpAddr) -> Option<Permit> {
        let client = group(client);
        let mut open = self.0.borrow_mut();
        if open.all >= open.max {
            return None;
        }
        let of_client = open.by_client.entry(client).or_default();
        if *of_client >= PER_CLIENT_MAX {
            return None;
        }
        *of_client += 1;
        open.all += 1;
        Some(Permit {
            connections: self.clone(),
            client,
        })
    }

    /// How many are open.
    pub(super) fn open(&self) -> u64 {
        self.0.borrow().all
    }

    /// How long a connection may be silent now.
    pub(super) fn idle_limit(&self) -> Duration {
        let open = self.0.borrow();
        if open.all > open.max / 4 * 3 {
            IDLE_UNDER_PRESSURE
        } else {
            IDLE
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.connections.0.borrow_mut();
        open.all = open.all.saturating_sub(1);
        if let Some(of_client) = open.by_client.get_mut(&self.client) {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

/// An IPv6 host has a whole /64 to connect from.
fn group(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// RFC 7766 §6.2.2.
    #[test]
    fn one_client_gets_64_connections_and_others_get_theirs() {
        let connections = Connections::new(CONNECTIONS_MAX);
        let first = |suffix: u64| client(&format!("2001:db8::{suffix:x}"));
        let mut held: Vec<_> = (0..PER_CLIENT_MAX)
            .map(|suffix| connections.admit(first(suffix)).unwrap())
            .collect();
        assert!(connections.admit(first(999)).is_none());
        let other = connections.admit(client("2001:db8:0:1::1"));
        assert!(other.is_some());
        held.pop();
        assert!(connections.admit(first(999)).is_some());
    }

    #[test]
    fn a_worker_with_few_descriptors_has_fewer_connections() {
        let connections = Connections::new(4);
        let mut held: Vec<_> = (1..=4)
            .map(|number| {
                connections
                    .admit(client(&format!("10.0.0.{number}")))
                    .unwrap()
            })
            .collect();
        assert_eq!(connections.idle_limit(), IDLE_UNDER_PRESSURE);
        assert!(connections.admit(client("10.0.0.5")).is_none());
        held.pop();
        assert_eq!(connections.idle_limit(), IDLE);
        assert!(connections.admit(client("10.0.0.5")).is_some());
    }

    #[test]
    fn no_more_than_512_connections_are_open_and_idle_ones_end_sooner_when_many_are() {
        let connections = Connections::new(CONNECTIONS_MAX);
        let mut held = Vec::new();
        for number in 0..512 {
            let idle = connections.idle_limit();
            let expected = if number > 384 {
                IDLE_UNDER_PRESSURE
            } else {
                IDLE
            };
            assert_eq!(idle, expected, "{number}");
            let address = client(&format!("10.0.{}.{}", number / 256, number % 256));
            held.push(connections.admit(address).unwrap());
        }
        assert!(connections.admit(client("192.0.2.1")).is_none());
        drop(held);
        assert_eq!(connections.open(), 0);
        assert!(connections.0.borrow().by_client.is_empty());
    }
}
