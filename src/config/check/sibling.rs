//! `[[forward]] last_resort`: the other nodes of the service, and whether they can ask this one.

use std::net::SocketAddr;

use crate::announce::ServiceSettings;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::dns::{ForwardZone, ListenAddress, UpstreamAddress};

use super::zone::service_problem;
use super::{Checker, elements, upstream};

impl Checker<'_> {
    /// The list is the same on all nodes, so a node's own address may be on it.
    pub(super) fn last_resort(
        &mut self,
        list: &List<String>,
        upstreams: &[UpstreamAddress],
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<UpstreamAddress> {
        let mut siblings: Vec<UpstreamAddress> = Vec::new();
        for (path, text) in elements(list, path) {
            let sibling = match sibling(text, services) {
                Ok(sibling) => UpstreamAddress::Socket(sibling),
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            let problem = if upstreams.contains(&sibling) {
                format!("{text:?} is one of the upstreams too; remove it from one of the lists")
            } else if siblings.contains(&sibling) {
                format!("{text:?} is listed twice; remove one")
            } else {
                siblings.push(sibling);
                continue;
            };
            self.error(&path, &problem);
        }
        siblings
    }

    /// Who asks its siblings must be there for them too, at an address of its own.
    pub(super) fn siblings_may_ask(
        &mut self,
        raw: &List<raw::Forward>,
        zones: &[ForwardZone],
        listen: &[ListenAddress],
    ) {
        let is_elsewhere = |address: &UpstreamAddress| match address {
            UpstreamAddress::Socket(socket) => !socket.ip().is_loopback(),
            UpstreamAddress::Host { .. } | UpstreamAddress::System => false,
        };
        let has_siblings = zones
            .iter()
            .any(|zone| zone.last_resort.iter().any(is_elsewhere));
        let is_reachable = listen.iter().any(|address| match address {
            ListenAddress::Socket(socket) => !socket.ip().is_loopback(),
            ListenAddress::RouterId { .. } | ListenAddress::Interface { .. } => true,
        });
        if !has_siblings
            || is_reachable
            || self.has_failed(&KeyPath::root().key("dns").key("listen"))
        {
            return;
        }
        let path = KeyPath::root().key("forward");
        let with_siblings = elements(raw, &path).find(|(_, zone)| !zone.last_resort.is_empty());
        if let Some((path, _)) = with_siblings {
            let text = "these nodes cannot ask this one in turn, which listens on services and \
                        loopback addresses alone; add \"router-id\" to dns.listen";
            self.warning(&path.key("last_resort"), text);
        }
    }
}

fn sibling(text: &str, services: &[ServiceSettings]) -> Result<SocketAddr, String> {
    match upstream::parse(text)? {
        UpstreamAddress::Socket(socket) => match service_problem(socket.ip(), services) {
            Some(text) => Err(text),
            None => Ok(socket),
        },
        UpstreamAddress::Host { .. } | UpstreamAddress::System => Err(format!(
            "write an address, not {text:?}: a node knows its siblings by theirs"
        )),
    }
}
