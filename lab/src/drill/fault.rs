//! What is broken, and how it is mended.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::ready;
use crate::budget::{Budget, Fault};
use crate::namespace::output;
use crate::place::{FIRST, SECOND, Site, UPSTREAM_PREFIXES};
use crate::report::say;
use crate::routes::Family;
use crate::runner::Lab;
use crate::stop;

/// A node that drains is gone by then: drain wait, linger and a margin.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// What the kernel takes about 190 ms to free.
const LARGE_MIB: u64 = 4096;
/// Nothing comes in from either side, and nobody is told.
const SILENCE: &str = "add table netdev silent; \
    add chain netdev silent node { type filter hook ingress device eth1 priority 0; policy drop; }; \
    add chain netdev silent router { type filter hook ingress device eth2 priority 0; policy drop; }";
/// Both nodes know by then that their upstreams are silent.
const SHARED_LIMIT: Duration = Duration::from_secs(5);
/// So long both are then watched.
const SHARED_WATCH: Duration = Duration::from_secs(2);

/// Gives the first node what the drill needs it to read and to weigh, and starts it again.
pub(super) fn equip(lab: &mut Lab, budget: &Budget) -> Result<()> {
    let Some(file) = budget.bfd else {
        return Ok(());
    };
    let wrapper = if budget.fault == Fault::KillLarge {
        ballast(lab)?
    } else {
        Vec::new()
    };
    lab.wrap(FIRST.node, wrapper);
    lab.configure(FIRST.node, file.into());
    lab.kill_programs(FIRST.node)?;
    lab.start(FIRST.node)
}

/// What makes a program large: as large as the drill says, or half of what is left here.
fn ballast(lab: &Lab) -> Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|text| text.split_whitespace().next());
    let available_kib: u64 = available.context("no MemAvailable")?.parse()?;
    let size_mib = LARGE_MIB.min(available_kib / 1024 / 2);
    if size_mib < LARGE_MIB {
        say(&format!(
            "  with {size_mib} MiB resident: there is no memory for more"
        ));
    }
    let source = lab.paths.folder.join("bfd/ballast.c");
    let library = lab.paths.state.join("ballast.so").display().to_string();
    output(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o", &library])
            .arg(&source),
    )?;
    Ok(vec![
        "env".to_owned(),
        format!("LD_PRELOAD={library}"),
        format!("BALLAST={size_mib}"),
    ])
}

/// Brings the lab to where the drill begins, and returns the node that serves then.
pub(super) fn prepare(lab: &mut Lab, fault: Fault) -> Result<&'static str> {
    if fault != Fault::Return {
        return Ok(FIRST.node);
    }
    lab.signal(FIRST.node, Signal::SIGTERM)?;
    lab.wait_for_exit(FIRST.node, EXIT_LIMIT)?;
    Ok(SECOND.node)
}

/// Breaks it.
pub(super) fn strike(lab: &mut Lab, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill | Fault::KillLarge => lab.signal(FIRST.node, Signal::SIGKILL),
        Fault::Silent => lab.run(FIRST.switch, &["nft", SILENCE]).map(drop),
        Fault::PowerOff => {
            // The link first: not even what the kernel says for the dead gets out.
            set_link(lab, FIRST.switch, "eth1", "down")?;
            lab.signal(FIRST.node, Signal::SIGKILL)
        }
        Fault::Freeze => lab.signal(FIRST.node, Signal::SIGSTOP),
        Fault::Drain => lab.signal(FIRST.node, Signal::SIGTERM),
        Fault::Return => lab.start(FIRST.node),
        Fault::NodeLink => set_link(lab, FIRST.node, FIRST.node_interface, "down"),
        Fault::RouterLink => set_link(lab, FIRST.router, FIRST.router_interface, "down"),
        Fault::Upstreams => silence_upstreams(lab, &FIRST, "add"),
        Fault::AllUpstreams => {
            silence_upstreams(lab, &FIRST, "add")?;
            silence_upstreams(lab, &SECOND, "add")
        }
        Fault::Routes | Fault::Garbage | Fault::Metrics => bail!("nothing to break"),
    }
}

/// Looks at what the fault itself should have led to.
pub(super) fn outcome(lab: &mut Lab, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill | Fault::KillLarge | Fault::PowerOff => {
            lab.wait_for_exit(FIRST.node, EXIT_LIMIT).map(drop)
        }
        Fault::Drain => {
            let status = lab.wait_for_exit(FIRST.node, EXIT_LIMIT)?;
            ensure!(status.success(), "the drained node ended with {status}");
            Ok(())
        }
        _ => {
            ensure!(lab.is_running(FIRST.node)?, "the node ended; see its log");
            Ok(())
        }
    }
}

/// Mends it.
pub(super) fn repair(lab: &mut Lab, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill | Fault::KillLarge | Fault::Drain => lab.start(FIRST.node),
        Fault::Silent => lab
            .run(FIRST.switch, &["nft", "delete table netdev silent"])
            .map(drop),
        Fault::PowerOff => {
            set_link(lab, FIRST.switch, "eth1", "up")?;
            lab.start(FIRST.node)
        }
        Fault::Freeze => lab.signal(FIRST.node, Signal::SIGCONT),
        Fault::NodeLink => {
            set_link(lab, FIRST.node, FIRST.node_interface, "up")?;
            // The kernel forgot the routes through that interface.
            lab.run_exec(FIRST.node)
        }
        Fault::RouterLink => {
            set_link(lab, FIRST.router, FIRST.router_interface, "up")?;
            lab.run_exec(FIRST.router)
        }
        Fault::Upstreams => silence_upstreams(lab, &FIRST, "delete"),
        Fault::AllUpstreams => {
            silence_upstreams(lab, &FIRST, "delete")?;
            silence_upstreams(lab, &SECOND, "delete")
        }
        Fault::Return | Fault::Routes | Fault::Garbage | Fault::Metrics => Ok(()),
    }
}

/// With the upstreams of both sites silent: waits until both nodes say so in their routes, and
/// watches all the while that neither site is left without the route of its node.
pub(super) fn watch_shared(lab: &Lab, violations: &mut Vec<String>) -> Result<()> {
    let mut look = || -> Result<bool> {
        let mut all_marked = true;
        for site in [&FIRST, &SECOND] {
            for family in Family::ALL {
                match ready::path_from_node(lab, site, family)? {
                    Some(path) => all_marked &= path.is_shutting_down,
                    None => {
                        all_marked = false;
                        let text = format!("{} withdrew {family:?}", site.node);
                        if !violations.contains(&text) {
                            violations.push(text);
                        }
                    }
                }
            }
        }
        Ok(all_marked)
    };
    let noticed = stop::wait_until("both nodes at backup", SHARED_LIMIT, &mut look);
    if noticed.is_ok() {
        stop::keep_for(SHARED_WATCH, || look().map(drop))?;
    }
    super::note(noticed.map(drop), violations)
}

fn set_link(lab: &Lab, node: &str, interface: &str, state: &str) -> Result<()> {
    lab.run(node, &["ip", "link", "set", interface, state])?;
    Ok(())
}

/// The router drops what the node sends to its upstreams, without a word; all else passes.
fn silence_upstreams(lab: &Lab, site: &Site, verb: &str) -> Result<()> {
    for prefix in UPSTREAM_PREFIXES {
        let interface = site.router_interface;
        let rule = ["blackhole", "iif", interface, "to", prefix];
        lab.run(site.router, &[&["ip", "rule", verb], &rule[..]].concat())?;
    }
    Ok(())
}
