//! The links of unnumbered neighbours: who advertises this node there, and who was heard.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::bgp::{self, NeighborAddress};
use crate::os::advertisement::{self, Attachment, Choice, Metrics, Router};
use crate::os::gateway::View;

/// All of them.
pub(super) struct Unnumbered {
    links: Vec<Link>,
    has_news: Rc<Cell<bool>>,
}

struct Link {
    interface: String,
    attachment: watch::Sender<Option<Attachment>>,
    routers: watch::Receiver<Vec<Router>>,
}

impl Unnumbered {
    /// Starts a task for each interface; `changed` is notified of each router that was not known.
    pub(super) fn start(
        settings: Option<&bgp::Settings>,
        metrics: &Metrics,
        changed: &Rc<Notify>,
    ) -> Self {
        let has_news = Rc::new(Cell::new(false));
        let mut links: Vec<Link> = Vec::new();
        let neighbors = settings.map_or(&[][..], |settings| &settings.neighbors);
        for neighbor in neighbors {
            let NeighborAddress::Interface(interface) = &neighbor.address else {
                continue;
            };
            if links.iter().any(|link| link.interface == *interface) {
                continue;
            }
            let (attachment, wanted) = watch::channel(None);
            let (heard, routers) = watch::channel(Vec::new());
            let (news, bell) = (Rc::clone(&has_news), Rc::clone(changed));
            let ring = move || {
                news.set(true);
                bell.notify_one();
            };
            let running = advertisement::run(wanted, heard, metrics.interface(interface), ring);
            tokio::task::spawn_local(running);
            links.push(Link {
                interface: interface.clone(),
                attachment,
                routers,
            });
        }
        Self { links, has_news }
    }

    /// Whether a router was heard for the first time since this was asked last.
    pub(super) fn take_news(&self) -> bool {
        self.has_news.take()
    }

    /// Advertises wherever that is possible now, and nowhere else.
    pub(super) fn attach(&self, view: &View) {
        for link in &self.links {
            let attachment = view.attachment(&link.interface).ok();
            link.attachment.send_if_modified(|known| {
                let is_new = *known != attachment;
                *known = attachment;
                is_new
            });
        }
    }

    /// Carrier is gone: whoever is on the link when it is back says so anew.
    pub(super) fn take_link_down(&self, interface_index: u32) {
        for link in &self.links {
            link.attachment.send_if_modified(|known| {
                let gone = known.take_if(|known| known.interface_index == interface_index);
                gone.is_some()
            });
        }
    }

    /// The router on an interface. `current` is whom a session is kept with, `is_up` or not.
    pub(super) fn choose(
        &self,
        interface: &str,
        view: &View,
        current: Option<Ipv6Addr>,
        is_up: bool,
        now: Instant,
    ) -> Choice {
        let link = self.links.iter().find(|link| link.interface == interface);
        let routers = link.map(|link| link.routers.borrow().clone());
        let heard = advertisement::choose(&routers.unwrap_or_default(), current, is_up, now);
        if heard.router.is_some() {
            return heard;
        }
        // One that answers solicitations only, or whose advertisements are filtered.
        let attachment = view.attachment(interface).ok();
        let known = attachment.and_then(|own| view.known_routers(own.interface_index).next());
        Choice {
            router: known,
            others: Vec::new(),
        }
    }
}

/// The address of an IPv6 neighbour.
pub(super) fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}
