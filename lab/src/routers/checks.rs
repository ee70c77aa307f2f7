//! What is looked at, part by part.
//!
//! Source: RFC 4271 §5.1 (attributes), RFC 8326 (graceful shutdown), RFC 5082 (GTSM), RFC 2385
//! (TCP-MD5), RFC 6793 (four-octet AS numbers), RFC 9234 (roles), RFC 8950 (unnumbered).

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::bench::{Bench, Missing, NODE};
use super::kind::{Kind, Session, Way};
use super::message::Message;
use super::setup::{self, Setup};
use super::view::{self, Route};
use crate::routes::Family;
use crate::{place, stop};

mod moves;
mod refresh;

/// A session that is not there by then is not coming.
const SESSION_LIMIT: Duration = Duration::from_secs(15);
/// A change of the routes is with the routers by then.
const ROUTE_LIMIT: Duration = Duration::from_secs(5);
/// So long what must not come up is watched: several times the node's pause between attempts.
const NEVER: Duration = Duration::from_secs(5);
/// So long sessions are watched that must not flap.
const STEADY: Duration = Duration::from_secs(10);
/// The least and the greatest TTL that a host may count too low, in /proc/net/netstat.
const REFUSED_TTL: &[&str] = &["TCPMinTTLDrop"];
const REFUSED_KEY: &[&str] = &["TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure"];
/// Stands for an AS number that does not fit. RFC 6793 §9.
const AS_TRANS: u32 = 23456;
/// OPEN Message Error, Role Mismatch. RFC 9234 §4.2.
const ROLE_MISMATCH: Message = Message::Notification(2, 11);

