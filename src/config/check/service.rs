//! `[[service]]`: what is announced, and how it is made less attractive.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::announce::{BackupSettings, ServiceSettings};
use crate::bgp::GRACEFUL_SHUTDOWN;
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::health::{AnsweredBy, OnLocalFault, OnSharedFault};

use super::{Checker, address, elements, owner};

/// Octets; the name stands in logs, metrics and on the control socket.
const NAME_MAX: usize = 255;

impl Checker<'_> {
    pub(super) fn services(
        &mut self,
        raw: &List<raw::Service>,
        path: &KeyPath,
    ) -> Vec<ServiceSettings> {
        let mut services: Vec<ServiceSettings> = Vec::new();
        for (path, raw) in elements(raw, path) {
            let service = self.service(raw, &services, &path);
            services.push(service);
        }
        for (path, raw) in elements(raw, path) {
            self.floors_of_others(raw, &services, &path.key("floor"));
        }
        services
    }

    fn service(
        &mut self,
        raw: &raw::Service,
        before: &[ServiceSettings],
        path: &KeyPath,
    ) -> ServiceSettings {
        let name = self.service_name(raw, before, path);
        let addresses = self.service_addresses(raw, before, path);
        let floor = self.floors(&raw.floor, &addresses, &path.key("floor"));
        ServiceSettings {
            name,
            addresses,
            port: self.port(&path.key("port"), raw.port, 53),
            interface: self.interface(raw.interface.as_deref(), &path.key("interface")),
            on_shared_fault: self.on_shared_fault(raw, &path.key("on_shared_fault")),
            on_local_fault: self.on_local_fault(raw, &path.key("on_local_fault")),
            answered_by: match raw.target {
                Some(_) => AnsweredBy::Another,
                None => AnsweredBy::Workers,
            },
            tcp: raw.tcp.unwrap_or(true),
            // What needs to know more than this table comes later.
            checks: Vec::new(),
            backup: self.backup(&raw.backup, &path.key("backup")),
            floor,
        }
    }

    fn service_name(
        &mut self,
        raw: &raw::Service,
        before: &[ServiceSettings],
        path: &KeyPath,
    ) -> String {
        let Some(name) = &raw.name else {
            self.missing(path, "name", "\"resolver\", or whatever you call it");
            return String::new();
        };
        let path = path.key("name");
        if let Some(text) = name_problem(name) {
            self.error(&path, &text);
        } else if before.iter().any(|service| service.name == *name) {
            let text = format!("another service is named {name:?} already; choose another name");
            self.error(&path, &text);
        }
        name.clone()
    }

    fn service_addresses(
        &mut self,
        raw: &raw::Service,
        before: &[ServiceSettings],
        path: &KeyPath,
    ) -> Vec<IpAddr> {
        let Some(list) = raw.addresses.as_ref() else {
            self.missing(path, "addresses", "[\"10.53.53.53\"], the anycast address");
            return Vec::new();
        };
        let path = path.key("addresses");
        if list.is_empty() {
            self.error(&path, "list one IPv4 address, one IPv6 address, or both");
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (path, text) in elements(list, &path) {
            let address = match address::ip(text) {
                Ok(address) => address,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            if let Some(text) = self.address_problem(address, &addresses, before) {
                self.error(&path, &text);
            } else {
                addresses.push(address);
            }
        }
        addresses
    }

    fn address_problem(
        &self,
        address: IpAddr,
        of_same: &[IpAddr],
        before: &[ServiceSettings],
    ) -> Option<String> {
        if let Some(reason) = address::not_a_host(address) {
            return Some(format!("choose another address: {address} {reason}"));
        }
        if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
            return Some(format!(
                "choose another address: {address} is not routed beyond its link"
            ));
        }
        if let Some(first) = of_same
            .iter()
            .find(|other| other.is_ipv4() == address.is_ipv4())
        {
            return Some(format!(
                "a service has one address per family, and this one has {first} already; \
                 make another [[service]] for {address}"
            ));
        }
        let service = owner(before, address)?;
        Some(format!(
            "{address} belongs to service {:?} already; give each service its own address, \
             for a route has one level",
            service.name
        ))
    }

    fn interface(&mut self, raw: Option<&str>, path: &KeyPath) -> Option<String> {
        let name = raw.unwrap_or("lo");
        if name == "none" {
            return None;
        }
        if !address::is_interface(name) {
            self.error(
                path,
                "write the name of an interface (1 to 15 octets, no blanks, \"/\" or \":\"), such \
                 as \"lo\", or \"none\" if something else binds the addresses",
            );
        }
        Some(name.to_owned())
    }

    fn on_shared_fault(&mut self, raw: &raw::Service, path: &KeyPath) -> OnSharedFault {
        match raw.on_shared_fault.as_deref() {
            None | Some("backup") => OnSharedFault::Backup,
            Some("keep") => OnSharedFault::Keep,
            Some("withdraw") => OnSharedFault::Withdraw,
            Some(other) => {
                let text = format!("write \"backup\", \"keep\" or \"withdraw\", not {other:?}");
                self.error(path, &text);
                OnSharedFault::default()
            }
        }
    }

    fn on_local_fault(&mut self, raw: &raw::Service, path: &KeyPath) -> OnLocalFault {
        match raw.on_local_fault.as_deref() {
            None | Some("withdraw") => OnLocalFault::Withdraw,
            Some("backup") => OnLocalFault::Backup,
            Some(other) => {
                let text = format!("write \"withdraw\" or \"backup\", not {other:?}");
                self.error(path, &text);
                OnLocalFault::default()
            }
        }
    }

    fn backup(&mut self, raw: &raw::Marks, path: &KeyPath) -> BackupSettings {
        let written = self.marks(raw, path);
        let backup = BackupSettings {
            prepend: written.prepend.unwrap_or(3),
            med: written.med.unwrap_or(Some(1000)),
            local_pref: written.local_pref,
            communities: match raw.communities {
                None => vec![GRACEFUL_SHUTDOWN],
                Some(_) => written.communities,
            },
            large_communities: written.large_communities,
        };
        let plain = BackupSettings {
            prepend: 0,
            med: None,
            local_pref: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
        };
        let has_failed = self.failed.iter().any(|failed| path.contains(failed));
        if backup == plain && !has_failed {
            let text = "backup is as attractive as preferred; set prepend, med or communities";
            self.warning(path, text);
        }
        backup
    }

    fn floors(&mut self, list: &List<String>, addresses: &[IpAddr], path: &KeyPath) -> Vec<IpNet> {
        let mut floors: Vec<IpNet> = Vec::new();
        for (path, text) in elements(list, path) {
            let floor = match address::prefix(text) {
                Ok(floor) => floor,
                Err(text) => {
                    self.error(&path, &text);
                    continue;
                }
            };
            let problem = if !addresses.iter().any(|address| floor.contains(address)) {
                Some(format!(
                    "{floor} does not cover an address of its service; \
                     write a prefix around one of them"
                ))
            } else if floor.prefix_len() == floor.max_prefix_len() {
                Some("write a shorter prefix: this one is the route of the service itself".into())
            } else if floor.prefix_len() == 0 {
                Some("write a longer prefix: this one is the default route".into())
            } else if floors.contains(&floor) {
                Some(format!("{floor} is listed twice; remove one"))
            } else {
                None
            };
            match problem {
                Some(text) => self.error(&path, &text),
                None => floors.push(floor),
            }
        }
        floors
    }

    /// A floor is announced whatever the state of what it covers, so it must not cover others.
    fn floors_of_others(
        &mut self,
        raw: &raw::Service,
        services: &[ServiceSettings],
        path: &KeyPath,
    ) {
        for (path, text) in elements(&raw.floor, path) {
            let Ok(floor) = address::prefix(text) else {
                continue;
            };
            let other = services
                .iter()
                .filter(|service| Some(&service.name) != raw.name.as_ref())
                .find_map(|service| {
                    let covered = service.addresses.iter().find(|ip| floor.contains(*ip))?;
                    Some((covered, &service.name))
                });
            if let Some((covered, name)) = other
                && !self.has_failed(&path)
            {
                let text = format!(
                    "{floor} covers {covered} of service {name:?} too; write a longer prefix"
                );
                self.error(&path, &text);
            }
        }
    }
}

fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > NAME_MAX {
        Some(format!("write a name of 1 to {NAME_MAX} octets"))
    } else if name.contains(char::is_control) {
        Some("write a name without control characters".to_owned())
    } else {
        None
    }
}

/// What is wrong with `address` where the node must be able to use it, if a floor covers it.
pub(super) fn covered_by_floor(services: &[ServiceSettings], address: IpAddr) -> Option<String> {
    services.iter().find_map(|service| {
        let floor = service
            .floor
            .iter()
            .find(|floor| floor.contains(&address))?;
        Some(format!(
            "{address} lies in the floor {floor} of service {:?}, which attracts its traffic; \
             write an address outside or a longer floor",
            service.name
        ))
    })
}
