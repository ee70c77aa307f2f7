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
    /// Of the task there.
    state: watch::Sender<advertisement::Link>,
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
            let (state, known) = watch::channel(advertisement::Link::default());
            let (heard, routers) = watch::channel(Vec::new());
            let (news, bell) = (Rc::clone(&has_news), Rc::clone(changed));
            let ring = move || {
                news.set(true);
                bell.notify_one();
            };
            let running = advertisement::run(known, heard, metrics.interface(interface), ring);
            tokio::task::spawn_local(running);
            links.push(Link {
                interface: interface.clone(),
                state,
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
            link.state.send_if_modified(|known| {
                let is_new = known.attachment != attachment;
                known.attachment = attachment;
                is_new
            });
        }
    }

    /// Carrier is gone: whoever is on the link when it is back says so anew.
    pub(super) fn take_link_down(&self, interface_index: u32) {
        for link in &self.links {
            link.state.send_if_modified(|known| {
                let is_there = |own: &mut Attachment| own.interface_index == interface_index;
                known.attachment.take_if(is_there).is_some()
            });
        }
    }

    /// Whether the session of each interface is up: a router without one must hear of this node.
    pub(super) fn take_sessions(&self, is_up: impl Fn(&str) -> bool) {
        for link in &self.links {
            let is_up = is_up(&link.interface);
            link.state.send_if_modified(|known| {
                std::mem::replace(&mut known.is_session_up, is_up) != is_up
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

/// A session of an unnumbered neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) router: Ipv6Addr,
    pub(super) is_up: bool,
    /// Another router has taken its place, or is to.
    pub(super) is_obsolete: bool,
}

/// Whom the session is with, and whether it is up. One that is up counts before the one that is to
/// take its place: if its router speaks again, it was none that had changed its address.
pub(super) fn current(sessions: impl Iterator<Item = Known>) -> (Option<Ipv6Addr>, bool) {
    let likely = sessions.filter(|known| known.is_up || !known.is_obsolete);
    let current = likely.max_by_key(|known| (known.is_up, !known.is_obsolete));
    current.map_or((None, false), |known| (Some(known.router), known.is_up))
}

/// The address of an IPv6 neighbour.
pub(super) fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

    use std::time::Duration;

    use super::*;
    use crate::os::advertisement::LinkLayer;

    fn link() -> (
        Unnumbered,
        watch::Sender<Vec<Router>>,
        watch::Receiver<advertisement::Link>,
    ) {
        let (state, known) = watch::channel(advertisement::Link::default());
        let (heard, routers) = watch::channel(Vec::new());
        let links = vec![Link {
            interface: "eth1".to_owned(),
            state,
            routers,
        }];
        let has_news = Rc::default();
        (Unnumbered { links, has_news }, heard, known)
    }

    fn host() -> View {
        View::example(&[(3, "eth1", &["fe80::53/64"])])
    }

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_router_that_the_kernel_knows_is_taken_until_one_is_heard() {
        let now = Instant::now();
        let (links, heard, _wanted) = link();
        let chosen = |view: &View| links.choose("eth1", view, None, false, now).router;
        assert_eq!(chosen(&host()), None);
        // On another link.
        assert_eq!(chosen(&host().with_router(4, "fe80::1")), None);
        let view = host().with_router(3, "fe80::1");
        assert_eq!(chosen(&view), Some(ip("fe80::1")));
        heard.send_replace(vec![Router {
            address: ip("fe80::2"),
            link_layer: None,
            heard: (now, now),
        }]);
        assert_eq!(chosen(&view), Some(ip("fe80::2")));
    }

    /// Somebody with the router's link-layer address said that it has another address now, and it has
    /// not: once its session was then given up at last, though it was the only one that was up.
    #[test]
    fn an_established_router_that_speaks_again_is_kept() {
        let second = Duration::from_secs(1);
        let (links, heard, _wanted) = link();
        let start = Instant::now();
        let link_layer = LinkLayer::try_from([2, 0, 0, 0, 0, 1].as_slice()).ok();
        let router = |address: &str, first: u32, last: u32| Router {
            address: ip(address),
            link_layer,
            heard: (start + first * second, start + last * second),
        };
        let session = |address: &str, is_up, is_obsolete| Known {
            router: ip(address),
            is_up,
            is_obsolete,
        };
        let chosen = |sessions: &[Known], now: u32| {
            let (current, is_up) = current(sessions.iter().copied());
            let now = start + now * second;
            links.choose("eth1", &host(), current, is_up, now).router
        };
        let before = [session("fe80::1", true, false)];
        heard.send_replace(vec![router("fe80::1", 0, 10), router("fe80::2", 11, 11)]);
        assert_eq!(chosen(&before, 11), Some(ip("fe80::2")));
        let both = [
            session("fe80::1", true, true),
            session("fe80::2", false, false),
        ];
        assert_eq!(chosen(&both, 11), Some(ip("fe80::2")));
        heard.send_replace(vec![router("fe80::1", 0, 12), router("fe80::2", 11, 11)]);
        assert_eq!(chosen(&both, 12), Some(ip("fe80::1")));
        // It was true: the new session is up, or the old one is over.
        let moved = [
            session("fe80::1", true, true),
            session("fe80::2", true, false),
        ];
        assert_eq!(current(moved.into_iter()), (Some(ip("fe80::2")), true));
        let over = [
            session("fe80::1", false, true),
            session("fe80::2", false, false),
        ];
        assert_eq!(current(over.into_iter()), (Some(ip("fe80::2")), false));
    }

    #[test]
    fn a_link_is_advertised_on_while_it_has_carrier_and_an_address() {
        let (links, _heard, mut wanted) = link();
        links.attach(&host());
        let own = wanted.borrow_and_update().attachment.clone().unwrap();
        assert_eq!((own.interface_index, own.address), (3, ip("fe80::53")));
        // Nothing new: a second start would repeat what was said.
        links.attach(&host());
        assert!(!wanted.has_changed().unwrap());
        links.take_link_down(4);
        assert!(!wanted.has_changed().unwrap());
        links.take_link_down(3);
        assert_eq!(wanted.borrow_and_update().attachment, None);
        links.attach(&host().tentative("fe80::53"));
        assert!(!wanted.has_changed().unwrap());
    }
}
