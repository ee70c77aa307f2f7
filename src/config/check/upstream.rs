//! Upstreams as operators write them.

use std::net::{IpAddr, SocketAddr};

use crate::dns::UpstreamAddress;

use super::address;

/// The port of DNS over UDP and TCP.
const PORT: u16 = 53;

/// Reads an address, a host name, either with or without a port, or `system`.
pub(super) fn parse(text: &str) -> Result<UpstreamAddress, String> {
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(match scheme {
            "tls" | "https" | "quic" => format!(
                "{scheme}:// is not supported in this version, and it is never asked in plain \
                 text instead; write an address"
            ),
            _ => format!("{scheme}:// is not supported in this version; write an address"),
        });
    }
    if text == "system" {
        return Ok(UpstreamAddress::System);
    }
    let unbracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = unbracketed.unwrap_or(text).parse::<IpAddr>() {
        return host(SocketAddr::new(address, PORT));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return host(socket);
    }
    let (name, port) = match text.rsplit_once(':') {
        None => (text, PORT),
        Some((name, _)) if name.contains(':') || name.is_empty() => {
            return Err(format!(
                "write an address and a port as \"192.0.2.2:5353\" or \"[2001:db8::1]:53\", \
                 not {text:?}"
            ));
        }
        Some((name, port)) => match port.parse() {
            Ok(port) if port != 0 => (name, port),
            _ => return Err(format!("write a port from 1 to 65535, not {port:?}")),
        },
    };
    if !is_host_name(name) {
        return Err(format!(
            "write an address, a host name or \"system\", not {text:?}"
        ));
    }
    Ok(UpstreamAddress::Host {
        name: name.to_owned(),
        port,
    })
}

fn host(socket: SocketAddr) -> Result<UpstreamAddress, String> {
    if socket.port() == 0 {
        return Err("write a port from 1 to 65535, not 0".to_owned());
    }
    if let Some(reason) = address::not_a_host(socket.ip()) {
        return Err(format!("write another address: {} {reason}", socket.ip()));
    }
    if let SocketAddr::V6(socket) = socket
        && socket.ip().is_unicast_link_local()
        && socket.scope_id() == 0
    {
        return Err(format!(
            "add the index of the interface: \"[{}%2]:{}\"",
            socket.ip(),
            socket.port()
        ));
    }
    Ok(UpstreamAddress::Socket(socket))
}

/// RFC 1123 §2.1, and underscores. A last label of digits alone is a mistyped address.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels_fit = name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    });
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|octet| octet.is_ascii_digit()));
    name.len() <= 253 && labels_fit && !last_is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> UpstreamAddress {
        UpstreamAddress::Socket(text.parse().unwrap())
    }

    #[test]
    fn addresses_are_read_with_and_without_port() {
        assert_eq!(parse("192.0.2.1"), Ok(socket("192.0.2.1:53")));
        assert_eq!(parse("192.0.2.2:5353"), Ok(socket("192.0.2.2:5353")));
        assert_eq!(parse("2001:db8::1"), Ok(socket("[2001:db8::1]:53")));
        assert_eq!(parse("[2001:db8::1]"), Ok(socket("[2001:db8::1]:53")));
        assert_eq!(parse("[2001:db8::1]:54"), Ok(socket("[2001:db8::1]:54")));
        assert_eq!(parse("[fe80::1%2]:53"), Ok(socket("[fe80::1%2]:53")));
        assert_eq!(parse("system"), Ok(UpstreamAddress::System));
    }

    #[test]
    fn host_names_are_read_with_and_without_port() {
        let host = |name: &str, port| {
            Ok(UpstreamAddress::Host {
                name: name.to_owned(),
                port,
            })
        };
        assert_eq!(parse("dns.example.net"), host("dns.example.net", 53));
        assert_eq!(parse("dns.example.net:54"), host("dns.example.net", 54));
    }

    #[test]
    fn encrypted_transports_are_refused_as_not_supported() {
        for text in ["tls://192.0.2.1", "https://dns.example/q", "quic://a"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("not supported in this version"), "{error}");
        }
    }

    #[test]
    fn what_is_neither_address_nor_name_is_refused() {
        for text in [
            "",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2.1:",
            ":53",
            "2001:db8::1:zz",
            "a b",
            "-a.example",
            "a..b",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "fe80::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
