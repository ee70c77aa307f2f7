//! How a neighbour's TCP connection is guarded: `password_file`, `ttl_security`, `multihop_ttl`.
//!
//! Source: RFC 2385 (TCP-MD5), RFC 5082 (GTSM), RFC 5925 (TCP-AO).
//! Not done on purpose: TCP-AO. Linux has it from 6.7 on if it was built with it, and no kernel that
//! this version was tested on was.

use crate::bgp::{NeighborAddress, NeighborSettings, Password, Security, Ttl};
use crate::config::check::{Checker, file};
use crate::config::key_path::KeyPath;
use crate::config::raw;

impl Checker<'_> {
    pub(super) fn security(
        &mut self,
        raw: &raw::Neighbor,
        neighbor: Option<&NeighborAddress>,
        path: &KeyPath,
    ) -> Security {
        if raw.tcp_ao.is_some() {
            let text = "TCP-AO cannot be used yet: few kernels have it (CONFIG_TCP_AO), and this \
                        version was tested on none of them; use password_file";
            self.error(&path.key("tcp_ao"), text);
        }
        Security {
            ttl: self.ttl(raw, neighbor, path),
            password: self.password(raw.password_file.as_deref(), &path.key("password_file")),
        }
    }

    fn ttl(
        &mut self,
        raw: &raw::Neighbor,
        neighbor: Option<&NeighborAddress>,
        path: &KeyPath,
    ) -> Ttl {
        let is_secured = raw.ttl_security == Some(true);
        let Some(hops) = raw.multihop_ttl else {
            return if is_secured {
                Ttl::Security
            } else {
                Ttl::Direct
            };
        };
        let path = path.key("multihop_ttl");
        let hops = self.number(&path, Some(hops), 2..=255);
        if is_secured {
            let text = "with ttl_security the neighbor is one hop away; remove one of them";
            self.error(&path, text);
        } else if matches!(
            neighbor,
            Some(NeighborAddress::Interface(_) | NeighborAddress::LinkLocal { .. })
        ) {
            self.error(
                &path,
                "this neighbor is on the link, one hop away; remove it",
            );
        }
        Ttl::Multihop(hops)
    }

    /// What a listening socket demands goes by address alone, for the kernel takes no other interface
    /// in a TCP-MD5 key than a VRF (`TCP_MD5SIG_FLAG_IFINDEX`): of two link-local neighbours with one
    /// address and two passwords one would not be heard.
    pub(super) fn one_password(
        &mut self,
        neighbor: &NeighborSettings,
        before: &[NeighborSettings],
        path: &KeyPath,
    ) {
        let NeighborAddress::LinkLocal { address, interface } = &neighbor.address else {
            return;
        };
        let clash = before.iter().find_map(|other| match &other.address {
            NeighborAddress::LinkLocal {
                address: its,
                interface: there,
            } => {
                let is_one = its == address && (neighbor.passive || other.passive);
                let differs = other.security.password != neighbor.security.password;
                (is_one && differs).then_some(there)
            }
            NeighborAddress::Ip(_)
            | NeighborAddress::DefaultGateway
            | NeighborAddress::Interface(_) => None,
        });
        let has_failed = self.has_failed(&path.key("password_file"));
        if let Some(there) = clash.filter(|_| !has_failed) {
            let text = format!(
                "{address}%{there} and {address}%{interface} have one address and not the same \
                 password: where connections of neighbors are accepted the kernel knows one \
                 password per address; give both the same, or let this node dial both"
            );
            self.error(&path.key("address"), &text);
        }
    }

    /// The secret is read here, for a node that starts without it could not tell why nobody answers.
    fn password(&mut self, file: Option<&str>, path: &KeyPath) -> Option<Password> {
        let read = file::secret_line(
            file?,
            Password::MAX,
            "who could then reset or take over sessions",
        );
        // The length has been looked at.
        read.map(|octets| Password::new(&octets))
            .unwrap_or_else(|text| {
                self.error(path, &text);
                None
            })
    }
}
