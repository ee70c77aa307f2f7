//! What takes longer than one blow: upstreams that come and go, a node that crashes again and again,
//! and clients that come to a site which has nothing of theirs in its cache.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::fault::{self, DRAIN_LIMIT};
use super::journal::Journal;
use super::{MOVE_LIMIT, RETURN_LIMIT, note, ready};
use crate::place::{CORE, FIRST};
use crate::report::say;
use crate::results::Repetition;
use crate::routes::{self, Family};
use crate::runner::Lab;
use crate::{http, stop};

/// How long upstreams are dead, and how long well.
const HALF_PERIOD: Duration = Duration::from_secs(2);
const PERIODS: usize = 15;
/// Of each family: to backup, to preferred at once as after every first fault, to backup again. From
/// then on the hold-down of 10 s and more is longer than the upstreams are well.
const FLAP_CHANGES: usize = 3;
const STARTS: usize = 20;
/// So long after a start the node is killed.
const LIFE: Duration = Duration::from_secs(1);
/// Of each family.
const PROMOTIONS: usize = 4;
/// All nodes know by then that their upstreams are silent.
const KNOW_LIMIT: Duration = Duration::from_secs(6);
/// So long clients are watched at the other site.
const AWAY: Duration = Duration::from_secs(2);

/// Upstreams of the first node that come and go; ends with them well.
pub(super) fn flap(lab: &Lab, seen: &mut Vec<String>, violations: &mut Vec<String>) -> Result<()> {
    let journal = Journal::open(lab, FIRST.node)?;
    for _ in 0..PERIODS {
        fault::silence_upstreams(lab, &FIRST, "add")?;
        stop::keep_for(HALF_PERIOD, || Ok(()))?;
        fault::silence_upstreams(lab, &FIRST, "delete")?;
        stop::keep_for(HALF_PERIOD, || Ok(()))?;
    }
    let changes = journal.changes()?;
    for family in ["ipv4", "ipv6"] {
        let to: Vec<&str> = changes
            .iter()
            .filter(|change| change.family == family)
            .map(|change| change.to.as_str())
            .collect();
        seen.push(format!("{family}: {} changes", to.len()));
        if to.len() > FLAP_CHANGES {
            violations.push(format!("{family} went to {}", to.join(", ")));
        }
        if to.is_empty() {
            violations.push(format!("{family}: the node noticed nothing"));
        }
    }
    Ok(())
}

/// Kills the first node one second after each of many starts.
pub(super) fn crash(lab: &mut Lab) -> Result<Repetition> {
    let journal = Journal::open(lab, FIRST.node)?;
    let mut violations = Vec::new();
    for _ in 0..STARTS {
        lab.kill_programs(FIRST.node)?;
        lab.start(FIRST.node)?;
        stop::keep_for(LIFE, || Ok(()))?;
        if !lab.is_running(FIRST.node)? {
            violations.push("the node ended by itself; see its log".to_owned());
            break;
        }
    }
    let changes = journal.changes()?;
    let mut seen = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let is_promotion =
            |change: &&super::journal::Change| change.family == family && change.to == "preferred";
        let promotions = changes.iter().filter(is_promotion).count();
        seen.push(format!("{family}: {promotions} changes to preferred"));
        if promotions > PROMOTIONS {
            violations.push(format!("{family} became preferred {promotions} times"));
        }
    }
    // However often it crashed, a node that stays is announced.
    let announced = stop::wait_until("the node is announced", RETURN_LIMIT, || {
        for family in Family::ALL {
            if ready::path_from_node(lab, &FIRST, family)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    });
    note(announced.map(drop), &mut violations)?;
    Ok(Repetition {
        seen,
        violations,
        ..Repetition::default()
    })
}

/// With the upstreams of all sites silent: waits until all nodes know, and moves the clients.
pub(super) fn move_clients(lab: &Lab, violations: &mut Vec<String>) -> Result<()> {
    stop::wait_until("no node has an upstream", KNOW_LIMIT, || {
        for site in ready::sites(lab) {
            let page = http::get(&lab.paths.namespace(site.node), "/status")?;
            let status: Value = serde_json::from_str(&page).context("not JSON")?;
            let zones = status["zones"].as_array().context("no zones")?;
            if zones.iter().any(|zone| zone["usable"] != false) {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    stop::keep_for(AWAY, || watch(lab, true, violations))?;
    fault::drain(lab, "drain")?;
    stop::wait_until("clients have another site", MOVE_LIMIT, || {
        watch(lab, false, violations)?;
        is_moved(lab)
    })?;
    stop::keep_for(AWAY, || watch(lab, false, violations))
}

/// Notes every site that is without the route of its node; without the first it is drained.
fn watch(lab: &Lab, with_first: bool, violations: &mut Vec<String>) -> Result<()> {
    for site in ready::sites(lab) {
        if site.node == FIRST.node && !with_first {
            continue;
        }
        for family in Family::ALL {
            let text = format!("{} withdrew {family:?}", site.node);
            if ready::path_from_node(lab, site, family)?.is_none() && !violations.contains(&text) {
                violations.push(text);
            }
        }
    }
    Ok(())
}

fn is_moved(lab: &Lab) -> Result<bool> {
    for family in Family::ALL {
        let paths = routes::parse(&lab.run(CORE, &["vtysh", "-c", family.show()])?)?;
        let best = paths.iter().find(|path| path.is_best);
        if best.is_none_or(|path| path.peer == FIRST.peer(family)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// In the middle of a drain: stops the node, starts it again, and watches that it keeps away.
pub(super) fn restart(lab: &mut Lab, violations: &mut Vec<String>) -> Result<()> {
    lab.signal(FIRST.node, Signal::SIGTERM)?;
    let status = lab.wait_for_exit(FIRST.node, DRAIN_LIMIT)?;
    ensure!(status.success(), "the drained node ended with {status}");
    let journal = Journal::open(lab, FIRST.node)?;
    lab.start(FIRST.node)?;
    stop::wait_until("the node is back", MOVE_LIMIT, || {
        Ok(http::get(&lab.paths.namespace(FIRST.node), "/status").is_ok())
    })?;
    stop::keep_for(AWAY, || {
        for family in Family::ALL {
            let text = format!("{family:?} was announced while drained");
            let path = ready::path_from_node(lab, &FIRST, family)?;
            if path.is_some() && !violations.contains(&text) {
                violations.push(text);
            }
        }
        Ok(())
    })?;
    let changes = journal.changes()?;
    for change in changes.iter().filter(|change| change.to != "withdrawn") {
        say(&format!("  {} went to {}", change.family, change.to));
    }
    Ok(())
}
