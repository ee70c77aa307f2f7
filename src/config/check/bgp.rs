//! `[bgp]` and `[node] router_id`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::announce::ServiceSettings;
use crate::bgp::Settings;
use crate::config::key_path::KeyPath;
use crate::config::raw::{DurationText, List, Raw};

use super::{Checker, address, elements, owner, service};

mod bfd;
mod guard;
mod marks;
mod neighbor;

/// RFC 4271 §4.
const PORT: u16 = 179;
/// RFC 4271 §4.2.
const HOLD_TIME_MIN: Duration = Duration::from_secs(3);
const HOLD_TIME_MAX_S: u64 = 65535;

impl Checker<'_> {
    /// `None` without a neighbour; what else stands in `[bgp]` is checked all the same.
    pub(super) fn bgp(&mut self, raw: &Raw, services: &[ServiceSettings]) -> Option<Settings> {
        let root = KeyPath::root();
        let path = root.key("bgp");
        let router_path = root.key("node").key("router_id");
        let router_id = self.router_id(raw.node.router_id.as_deref(), services, &router_path);
        let hold_time = self.hold_time(raw.bgp.hold_time.as_ref(), &path.key("hold_time"));
        let listen = self.bgp_listen(&raw.bgp.listen, services, &path.key("listen"));
        let asn = raw.bgp.asn.map(|number| {
            asn(number).unwrap_or_else(|text| {
                self.error(&path.key("asn"), &text);
                0
            })
        });
        let node = neighbor::Node {
            asn,
            hold_time,
            listen: &listen,
            listens: !raw.bgp.listen.is_empty(),
            services,
        };
        let neighbors = self.neighbors(&raw.bgp.neighbor, &node, &path.key("neighbor"));
        if neighbors.is_empty() {
            return None;
        }
        if asn.is_none() {
            self.missing(&path, "asn", "65053, the AS number of the node");
        }
        Some(Settings {
            asn: asn.unwrap_or_default(),
            router_id,
            listen,
            neighbors,
        })
    }

    /// RFC 6286 §2.1: not zero. It must differ between nodes, so no service's address will do.
    fn router_id(
        &mut self,
        raw: Option<&str>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Option<Ipv4Addr> {
        let text = raw.filter(|text| *text != "auto")?;
        let Ok(router_id) = text.parse::<Ipv4Addr>() else {
            let text = format!("write \"auto\" or an IPv4 address, not {text:?}");
            self.error(path, &text);
            return None;
        };
        let address = IpAddr::V4(router_id);
        if let Some(reason) = address::not_a_host(address) {
            let text = format!("write an IPv4 address of this node: {router_id} {reason}");
            self.error(path, &text);
        } else if let Some(service) = owner(services, address) {
            let text = format!(
                "{router_id} is the anycast address of service {:?}, the same on every node; \
                 write an address of this node alone, or \"auto\"",
                service.name
            );
            self.error(path, &text);
        } else if let Some(text) = service::covered_by_floor(services, address) {
            self.error(path, &text);
        }
        Some(router_id)
    }

    /// RFC 4271 §4.2: zero, or at least three seconds.
    fn hold_time(&mut self, raw: Option<&DurationText>, path: &KeyPath) -> Option<Duration> {
        let duration = self.seconds(path, raw, 0..=HOLD_TIME_MAX_S);
        if duration.is_zero() {
            return None;
        }
        if duration < HOLD_TIME_MIN && !self.has_failed(path) {
            let text = "write at least \"3s\", for RFC 4271 forbids 1 s and 2 s, \
                        or \"0s\" for no hold timer at all";
            self.error(path, text);
        }
        Some(duration)
    }

    fn bgp_listen(
        &mut self,
        list: &List<String>,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<SocketAddr> {
        let mut sockets: Vec<SocketAddr> = Vec::new();
        for (path, text) in elements(list, path) {
            let socket = match address::socket(text, Some(PORT)) {
                Ok(socket) => socket,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            match listen_problem(socket, &sockets, services) {
                Some(text) => self.error(&path, &text),
                None => sockets.push(socket),
            }
        }
        sockets
    }
}

fn listen_problem(
    socket: SocketAddr,
    before: &[SocketAddr],
    services: &[ServiceSettings],
) -> Option<String> {
    let address = socket.ip();
    if let Some(service) = owner(services, address) {
        return Some(format!(
            "{address} is the anycast address of service {:?}; write an address of this node alone",
            service.name
        ));
    }
    if !address.is_unspecified()
        && let Some(reason) = address::not_a_host(address)
    {
        return Some(format!("write an address of this node: {address} {reason}"));
    }
    // There is one such address on each interface. RFC 4007 §6.
    if let SocketAddr::V6(socket) = socket
        && socket.ip().is_unicast_link_local()
        && socket.scope_id() == 0
    {
        let port = socket.port();
        return Some(format!(
            "write \"[::]:{port}\", or add the index of the interface: \"[{address}%2]:{port}\""
        ));
    }
    if before.contains(&socket) {
        return Some(format!("{socket} is listed twice; remove one"));
    }
    // The kernel would refuse the second one.
    let clash = before.iter().find(|other| {
        other.is_ipv4() == socket.is_ipv4()
            && other.port() == socket.port()
            && (other.ip().is_unspecified() || address.is_unspecified())
    });
    clash.map(|other| format!("{other} and {socket} overlap, so only one can be bound; remove one"))
}

/// RFC 7607 (0), RFC 6793 §9 (23456), RFC 7300 (the last of each size).
fn asn(number: i64) -> Result<u32, String> {
    let Ok(asn) = u32::try_from(number) else {
        return Err(format!(
            "write an AS number from 1 to 4294967294, not {number}"
        ));
    };
    match asn {
        0 | 23456 | 65535 | u32::MAX => Err(format!(
            "write another AS number: {asn} is reserved; private ones are 64512 to 65534"
        )),
        asn => Ok(asn),
    }
}
