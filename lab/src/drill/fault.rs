//! What is broken, and how it is mended.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::refuser::Refuser;
use super::wedge::Wedged;
use super::{flood, ready};
use crate::budget::{Budget, Fault};
use crate::namespace::output;
use crate::place::{FIRST, SECOND, Site, UPSTREAM_PREFIXES, ZONE_PORT};
use crate::report::say;
use crate::routes::Family;
use crate::runner::Lab;
use crate::stop;

/// A node that drains is gone by then: drain wait, linger and a margin.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// What the kernel takes about 190 ms to free.
const LARGE_MIB: u64 = 4096;
/// Nothing comes in from either side, and nobody is told.
const SILENCE: &str = "add table netdev silent; \
    add chain netdev silent node { type filter hook ingress device eth1 priority 0; policy drop; }; \
    add chain netdev silent router { type filter hook ingress device eth2 priority 0; policy drop; }";
/// Both nodes know by then that their upstreams are silent, Unbound's included.
const SHARED_LIMIT: Duration = Duration::from_secs(15);
/// So long both are then watched: until the gaps between probes of the dead have grown to their longest.
const SHARED_WATCH: Duration = Duration::from_secs(8);

/// The worker that is wedged: there is always one.
const WEDGED: &str = "worker-0";
/// Where a node keeps what it wants to know after a restart, as in the lab's configuration.
const STATE: &str = "/run/sidestep-state";

/// What was broken and has to be mended by who broke it.
#[derive(Default)]
pub(super) struct Blow {
    wedged: Option<Wedged>,
    refuser: Option<Refuser>,
}

/// Gives the nodes what the drill needs them to read, and the first what it needs it to weigh, and
/// starts again which had something else.
pub(super) fn equip(lab: &mut Lab, budget: &Budget) -> Result<()> {
    let text = budget.setting.text(&lab.paths.folder)?;
    let wrapper = match budget.fault {
        Fault::KillLarge => ballast(lab)?,
        Fault::Flood => flood::supervised(&lab.paths),
        _ => Vec::new(),
    };
    lab.equip(&text, FIRST.node, &wrapper)
}

/// Has the first node forget what it went through, and starts it again.
pub(super) fn forget(lab: &mut Lab) -> Result<()> {
    lab.kill_programs(FIRST.node)?;
    lab.run(FIRST.node, &["rm", "-rf", STATE])?;
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
    lab.wait_for_exit(FIRST.node, DRAIN_LIMIT)?;
    Ok(SECOND.node)
}

/// Breaks it.
pub(super) fn strike(lab: &mut Lab, fault: Fault) -> Result<Blow> {
    let mut blow = Blow::default();
    match fault {
        Fault::Kill | Fault::KillLarge => lab.signal(FIRST.node, Signal::SIGKILL)?,
        Fault::Silent => lab.run(FIRST.switch, &["nft", SILENCE]).map(drop)?,
        Fault::PowerOff => {
            // The link first: not even what the kernel says for the dead gets out.
            set_link(lab, FIRST.switch, "eth1", "down")?;
            lab.signal(FIRST.node, Signal::SIGKILL)?;
        }
        Fault::Freeze => lab.signal(FIRST.node, Signal::SIGSTOP)?,
        Fault::Stop => lab.signal(FIRST.node, Signal::SIGTERM)?,
        Fault::Drain => drain(lab, "drain")?,
        Fault::DrainAndRestart => drain(lab, "drain --no-wait")?,
        Fault::Return => lab.start(FIRST.node)?,
        Fault::NodeLink => set_link(lab, FIRST.node, FIRST.node_interface, "down")?,
        Fault::RouterLink => set_link(lab, FIRST.router, FIRST.router_interface, "down")?,
        Fault::Upstreams => silence_upstreams(lab, &FIRST, "add")?,
        Fault::Zone | Fault::CriticalZone => silence_zone(lab, "add")?,
        Fault::Refusing => blow.refuser = Some(Refuser::start(lab, &FIRST, false)?),
        Fault::RefusingNames => blow.refuser = Some(Refuser::start(lab, &FIRST, true)?),
        Fault::AllUpstreams | Fault::AllUpstreamsThenDrain => {
            for site in ready::sites(lab) {
                silence_upstreams(lab, site, "add")?;
            }
        }
        Fault::Wedge => blow.wedged = Some(Wedged::hold(lab.pid(FIRST.node)?, WEDGED)?),
        Fault::KillTarget => lab.end_daemon(FIRST.node, "unbound", Signal::SIGKILL)?,
        Fault::FreezeTarget => lab.signal_daemon(FIRST.node, "unbound", Signal::SIGSTOP)?,
        // Comes and goes while it is watched.
        Fault::Flapping => {}
        Fault::Routes | Fault::Garbage | Fault::Metrics | Fault::Flood | Fault::CrashLoop => {
            bail!("nothing to break")
        }
    }
    Ok(blow)
}

