//! Three sites with siblings: what their clients see when upstreams are gone, and what the nodes ask
//! each other then.
//!
//! One run has all drills in it: the upstreams of one node fall silent and come back, those of all
//! nodes fall silent, and come back. A client asks every node all the while, and a listener at every
//! node writes down what it asks the others.

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::place::UPSTREAM_PREFIXES;
use crate::report::say;
use crate::runner::{Lab, Paths};
use crate::sentinel::{self, Sentinel};
use crate::{http, stop};

mod asker;
mod judge;
mod line;
mod record;
mod wire;

use asker::{Asker, fill_cache};
use record::{Record, Times};
use wire::Wire;

/// The nodes, and where they are asked.
const NODES: [(&str, Ipv4Addr); 3] = [
    ("node1", Ipv4Addr::new(10, 0, 21, 2)),
    ("node2", Ipv4Addr::new(10, 0, 22, 2)),
    ("node3", Ipv4Addr::new(10, 0, 23, 2)),
];
/// The router between all, and its interface towards each node.
const HUB: &str = "hub";
const HUB_INTERFACES: [&str; 3] = ["eth2", "eth3", "eth4"];
/// A run in which the machine itself stood still is repeated so often.
const MORE_ATTEMPTS: u32 = 2;
const START_LIMIT: Duration = Duration::from_secs(20);
/// With everything well, before the first drill.
const CALM: Duration = Duration::from_secs(1);
/// The first drill.
const ONE: Duration = Duration::from_secs(4);
/// The second: the first second, and enough to see that it stays quiet.
const ALL: Duration = Duration::from_secs(8);
/// The third: longer than it may take.
const BACK: Duration = Duration::from_secs(7);
/// A node that does not know by then what its upstreams are like never will.
const KNOW_LIMIT: Duration = Duration::from_secs(6);

/// The `siblings` command: whether all is within the budget.
pub(crate) fn run(paths: Paths) -> Result<bool> {
    let mut lab = Lab::up(paths)?;
    for attempts_left in (0..=MORE_ATTEMPTS).rev() {
        wait_until_ready(&mut lab)?;
        let record = measure(&mut lab)?;
        let mut holds = true;
        for (drill, lines) in judge::judge(&record) {
            say(drill);
            for line in lines {
                holds &= line.holds();
                say(&line.to_string());
            }
        }
        if holds {
            return Ok(true);
        }
        if record.sentinel <= sentinel::LIMIT {
            return Ok(false);
        }
        if attempts_left > 0 {
            say("the machine stood still meanwhile: once more");
            lab.rebuild()?;
        }
    }
    bail!("the machine stood still each time: nothing is known");
}

/// Waits until every node answers, and has all cached names.
fn wait_until_ready(lab: &mut Lab) -> Result<()> {
    for (node, address) in NODES {
        let log = lab.paths.log(node);
        let mut is_running = true;
        let waited = stop::wait_until(&format!("{node} is ready"), START_LIMIT, || {
            is_running = lab.is_running(node)?;
            Ok(!is_running || http::get(&lab.paths.namespace(node), "/readyz").is_ok())
        });
        waited.with_context(|| format!("see {}", log.display()))?;
        if !is_running {
            bail!("{node} ended; see {}", log.display());
        }
        // The servers may still be reading their zones.
        let mut last = Ok(());
        let filled = stop::wait_until(&format!("{node} has the cached names"), START_LIMIT, || {
            last = fill_cache(&lab.paths, address);
            Ok(last.is_ok())
        });
        last.and(filled)?;
        wait_for_upstreams(lab, node, 2)?;
    }
    Ok(())
}

/// One run of all drills.
fn measure(lab: &mut Lab) -> Result<Record> {
    let start = Instant::now();
    let told_before = told(lab)?;
    let wire = Wire::start(&lab.paths, start)?;
    let sentinel = Sentinel::start(&lab.paths)?;
    let asker = Asker::start(&lab.paths, start)?;
    let times = drills(lab, start)?;
    let asked = asker.finish()?;
    let told = told(lab)?.saturating_sub(told_before);
    let record = Record {
        times,
        asked,
        heard: wire.finish()?,
        told,
        sentinel: sentinel.finish()?,
    };
    for (node, _) in NODES {
        if !lab.is_running(node)? {
            bail!("{node} ended; see {}", lab.paths.log(node).display());
        }
    }
    Ok(record)
}

