//! Service addresses on an interface: bound before their route is announced, unbound last.
//!
//! Source: rtnetlink(7), RFC 4862 §5.5.4 (deprecated addresses), RFC 6724 §5 rule 3.
//! Only what a node added itself is ever removed. It is known by its mark: IFA_PROTO where the
//! kernel has it (5.18), else a line in a file of the runtime directory. What a killed predecessor
//! left is adopted when it is still configured, removed when it is not; while another node runs in
//! the same network namespace, nothing is adopted and nothing is removed that it may have added.
//! A service address must never be chosen as a source: IPv4 gets scope host, IPv6 a preferred
//! lifetime of 0.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope, CacheInfo,
};

use self::journal::Journal;
use super::netlink::{Assigned, Netlink, NetlinkError, request};

mod journal;
mod unreachable;

/// Address and route protocol number of what a node adds; assigned to nobody else so far.
const MARK: u8 = 53;
/// Held by the first node of a network namespace (abstract names belong to the namespace).
const SOLE_NODE_NAME: &str = "sidestep/addresses";

/// Whose an address or route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This process has added it.
    Added,
    /// A killed predecessor had added it.
    Adopted,
    /// Somebody else's: used, never removed.
    Foreign,
}

/// Why an address or route is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The interface does not exist.
    #[error("there is no interface {interface}")]
    NoInterface {
        /// As configured.
        interface: String,
    },
    /// It was gone again right after it had been added.
    #[error("{address} disappeared from {interface} as soon as it was added")]
    Vanished {
        /// The address.
        address: IpAddr,
        /// Where it should be.
        interface: String,
    },
    /// Often a missing CAP_NET_ADMIN.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Binds and unbinds; knows what is its own.
#[derive(Debug)]
pub struct Addresses {
    netlink: Netlink,
    journal: Journal,
    /// Held as long as the process lives; `None`: another node has it.
    sole: Option<UnixDatagram>,
    owned: BTreeSet<(IpAddr, u32)>,
    owned_routes: BTreeSet<IpNet>,
}

impl Addresses {
    /// Takes over what the runtime directory (`/run/sidestep`) says about a predecessor.
    ///
    /// # Errors
    /// The directory's record exists and cannot be read, or no Unix socket can be made.
    pub fn open(netlink: Netlink, runtime_directory: &Path) -> io::Result<Self> {
        let name = SocketAddr::from_abstract_name(SOLE_NODE_NAME)?;
        let sole = match UnixDatagram::bind_addr(&name) {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            netlink,
            journal: Journal::open(runtime_directory)?,
            sole,
            owned: BTreeSet::new(),
            owned_routes: BTreeSet::new(),
        })
    }

    /// Whether no other node runs in this network namespace; else nothing is adopted.
    #[must_use]
    pub fn is_sole_node(&self) -> bool {
        self.sole.is_some()
    }

    /// Makes sure that the interface has the address, as /32 or /128.
    ///
    /// # Errors
    /// See [`AddressError`]; a later attempt may succeed.
    pub async fn bind(
        &mut self,
        address: IpAddr,
        interface: &str,
    ) -> Result<Ownership, AddressError> {
        let index = self.interface_index(interface).await?;
        let before = self.netlink.addresses().await?;
        if let Some(found) = find(&before, address, Some(index)) {
            let ownership = self.ownership(found, interface);
            if ownership != Ownership::Foreign {
                self.owned.insert((address, index));
            }
            return Ok(ownership);
        }
        let added = match self.add(address, index).await {
            Ok(()) => true,
            Err(error) if error.errno() == Some(libc::EEXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let after = self.netlink.addresses().await?;
        let Some(found) = find(&after, address, Some(index)) else {
            let interface = interface.to_owned();
            return Err(AddressError::Vanished { address, interface });
        };
        if !added {
            return Ok(self.ownership(found, interface));
        }
        self.owned.insert((address, index));
        if found.mark != Some(MARK) {
            self.remember(address, interface);
        }
        Ok(Ownership::Added)
    }

    /// Removes the address if this node added or adopted it; says whether it did.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub async fn unbind(&mut self, address: IpAddr, interface: &str) -> Result<bool, AddressError> {
        let index = self.interface_index(interface).await?;
        if !self.owned.remove(&(address, index)) {
            return Ok(false);
        }
        let present = self.netlink.addresses().await?;
        let still_ours = find(&present, address, Some(index))
            .is_some_and(|found| is_marked(found, interface, &self.journal));
        if still_ours {
            self.delete(address, index).await?;
        }
        self.forget(address, interface);
        Ok(still_ours)
    }

    /// Whether some interface has the address and duplicate detection does not forbid its use.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub async fn is_present(&self, address: IpAddr) -> Result<bool, AddressError> {
        let present = self.netlink.addresses().await?;
        Ok(find(&present, address, None).is_some_and(|found| !found.duplicate))
    }

    /// Removes marked addresses that a predecessor left and that are in `configured` no more.
    ///
    /// # Errors
    /// See [`AddressError`]; some may have been removed already.
    pub async fn remove_leftovers(
        &mut self,
        configured: &[(IpAddr, String)],
    ) -> Result<Vec<IpAddr>, AddressError> {
        if !self.is_sole_node() {
            return Ok(Vec::new());
        }
        let links = self.netlink.links().await?;
        let mut removed = Vec::new();
        for found in self.netlink.addresses().await? {
            let interface = links
                .iter()
                .find(|link| link.index == found.index)
                .map_or("", |link| &link.name);
            let wanted = configured
                .iter()
                .any(|(address, name)| *address == found.address && name == interface);
            if !wanted && is_marked(&found, interface, &self.journal) {
                self.delete(found.address, found.index).await?;
                self.forget(found.address, interface);
                removed.push(found.address);
            }
        }
        Ok(removed)
    }

    fn ownership(&self, found: &Assigned, interface: &str) -> Ownership {
        if self.owned.contains(&(found.address, found.index)) {
            Ownership::Added
        } else if self.is_sole_node() && is_marked(found, interface, &self.journal) {
            Ownership::Adopted
        } else {
            Ownership::Foreign
        }
    }

    async fn interface_index(&self, interface: &str) -> Result<u32, AddressError> {
        let links = self.netlink.links().await?;
        let found = links.iter().find(|link| link.name == interface);
        found
            .map(|link| link.index)
            .ok_or_else(|| AddressError::NoInterface {
                interface: interface.to_owned(),
            })
    }

    async fn add(&self, address: IpAddr, index: u32) -> Result<(), NetlinkError> {
        let handle = self.netlink.handle();
        let mut addition = handle.address().add(index, address, host_length(address));
        *addition.message_mut() = message(address, index);
        request("add an address", addition.execute()).await
    }

    async fn delete(&self, address: IpAddr, index: u32) -> Result<(), NetlinkError> {
        let handle = self.netlink.handle();
        let deletion = handle.address().del(message(address, index));
        match request("remove an address", deletion.execute()).await {
            Err(error) if error.errno() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other,
        }
    }

    fn remember(&mut self, address: IpAddr, interface: &str) {
        if let Err(error) = self.journal.add(address, interface) {
            tracing::warn!(%address, interface, %error, "a killed node's address would stay: no record");
        }
    }

    fn forget(&mut self, address: IpAddr, interface: &str) {
        if let Err(error) = self.journal.remove(address, interface) {
            tracing::warn!(%address, interface, %error, "record of bound addresses not updated");
        }
    }
}