/// Looks at what the fault itself should have led to.
pub(super) fn outcome(lab: &mut Lab, fault: Fault) -> Result<()> {
    match fault {
        Fault::Kill | Fault::KillLarge | Fault::PowerOff => {
            lab.wait_for_exit(FIRST.node, DRAIN_LIMIT).map(drop)
        }
        Fault::Stop => {
            let status = lab.wait_for_exit(FIRST.node, DRAIN_LIMIT)?;
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
pub(super) fn repair(lab: &mut Lab, fault: Fault, blow: Blow) -> Result<()> {
    match fault {
        Fault::Kill | Fault::KillLarge | Fault::Stop => lab.start(FIRST.node),
        Fault::Drain | Fault::DrainAndRestart => drain(lab, "undrain"),
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
        Fault::Zone | Fault::CriticalZone => silence_zone(lab, "delete"),
        Fault::AllUpstreams | Fault::AllUpstreamsThenDrain => {
            for site in ready::sites(lab) {
                silence_upstreams(lab, site, "delete")?;
            }
            Ok(())
        }
        Fault::Refusing | Fault::RefusingNames => match blow.refuser {
            Some(refuser) => refuser.finish(lab, &FIRST),
            None => Ok(()),
        },
        Fault::Wedge => blow.wedged.map_or(Ok(()), Wedged::release),
        Fault::KillTarget => lab.start_unbound(FIRST.node),
        Fault::FreezeTarget => lab.signal_daemon(FIRST.node, "unbound", Signal::SIGCONT),
        Fault::Return
        | Fault::Flapping
        | Fault::CrashLoop
        | Fault::Flood
        | Fault::Routes
        | Fault::Garbage
        | Fault::Metrics => Ok(()),
    }
}

/// `drain` or `undrain`, as an operator on the first node.
pub(super) fn drain(lab: &Lab, verb: &str) -> Result<()> {
    let program = lab.paths.sidestep().display().to_string();
    let mut words = vec![program.as_str()];
    words.extend(verb.split(' '));
    if verb != "undrain" {
        words.extend(["--reason", "drill"]);
    }
    lab.run(FIRST.node, &words).map(drop)
}

/// With the upstreams of both sites silent: waits until both nodes say so in their routes, and
/// watches all the while that neither site is left without the route of its node.
pub(super) fn watch_shared(lab: &Lab, violations: &mut Vec<String>) -> Result<()> {
    let mut look = || -> Result<bool> {
        let mut all_marked = true;
        for site in ready::sites(lab) {
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
pub(super) fn silence_upstreams(lab: &Lab, site: &Site, verb: &str) -> Result<()> {
    for prefix in UPSTREAM_PREFIXES {
        let interface = site.router_interface;
        let rule = ["blackhole", "iif", interface, "to", prefix];
        lab.run(site.router, &[&["ip", "rule", verb], &rule[..]].concat())?;
    }
    Ok(())
}

/// The same for what the first node asks in the second zone.
fn silence_zone(lab: &Lab, verb: &str) -> Result<()> {
    let interface = FIRST.router_interface;
    for protocol in ["udp", "tcp"] {
        let rule = ["blackhole", "iif", interface, "ipproto", protocol];
        let rule = [&rule[..], &["dport", ZONE_PORT]].concat();
        lab.run(FIRST.router, &[&["ip", "rule", verb], &rule[..]].concat())?;
    }
    Ok(())
}