fn drills(lab: &Lab, start: Instant) -> Result<Times> {
    let [first, ..] = NODES.map(|(node, _)| node);
    stop::keep_for(CALM, || Ok(()))?;
    let silenced_one = start.elapsed();
    silence(lab, 0, "add")?;
    wait_for_upstreams(lab, first, 0)?;
    let known_one = start.elapsed();
    stop::keep_for(ONE, || Ok(()))?;
    let mended_one = start.elapsed();
    silence(lab, 0, "delete")?;
    wait_for_upstreams(lab, first, 2)?;
    // What was held against the upstreams lately is forgotten by then.
    stop::keep_for(CALM, || Ok(()))?;

    let silenced_all = start.elapsed();
    for node in 0..NODES.len() {
        silence(lab, node, "add")?;
    }
    let mut known_all = [Duration::ZERO; 3];
    stop::wait_until("no node has an upstream", KNOW_LIMIT, || {
        for ((node, _), known) in NODES.iter().zip(&mut known_all) {
            if known.is_zero() && usable_upstreams(lab, node)? == 0 {
                *known = start.elapsed();
            }
        }
        Ok(known_all.iter().all(|known| !known.is_zero()))
    })?;
    stop::keep_for(ALL, || Ok(()))?;

    let mending_all = start.elapsed();
    for node in 0..NODES.len() {
        silence(lab, node, "delete")?;
    }
    let mended_all = start.elapsed();
    stop::keep_for(BACK, || Ok(()))?;
    Ok(Times {
        silenced_one,
        known_one,
        mended_one,
        silenced_all,
        known_all,
        mending_all,
        mended_all,
        over: start.elapsed(),
    })
}

/// The hub drops what the node sends to the upstreams, without a word; all else passes.
fn silence(lab: &Lab, node: usize, verb: &str) -> Result<()> {
    let interface = HUB_INTERFACES.get(node).context("no such node")?;
    for prefix in UPSTREAM_PREFIXES {
        let rule = ["blackhole", "iif", interface, "to", prefix];
        lab.run(HUB, &[&["ip", "rule", verb], &rule[..]].concat())?;
    }
    Ok(())
}

/// Waits until the node asks so many of its upstreams.
fn wait_for_upstreams(lab: &Lab, node: &str, count: usize) -> Result<()> {
    let what = format!("{node} has {count} upstreams");
    stop::wait_until(&what, KNOW_LIMIT, || {
        Ok(usable_upstreams(lab, node)? == count)
    })?;
    Ok(())
}

fn usable_upstreams(lab: &Lab, node: &str) -> Result<usize> {
    let page = http::get(&lab.paths.namespace(node), "/metrics")?;
    let values = metric(&page, "sidestep_upstream_up");
    Ok(values.filter(|value| *value == "1").count())
}

/// Client questions that the nodes say they sent to siblings.
fn told(lab: &Lab) -> Result<u64> {
    let mut sum = 0;
    for (node, _) in NODES {
        let page = http::get(&lab.paths.namespace(node), "/metrics")?;
        for value in metric(&page, "sidestep_sibling_queries_total") {
            sum += value.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// The values of a metric with labels.
fn metric<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        rest.rsplit_once("} ").map(|(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_metric_are_read() {
        let page = "# HELP x_up x\nx_up{upstream=\"192.0.2.1:53\",zone=\".\"} 1\n\
            x_up{upstream=\"192.0.2.2:53\",zone=\".\"} 0\nx_up_total{zone=\".\"} 7\n";
        assert_eq!(metric(page, "x_up").collect::<Vec<_>>(), ["1", "0"]);
        assert_eq!(metric(page, "x_up_total").collect::<Vec<_>>(), ["7"]);
    }
}
