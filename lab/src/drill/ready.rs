//! Whether the lab is as it should be before something is broken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::client::{self, CACHED_NAMES};
use crate::place::{CORE, FIRST, SECOND, SERVICE, Site, THIRD};
use crate::routes::{self, Family, Path};
use crate::runner::Lab;
use crate::stop;

/// From a bare start, and after a fault with the hold-down that may follow it.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until all nodes announce at level `preferred`, the core has the routes of all sites
/// and prefers the first, and all nodes have every cached name.
///
/// # Errors
/// At once when a node has ended; else with what is still missing when the limit has passed.
pub(crate) fn wait_until_ready(lab: &mut Lab) -> Result<()> {
    let mut missing = String::new();
    let waited = stop::wait_until("the lab is ready", LIMIT, || {
        missing.clear();
        for site in sites(lab) {
            let log = lab.paths.log(site.node);
            let is_running = lab.is_running(site.node)?;
            ensure!(is_running, "{} ended; see {}", site.node, log.display());
        }
        let mut wrong = routes(lab)?;
        for site in sites(lab) {
            for family in Family::ALL {
                let path = path_from_node(lab, site, family)?;
                // With all at backup, as after a fault that all had, the core looks well too.
                if path.is_none_or(|path| path.is_shutting_down) {
                    wrong.push(format!("{} is not preferred for {family:?}", site.node));
                }
            }
            if lab.has_node(site.switch) && !is_bfd_up(lab, site)? {
                wrong.push(format!(
                    "BFD between {} and {} is not up",
                    site.router, site.node
                ));
            }
            wrong.extend(fill_cache(lab, site).err().map(|e| format!("{e:#}")));
        }
        missing = wrong.join("; ");
        Ok(wrong.is_empty())
    });
    waited.map(drop).map_err(|error| {
        if missing.is_empty() || stop::check().is_err() {
            error
        } else {
            error.context(missing.clone())
        }
    })
}

/// The sites of the lab's topology.
pub(super) fn sites(lab: &Lab) -> Vec<&'static Site> {
    let mut sites = vec![&FIRST, &SECOND, &THIRD];
    sites.retain(|site| lab.has_node(site.node));
    sites
}

/// What is not as it should be in the core's tables.
pub(super) fn routes(lab: &Lab) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for family in Family::ALL {
        let paths = routes::parse(&lab.run(CORE, &["vtysh", "-c", family.show()])?)?;
        for site in sites(lab) {
            let peer = site.peer(family);
            if !paths.iter().any(|path| path.peer == peer) {
                wrong.push(format!("core has no {family:?} route by {}", site.router));
            }
        }
        let is_best = |path: &Path| path.is_best && path.peer == FIRST.peer(family);
        if !paths.iter().any(is_best) {
            wrong.push(format!(
                "core does not prefer {} for {family:?}",
                FIRST.router
            ));
        }
    }
    Ok(wrong)
}

/// The route that a site's router has from its node. IPv6 routes come by the IPv4 session.
pub(super) fn path_from_node(lab: &Lab, site: &Site, family: Family) -> Result<Option<Path>> {
    let node = site.node_address.to_string();
    let paths = routes::parse(&lab.run(site.router, &["vtysh", "-c", family.show()])?)?;
    Ok(paths.into_iter().find(|path| path.peer == node))
}

/// Whether a site's router calls its BFD session with the node up. The node may have just left it in
/// place while it went away and came back; the route above it is new all the same.
fn is_bfd_up(lab: &Lab, site: &Site) -> Result<bool> {
    let text = lab.run(site.router, &["vtysh", "-c", "show bfd peers json"])?;
    let peers: Value = serde_json::from_str(&text).context("not FRR's JSON")?;
    let node = site.node_address.to_string();
    let is_up = |peer: &Value| peer["peer"] == *node && peer["status"] == "up";
    Ok(peers
        .as_array()
        .is_some_and(|peers| peers.iter().any(is_up)))
}

/// Asks a node for every cached name, from within.
fn fill_cache(lab: &Lab, site: &Site) -> Result<()> {
    let namespace = lab.paths.namespace(site.node);
    for server in SERVICE {
        // From the service's own address the answer would look like an echo.
        let from: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        for index in 0..CACHED_NAMES {
            let node = client::ask_once(&namespace, from, server, index)?;
            ensure!(node == site.node, "{} calls itself {node}", site.node);
        }
    }
    Ok(())
}
