//! The node's addresses on this host: bound, watched, unbound; only what is its own.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::task::{Order, Task};
use crate::announce::{self, ServiceSettings};
use crate::health::{Family, Target};
use crate::os::address::{AddressError, Addresses};
use crate::os::netlink::Netlink;

mod task;

/// Where a node without IFA_PROTO in its kernel remembers what it has added.
const RUNTIME_DIRECTORY: &str = "/run/sidestep";

/// A stop waits no longer than this for the kernel to remove routes.
const FAREWELL: Duration = Duration::from_secs(1);

/// A service address and where it belongs.
#[derive(Clone, Debug)]
struct ServiceAddress {
    target: Target,
    address: IpAddr,
    interface: String,
    is_present: bool,
}

/// What has been done, or seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The address was to be bound; whether it is there now.
    Bound(Target, bool),
    /// The address was to be unbound, and nothing more can be done about it.
    Unbound(Target),
    /// Addresses that have come (`true`) or gone since it was looked at last.
    Looked(Vec<(Target, bool)>),
}

/// Service addresses that the node binds itself. Without any, netlink is not touched. All that waits
/// for the kernel is done by a task of its own, in the order in which it was asked for.
pub(super) struct Host {
    services: Vec<ServiceAddress>,
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    is_looking: bool,
    looks_again: bool,
}

impl Host {
    /// Takes over what a killed predecessor left and removes what is configured no more.
    pub(super) async fn new(
        services: &[ServiceSettings],
        netlink: Option<Netlink>,
    ) -> Result<Self, HostError> {
        let own = own_addresses(services);
        // Of each address one binding and one unbinding, one look, and the end.
        let (orders, waiting) = mpsc::channel(2 * own.len() + 2);
        let (told, news) = mpsc::channel(1);
        if let Some(netlink) = netlink.filter(|_| !own.is_empty()) {
            let mut addresses = Addresses::open(netlink, Path::new(RUNTIME_DIRECTORY))?;
            clean_up(&own, &mut addresses, services).await?;
            let task = Task {
                addresses,
                services: own.clone(),
            };
            tokio::task::spawn_local(task.run(waiting, told));
        }
        Ok(Self {
            services: own,
            orders,
            news,
            is_looking: false,
            looks_again: false,
        })
    }

    /// Begins to add the address to its interface; false when nobody will.
    pub(super) fn bind(&mut self, target: Target, address: IpAddr) -> bool {
        self.order(Order::Bind(target, address))
    }

    /// Begins to remove the address from its interface if the node added it; false when nobody will.
    pub(super) fn unbind(&mut self, target: Target, address: IpAddr) -> bool {
        self.order(Order::Unbind(target, address))
    }

    /// Begins to see which addresses are there.
    pub(super) fn look(&mut self) {
        self.looks_again = self.is_looking;
        if !self.is_looking {
            self.is_looking = self.order(Order::Look);
        }
    }

    /// What came of all that. May be dropped at any await without losing anything.
    pub(super) async fn next(&mut self) -> News {
        let Some(news) = self.news.recv().await else {
            // Nobody has anything to do.
            return std::future::pending().await;
        };
        let mut changes = Vec::new();
        match &news {
            News::Bound(target, is_present) => changes.push((*target, *is_present)),
            News::Unbound(target) => changes.push((*target, false)),
            News::Looked(seen) => {
                changes.clone_from(seen);
                self.is_looking = false;
                if self.looks_again {
                    self.look();
                }
            }
        }
        for (target, is_present) in changes {
            let own = self.services.iter_mut().find(|own| own.target == target);
            if let Some(own) = own {
                own.is_present = is_present;
            }
        }
        news
    }

    /// Removes the unreachable routes of floors, at the end.
    pub(super) async fn remove_routes(&mut self, services: &[ServiceSettings]) {
        let (done, end) = oneshot::channel();
        let prefixes = announce::unreachable_prefixes(services);
        if prefixes.is_empty() || !self.order(Order::RemoveRoutes(prefixes, done)) {
            return;
        }
        // What is still told of addresses has to be taken, or the task would wait for that.
        let news = async { while self.news.recv().await.is_some() {} };
        let done = async {
            tokio::select! {
                // An error means that the task has ended: nobody is left who could.
                _ = end => {}
                () = news => {}
            }
        };
        if timeout(FAREWELL, done).await.is_err() {
            tracing::warn!("the kernel is slow: routes of floors may be left");
        }
    }

    /// Whether this is a service address that the node binds.
    pub(super) fn binds(&self, address: IpAddr) -> bool {
        self.services.iter().any(|own| own.address == address)
    }