/// A part: what is set up, and what is then looked at.
type Part = (&'static Setup, fn(&mut Bench) -> Result<()>);

const PARTS: [Part; 16] = [
    (&setup::PLAIN, plain),
    (&setup::BOTH_DIAL, both_dial),
    (&setup::NODE_WAITS, announced),
    (&setup::INTERNAL, internal),
    (&setup::MARKS, marks),
    (&setup::KEY, announced),
    (&setup::WRONG_KEY, wrong_key),
    (&setup::GTSM, announced),
    (&setup::GTSM_AT_ROUTER, refused_ttl),
    (&setup::GTSM_AT_NODE, refused_ttl),
    (&setup::MULTIHOP, announced),
    (&setup::TWO_OCTETS, two_octets),
    (&setup::ROLES, announced),
    (&setup::WRONG_ROLES, wrong_roles),
    (&setup::UNNUMBERED, unnumbered),
    (&setup::DELAY_OPEN, delayed),
];

/// All parts, or those that are named.
pub(super) fn run(bench: &mut Bench, names: &[String]) -> Result<()> {
    for name in names {
        if PARTS.iter().all(|(setup, _)| setup.name != name) {
            let known: Vec<&str> = PARTS.iter().map(|(setup, _)| setup.name).collect();
            bail!("no part {name:?}; there are {}", known.join(", "));
        }
    }
    for (setup, check) in PARTS {
        let is_wanted = names.is_empty() || names.iter().any(|name| name == setup.name);
        if is_wanted && bench.enter(setup)? {
            check(bench)?;
        }
    }
    Ok(())
}

fn plain(bench: &mut Bench) -> Result<()> {
    announced(bench)?;
    bench.judge("hold time 3 s, keepalive 1 s", |bench, session| {
        let state = view::state(&bench.lab, session)?;
        let is_so = (state.hold_s, state.keepalive_s) == (Some(3), Some(1));
        Ok((!is_so).then(|| format!("{:?} and {:?}", state.hold_s, state.keepalive_s)))
    })?;
    bench.judge("no graceful restart offered", no_graceful_restart)?;
    refresh::asked(bench)?;
    moves::replaced(bench)?;
    moves::drained(bench)?;
    moves::restarted(bench, "router restarted", Signal::SIGTERM)?;
    moves::restarted(bench, "router killed", Signal::SIGKILL)
}

/// Sessions come up and bring the route as it should be.
fn announced(bench: &mut Bench) -> Result<()> {
    let since = bench.started;
    bench.until("Established", since, SESSION_LIMIT, is_established)?;
    let since = Instant::now();
    bench.until("announced", since, ROUTE_LIMIT, is_announced)?;
    bench.judge("TTL sent", |bench, session| {
        let told = bench.told(session, bench.started).into_iter();
        let sent = told.filter_map(|(by_node, told)| by_node.then_some(told.ttl));
        let wrong: Vec<u8> = sent.filter(|ttl| *ttl != bench.setup.ttl).collect();
        Ok((!wrong.is_empty()).then(|| format!("TTL {wrong:?}")))
    })
}

fn is_established(bench: &Bench, session: &Session) -> Result<Missing> {
    if !view::state(&bench.lab, session)?.is_established {
        return Ok(Some("not Established for the router".to_owned()));
    }
    let here = bench.is_established_here(session)?;
    Ok((here != Some(true)).then(|| "not Established for the node".to_owned()))
}

/// The route is there, and all that belongs to it.
fn is_announced(bench: &Bench, session: &Session) -> Result<Missing> {
    let Some(route) = view::route(&bench.lab, session)? else {
        return Ok(Some("no route".to_owned()));
    };
    let setup = bench.setup;
    let expected = as_path(setup, session);
    if route.as_path != expected || !route.is_sequence {
        return Ok(Some(format!("AS path {:?}", route.as_path)));
    }
    if route.is_leaving() || (setup.is_internal && route.local_pref != Some(100)) {
        return Ok(Some(format!("not preferred: {route:?}")));
    }
    Ok(next_hop(session, &route, setup.way))
}

fn as_path(setup: &Setup, session: &Session) -> Vec<u32> {
    if setup.is_internal {
        return Vec::new();
    }
    // FRR hears that the node knows four octets even where it does not say so itself, and then does
    // not look at AS4_PATH.
    let is_short = setup.asn > u16::MAX.into() && session.kind == Kind::Frr;
    vec![if is_short { AS_TRANS } else { setup.asn }]
}

fn next_hop(session: &Session, route: &Route, way: Way) -> Missing {
    let is_good = |hop: &String| match way {
        Way::Direct | Way::Far => *hop == session.peer,
        Way::Unnumbered => hop.starts_with("fe80:") || hop.starts_with("fd00:1:"),
    };
    (!route.next_hops.iter().any(is_good)).then(|| format!("next hops {:?}", route.next_hops))
}

/// No OPEN of the node ever carries capability 64 or 71: a dead node's route would be kept.
fn no_graceful_restart(bench: &Bench, session: &Session) -> Result<Missing> {
    let told = bench.told(session, bench.started);
    let opens = told
        .iter()
        .filter_map(|(by_node, told)| match &told.message {
            Message::Open { capabilities, .. } if *by_node => Some(capabilities),
            _ => None,
        });
    let opens: Vec<_> = opens.collect();
    let offers = |open: &&&Vec<u8>| open.contains(&64) || open.contains(&71);
    Ok(match opens.iter().find(offers) {
        Some(open) => Some(format!("capabilities {open:?}")),
        None => opens.is_empty().then(|| "no OPEN was seen".to_owned()),
    })
}

fn both_dial(bench: &mut Bench) -> Result<()> {
    announced(bench)?;
    steady(bench)
}

/// One connection each, and none that ends or begins.
fn steady(bench: &mut Bench) -> Result<()> {
    let since = Instant::now();
    stop::keep_for(STEADY, || Ok(()))?;
    bench.judge("one session, steady for 10 s", |bench, session| {
        let mut connections = Vec::new();
        for (by_node, told) in bench.told(session, since) {
            if !matches!(told.message, Message::Keepalive | Message::Update { .. }) {
                return Ok(Some(format!("{:?}", told.message)));
            }
            let ends = if by_node {
                (told.from, told.to)
            } else {
                (told.to, told.from)
            };
            if !connections.contains(&ends) {
                connections.push(ends);
            }
        }
        Ok((connections.len() != 1).then(|| format!("connections {connections:?}")))
    })
}

fn internal(bench: &mut Bench) -> Result<()> {
    announced(bench)?;
    moves::drained(bench)
}

/// With an OPEN of its own the node waits for the router's.
fn delayed(bench: &mut Bench) -> Result<()> {
    announced(bench)?;
    bench.judge("the router's OPEN first", |bench, session| {
        let told = bench.told(session, bench.started);
        let mut opens = told
            .iter()
            .filter(|(_, told)| matches!(told.message, Message::Open { .. }));
        let is_so = opens.next().is_some_and(|(by_node, _)| !by_node);
        Ok((!is_so).then(|| "the node's came first".to_owned()))
    })
}

/// What one neighbour's routes are marked with.
fn marks(bench: &mut Bench) -> Result<()> {
    let since = bench.started;
    bench.until("Established", since, SESSION_LIMIT, is_established)?;
    bench.until("marked", Instant::now(), ROUTE_LIMIT, |bench, session| {
        let expected = ["65053:7", "65535:65282"].map(str::to_owned);
        let Some(route) = view::route(&bench.lab, session)? else {
            return Ok(Some("no route".to_owned()));
        };
        let is_so = route.as_path == [bench.setup.asn; 2]
            && route.med == Some(50)
            && route.communities.iter().eq(&expected)
            && route.large_communities.iter().eq(["65053:1:2"]);
        Ok((!is_so).then(|| format!("{route:?}")))
    })?;
    moves::to_backup(bench, |bench, session| {
        let Some(route) = view::route(&bench.lab, session)? else {
            return Ok(Some("no route".to_owned()));
        };
        let is_so = route.as_path == [bench.setup.asn; 3]
            && route.med == Some(70)
            && route.is_leaving()
            && route.large_communities.iter().eq(["65053:1:3"]);
        Ok((!is_so).then(|| format!("{route:?}")))
    })
}

fn wrong_key(bench: &mut Bench) -> Result<()> {
    never(bench, "never Established, counted", REFUSED_KEY)
}

fn refused_ttl(bench: &mut Bench) -> Result<()> {
    never(bench, "never Established, counted", REFUSED_TTL)
}

/// Nothing comes up, and the kernel of either end says why.
fn never(bench: &mut Bench, check: &'static str, counters: &[&str]) -> Result<()> {
    let before = counted(bench, counters)?;
    bench.never_established("never Established", NEVER)?;
    let after = counted(bench, counters)?;
    bench.judge(check, |_, session| {
        let of_router = |all: &[(Kind, u64)]| {
            let found = all.iter().find(|(kind, _)| *kind == session.kind);
            found.map_or(0, |(_, count)| *count)
        };
        let is_counted = of_router(&after) > of_router(&before);
        Ok((!is_counted).then(|| format!("{counters:?} did not grow")))
    })
}

/// What the kernels of each router and of the node count together.
fn counted(bench: &Bench, counters: &[&str]) -> Result<Vec<(Kind, u64)>> {
    let read = |node: &str| -> Result<u64> {
        let text = bench.lab.run(node, &["cat", "/proc/net/netstat"])?;
        Ok(counters
            .iter()
            .filter_map(|name| netstat(&text, name))
            .sum())
    };
    let here = read(NODE)?;
    let mut all = Vec::new();
    for kind in bench.kinds() {
        all.push((kind, here + read(kind.node())?));
    }
    Ok(all)
}

/// A counter of /proc/net/netstat: a line of names, and a line of numbers below it.
fn netstat(text: &str, counter: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).find_map(|pair| {
        let [names, numbers] = pair else { return None };
        let index = names.split_whitespace().position(|name| name == counter)?;
        numbers.split_whitespace().nth(index)?.parse().ok()
    })
}

