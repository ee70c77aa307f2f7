//! The task that binds, unbinds and looks, one after the other.

use std::net::IpAddr;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use super::{News, ServiceAddress};
use crate::health::Target;
use crate::os::address::{Addresses, Ownership};

/// What is to be done.
pub(super) enum Order {
    /// Add the address to its interface.
    Bind(Target, IpAddr),
    /// Remove the address from its interface if the node added it.
    Unbind(Target, IpAddr),
    /// See which addresses are there.
    Look,
    /// Remove the unreachable routes of floors, and say so.
    RemoveRoutes(Vec<IpNet>, oneshot::Sender<()>),
}

pub(super) struct Task {
    pub(super) addresses: Addresses,
    pub(super) services: Vec<ServiceAddress>,
}

impl Task {
    /// Obeys until nobody can order any more.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>, news: mpsc::Sender<News>) {
        while let Some(order) = orders.recv().await {
            let told = match order {
                Order::Bind(target, address) => {
                    News::Bound(target, self.bind(target, address).await)
                }
                Order::Unbind(target, address) => {
                    self.unbind(target, address).await;
                    News::Unbound(target)
                }
                Order::Look => News::Looked(self.look().await),
                Order::RemoveRoutes(prefixes, done) => {
                    self.remove_routes(prefixes).await;
                    // Who asked may have gone.
                    let _ = done.send(());
                    continue;
                }
            };
            if news.send(told).await.is_err() {
                return;
            }
        }
    }

    async fn bind(&mut self, target: Target, address: IpAddr) -> bool {
        let Some(own) = self.services.iter_mut().find(|own| own.target == target) else {
            return false;
        };
        match self.addresses.bind(address, &own.interface).await {
            Ok(ownership) => {
                let how = match ownership {
                    Ownership::Added => "added",
                    Ownership::Adopted => "adopted from a predecessor",
                    Ownership::Foreign => "somebody else's",
                };
                tracing::info!(%address, interface = own.interface, how, "address bound");
                own.is_present = true;
            }
            Err(error) => {
                tracing::error!(%address, interface = own.interface, %error, "address not bound");
                own.is_present = false;
            }
        }
        own.is_present
    }

    async fn unbind(&mut self, target: Target, address: IpAddr) {
        let Some(own) = self.services.iter().find(|own| own.target == target) else {
            return;
        };
        match self.addresses.unbind(address, &own.interface).await {
            Ok(true) => tracing::info!(%address, interface = own.interface, "address unbound"),
            Ok(false) => tracing::info!(%address, "address left in place: it is somebody else's"),
            Err(error) => tracing::error!(%address, %error, "address not unbound"),
        }
    }

    async fn remove_routes(&mut self, prefixes: Vec<IpNet>) {
        for prefix in prefixes {
            if let Err(error) = self.addresses.remove_unreachable(prefix).await {
                tracing::error!(%prefix, %error, "unreachable route not removed");
            }
        }
    }

    /// The addresses that have come or gone.
    async fn look(&mut self) -> Vec<(Target, bool)> {
        let mut changes = Vec::new();
        for own in &mut self.services {
            match self.addresses.is_present(own.address).await {
                Ok(is_present) if is_present != own.is_present => {
                    own.is_present = is_present;
                    changes.push((own.target, is_present));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(address = %own.address, %error, "address not looked at");
                }
            }
        }
        changes
    }
}
