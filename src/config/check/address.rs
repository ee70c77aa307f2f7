//! Addresses, ports and prefixes as operators write them. Errors say what to write instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// `IFNAMSIZ` without the final zero octet.
const INTERFACE_MAX: usize = 15;

/// Whether an interface can have this name: what the kernel's `dev_valid_name` takes.
pub(super) fn is_interface(name: &str) -> bool {
    (1..=INTERFACE_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
}

/// An address without port or prefix length.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| match text.split_once('/') {
        Some((address, _)) => format!("write the address alone: {address:?}"),
        None => format!(
            "write an IPv4 or IPv6 address, such as \"192.0.2.1\" or \"2001:db8::1\", not {text:?}"
        ),
    })
}

/// An address with a port; where there is a default port, the address alone will do.
pub(super) fn socket(text: &str, default_port: Option<u16>) -> Result<SocketAddr, String> {
    let alone: Option<IpAddr> = text.parse().ok();
    let socket = match (alone, default_port) {
        (Some(address), Some(port)) => Some(SocketAddr::new(address, port)),
        _ => text.parse().ok(),
    };
    match socket {
        Some(socket) if socket.port() == 0 => Err("write a port from 1 to 65535".to_owned()),
        Some(socket) => Ok(socket),
        None => Err(format!(
            "write an address and a port, such as \"127.0.0.1:5300\" or \"[::1]:5300\", not {text:?}"
        )),
    }
}

/// A prefix without host bits.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| {
        format!("write a prefix, such as \"10.0.0.0/8\" or \"2001:db8::/32\", not {text:?}")
    })?;
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        // Those who come over IPv4 are seen with their IPv4 address. 96 bits stand before it.
        return Err(match v6.prefix_len().checked_sub(96) {
            Some(length) => format!("write it as IPv4: \"{v4}/{length}\", not {text:?}"),
            None => format!(
                "write another prefix: {text:?} begins with an IPv4 address in IPv6 clothes"
            ),
        });
    }
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!(
            "bits are set behind the prefix length; write \"{}\"",
            net.trunc()
        ))
    }
}

/// Why this cannot be the address of one host, if so.
pub(super) fn not_a_host(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_a_host_v4(address),
        IpAddr::V6(address) => not_a_host_v6(address),
    }
}

fn not_a_host_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("stands for no address at all")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if address.is_broadcast() {
        Some("is the broadcast address")
    } else {
        None
    }
}

fn not_a_host_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("stands for no address at all")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("is an IPv4 address in IPv6 clothes")
    } else {
        None
    }
}