/// AS_TRANS in AS_PATH on the wire; who reads AS4_PATH sees the whole number.
fn two_octets(bench: &mut Bench) -> Result<()> {
    const AS_PATH: u8 = 2;
    const AS4_PATH: u8 = 17;
    let since = bench.started;
    bench.until("Established", since, SESSION_LIMIT, is_established)?;
    bench.until("announced", Instant::now(), ROUTE_LIMIT, is_announced)?;
    bench.judge("AS_TRANS and AS4_PATH", |bench, session| {
        let updates = bench.updates(session, since);
        let last = updates
            .iter()
            .filter_map(|update| update.attributes.as_ref())
            .next_back();
        let path = |kind| last.and_then(|attributes| attributes.get(&kind));
        let is_so = path(AS_PATH).is_some_and(|path| *path == [2, 1, 0x5B, 0xA0])
            && path(AS4_PATH).is_some_and(|path| *path == [2, 1, 0xFA, 0x56, 0xEA, 0x35]);
        Ok((!is_so).then(|| format!("{:?} and {:?}", path(AS_PATH), path(AS4_PATH))))
    })
}

fn wrong_roles(bench: &mut Bench) -> Result<()> {
    let since = bench.started;
    bench.never_established("never Established", NEVER)?;
    bench.judge("Role Mismatch said", |bench, session| {
        let told = bench.told(session, since);
        let is_said = told.iter().any(|(_, told)| told.message == ROLE_MISMATCH);
        Ok((!is_said).then(|| "nobody said so".to_owned()))
    })
}

/// The routes are in the kernel of the router, by the node's link-local address.
fn unnumbered(bench: &mut Bench) -> Result<()> {
    announced(bench)?;
    let since = Instant::now();
    bench.until(
        "in the kernel's table",
        since,
        ROUTE_LIMIT,
        |bench, session| {
            let (flag, address) = match session.family {
                Family::V4 => ("-4", place::SERVICE[0]),
                Family::V6 => ("-6", place::SERVICE[1]),
            };
            let command = ["ip", flag, "route", "show", &address.to_string()];
            let text = bench.lab.run(session.kind.node(), &command)?;
            Ok((!text.contains("dev eth1")).then(|| format!("{text:?}")))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_below_its_name() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Failure\nTcpExt: 0 3 14\n\
            IpExt: InNoRoutes InMcastPkts\nIpExt: 5 6\n";
        assert_eq!(netstat(text, "TCPMD5Failure"), Some(14));
        assert_eq!(netstat(text, "InNoRoutes"), Some(5));
        assert_eq!(netstat(text, "TCPAOBad"), None);
    }

    #[test]
    fn parts_are_named_once() {
        for (index, (setup, _)) in PARTS.iter().enumerate() {
            assert!(
                PARTS[..index]
                    .iter()
                    .all(|(other, _)| other.name != setup.name)
            );
        }
    }
}