    /// Whether the address of `target` is on its interface; `None`: somebody else binds it.
    pub(super) fn is_bound(&self, target: Target) -> Option<bool> {
        self.services
            .iter()
            .find(|own| own.target == target)
            .map(|own| own.is_present)
    }

    fn order(&self, order: Order) -> bool {
        let is_taken = self.orders.try_send(order).is_ok();
        if !is_taken && !self.services.is_empty() {
            tracing::error!("addresses of the host are looked after by nobody");
        }
        is_taken
    }
}

fn own_addresses(services: &[ServiceSettings]) -> Vec<ServiceAddress> {
    let mut own = Vec::new();
    for (service, settings) in services.iter().enumerate() {
        let Some(interface) = &settings.interface else {
            continue;
        };
        own.extend(settings.addresses.iter().map(|address| ServiceAddress {
            target: Target {
                service,
                family: Family::of(*address),
            },
            address: *address,
            interface: interface.clone(),
            is_present: false,
        }));
    }
    own
}

async fn clean_up(
    own: &[ServiceAddress],
    addresses: &mut Addresses,
    services: &[ServiceSettings],
) -> Result<(), AddressError> {
    let own = own.iter();
    let configured: Vec<_> = own
        .map(|own| (own.address, own.interface.clone()))
        .collect();
    for address in addresses.remove_leftovers(&configured).await? {
        tracing::info!(%address, "removed an address that a predecessor left");
    }
    let prefixes = announce::unreachable_prefixes(services);
    for prefix in addresses.remove_leftover_routes(&prefixes).await? {
        tracing::info!(%prefix, "removed an unreachable route that a predecessor left");
    }
    for prefix in prefixes {
        addresses.add_unreachable(prefix).await?;
    }
    Ok(())
}

/// Why the host's addresses cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The record of a predecessor.
    #[error("the runtime directory {RUNTIME_DIRECTORY}")]
    Runtime(#[from] io::Error),
    /// The kernel refused.
    #[error("service addresses (they need CAP_NET_ADMIN)")]
    Address(#[from] AddressError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        service: 0,
        family: Family::V4,
    };

    fn host() -> (Host, mpsc::Receiver<Order>, mpsc::Sender<News>) {
        let (orders, waiting) = mpsc::channel(4);
        let (told, news) = mpsc::channel(1);
        let host = Host {
            services: vec![ServiceAddress {
                target: TARGET,
                address: "10.53.53.53".parse().unwrap(),
                interface: "lo".to_owned(),
                is_present: false,
            }],
            orders,
            news,
            is_looking: false,
            looks_again: false,
        };
        (host, waiting, told)
    }

    /// Hundreds of events in a second must neither fill the queue nor be forgotten.
    #[tokio::test]
    async fn whatever_happens_during_a_look_is_seen_by_one_more() {
        let (mut host, mut waiting, told) = host();
        for _ in 0..100 {
            host.look();
        }
        assert!(matches!(waiting.try_recv(), Ok(Order::Look)));
        assert!(waiting.try_recv().is_err());
        told.try_send(News::Looked(vec![(TARGET, true)])).unwrap();
        assert_eq!(host.next().await, News::Looked(vec![(TARGET, true)]));
        assert_eq!(host.is_bound(TARGET), Some(true));
        assert!(matches!(waiting.try_recv(), Ok(Order::Look)));
        told.try_send(News::Looked(Vec::new())).unwrap();
        host.next().await;
        assert!(waiting.try_recv().is_err());
        host.look();
        assert!(matches!(waiting.try_recv(), Ok(Order::Look)));
    }

    #[tokio::test]
    async fn what_was_bound_and_unbound_is_known() {
        let (mut host, mut waiting, told) = host();
        let address = "10.53.53.53".parse().unwrap();
        assert!(host.bind(TARGET, address));
        assert!(matches!(waiting.try_recv(), Ok(Order::Bind(TARGET, _))));
        assert_eq!(host.is_bound(TARGET), Some(false));
        for (news, is_bound) in [
            (News::Bound(TARGET, true), true),
            (News::Unbound(TARGET), false),
        ] {
            told.try_send(news.clone()).unwrap();
            assert_eq!(host.next().await, news);
            assert_eq!(host.is_bound(TARGET), Some(is_bound));
        }
    }

    #[test]
    fn orders_that_nobody_will_obey_are_refused() {
        let (mut host, waiting, _told) = host();
        drop(waiting);
        let address = "10.53.53.53".parse().unwrap();
        assert!(!host.bind(TARGET, address));
        assert!(!host.unbind(TARGET, address));
    }
}