/// The first fitting entry that is no mere prefix neighbour.
fn find(present: &[Assigned], address: IpAddr, index: Option<u32>) -> Option<&Assigned> {
    present
        .iter()
        .find(|found| found.address == address && index.is_none_or(|index| found.index == index))
}

/// Whether a node added it: by the kernel's mark, or by the record of kernels without marks.
fn is_marked(found: &Assigned, interface: &str, journal: &Journal) -> bool {
    let marked = match found.mark {
        Some(mark) => mark == MARK,
        None => journal.contains(found.address, interface),
    };
    marked && found.prefix_length == host_length(found.address)
}

fn host_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn message(address: IpAddr, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = host_length(address);
    message.attributes = vec![
        AddressAttribute::Address(address),
        AddressAttribute::Local(address),
        AddressAttribute::Protocol(AddressProtocol::Other(MARK)),
    ];
    match address {
        IpAddr::V4(_) => {
            message.header.family = AddressFamily::Inet;
            message.header.scope = AddressScope::Host;
        }
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_preferred = 0;
            lifetime.ifa_valid = u32::MAX;
            message
                .attributes
                .push(AddressAttribute::CacheInfo(lifetime));
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, prefix_length: u8, mark: Option<u8>) -> Assigned {
        Assigned {
            index: 1,
            address: address.parse().unwrap(),
            prefix_length,
            global: true,
            host_only: false,
            secondary: false,
            deprecated: false,
            tentative: false,
            duplicate: false,
            mark,
        }
    }

    #[test]
    fn an_address_is_ours_by_the_kernels_mark_or_by_the_record_where_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path()).unwrap();
        let marked = found("10.53.53.53", 32, Some(MARK));
        let unmarked = found("10.53.53.53", 32, None);
        let kernels = found("10.53.53.53", 32, Some(1));
        assert!(is_marked(&marked, "lo", &journal));
        assert!(!is_marked(&unmarked, "lo", &journal));
        journal.add(unmarked.address, "lo").unwrap();
        assert!(is_marked(&unmarked, "lo", &journal));
        assert!(!is_marked(&unmarked, "eth0", &journal));
        assert!(!is_marked(&kernels, "lo", &journal));
    }

    #[test]
    fn an_address_with_a_wider_prefix_is_never_ours() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert!(!is_marked(
            &found("10.53.53.53", 24, Some(MARK)),
            "lo",
            &journal
        ));
        assert!(!is_marked(
            &found("fd53::53", 64, Some(MARK)),
            "lo",
            &journal
        ));
        assert!(is_marked(
            &found("fd53::53", 128, Some(MARK)),
            "lo",
            &journal
        ));
    }

    /// RFC 6724 §5 rule 3 avoids deprecated sources; Linux never uses one of scope host abroad.
    #[test]
    fn a_service_address_is_added_so_that_it_is_never_chosen_as_a_source() {
        let v4 = message("10.53.53.53".parse().unwrap(), 1);
        assert_eq!(v4.header.scope, AddressScope::Host);
        let v6 = message("fd53::53".parse().unwrap(), 1);
        let preferred = v6.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(info) => Some((info.ifa_preferred, info.ifa_valid)),
            _ => None,
        });
        assert_eq!(preferred, Some((0, u32::MAX)));
        assert!(v6.header.flags.contains(AddressHeaderFlags::Nodad));
    }
}
