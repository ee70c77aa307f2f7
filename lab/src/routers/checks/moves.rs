//! Routes that change, and routers that go and come back.

#![expect(clippy::disallowed_methods, reason = "measures in real time")]

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{ROUTE_LIMIT, SESSION_LIMIT, is_announced, is_established};
use crate::routers::bench::{Bench, Missing, NODE, Update};
use crate::routers::kind::{Kind, Session};
use crate::routers::view;
use crate::routes::Family;

/// The upstream of the node, and the address that it answers to.
const UPSTREAM: &str = "upstream";
const ASKER: &str = "10.0.31.1/32";
/// The node believes that its upstream is silent, and announces so, by then.
const SHARED_LIMIT: Duration = Duration::from_secs(10);
/// A drained node has withdrawn by then: drain wait and a margin.
const DRAIN_LIMIT: Duration = Duration::from_secs(6);
/// What a drain gives the routers at least between the mark and the withdrawal.
const SETTLE: Duration = Duration::from_millis(900);
/// The node has noticed a router that is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(2);
const COMMUNITIES: u8 = 8;
const LOCAL_PREF: u8 = 5;
/// GRACEFUL_SHUTDOWN, RFC 8326 §5.
const LEAVING: [u8; 4] = [0xFF, 0xFF, 0, 0];

impl Update {
    fn is_leaving(&self) -> bool {
        let communities = self
            .attributes
            .as_ref()
            .and_then(|all| all.get(&COMMUNITIES));
        communities.is_some_and(|all| all.chunks(4).any(|community| community == LEAVING))
    }
}

/// With the upstream silent the routes become less attractive, and then attractive again, without
/// ever being withdrawn.
pub(super) fn replaced(bench: &mut Bench) -> Result<()> {
    to_backup(bench, |bench, session| {
        let Some(route) = view::route(&bench.lab, session)? else {
            return Ok(Some("no route".to_owned()));
        };
        let is_so = route.is_leaving()
            && route.as_path == [bench.setup.asn; 4]
            && route.med == Some(1000)
            && is_honoured(session.kind, route.local_pref);
        Ok((!is_so).then(|| format!("{route:?}")))
    })
}

/// Who honours GRACEFUL_SHUTDOWN gives such a route local-preference 0: FRR by itself, BIRD by its
/// filter. GoBGP was told nothing about it.
fn is_honoured(kind: Kind, local_pref: Option<u32>) -> bool {
    kind == Kind::Gobgp || local_pref == Some(0)
}

/// The same with what `look` expects at level `backup`.
pub(super) fn to_backup(
    bench: &mut Bench,
    look: impl Fn(&Bench, &Session) -> Result<Missing> + Sync,
) -> Result<()> {
    let since = Instant::now();
    bench
        .lab
        .run(UPSTREAM, &["ip", "route", "add", "blackhole", ASKER])?;
    bench.until("replaced by backup", since, SHARED_LIMIT, look)?;
    let mended = Instant::now();
    bench
        .lab
        .run(UPSTREAM, &["ip", "route", "delete", "blackhole", ASKER])?;
    bench.until(
        "replaced by preferred",
        mended,
        SHARED_LIMIT,
        |bench, session| {
            let route = view::route(&bench.lab, session)?;
            let is_so = route.is_some_and(|route| !route.is_leaving());
            Ok((!is_so).then(|| "still at backup".to_owned()))
        },
    )?;
    bench.judge("no withdrawal on the wire", |bench, session| {
        let updates = bench.updates(session, since);
        let withdrawn = updates.iter().filter(|update| update.attributes.is_none());
        let (withdrawn, all) = (withdrawn.count(), updates.len());
        Ok((withdrawn > 0 || all < 2).then(|| format!("{withdrawn} of {all} UPDATEs withdraw")))
    })
}

/// Marked first, withdrawn later; and announced again when the drain is taken back.
pub(super) fn drained(bench: &mut Bench) -> Result<()> {
    let program = bench.lab.paths.sidestep().display().to_string();
    let since = Instant::now();
    bench
        .lab
        .run(NODE, &[&program, "drain", "--reason", "the lab"])?;
    bench.until("drained: no route", since, DRAIN_LIMIT, |bench, session| {
        let route = view::route(&bench.lab, session)?;
        Ok(route.map(|route| format!("{route:?}")))
    })?;
    let is_internal = bench.setup.is_internal;
    bench.judge("marked, a second later withdrawn", |bench, session| {
        let updates = bench.updates(session, since);
        let marked = updates.iter().find(|update| update.is_leaving());
        let withdrawn = updates.iter().find(|update| update.attributes.is_none());
        let (Some(marked), Some(withdrawn)) = (marked, withdrawn) else {
            return Ok(Some(format!("{} UPDATEs", updates.len())));
        };
        let preference = marked
            .attributes
            .as_ref()
            .and_then(|all| all.get(&LOCAL_PREF));
        if is_internal != (preference == Some(&vec![0; 4])) {
            return Ok(Some(format!("LOCAL_PREF {preference:?}")));
        }
        let length = withdrawn.at.saturating_duration_since(marked.at);
        Ok((length < SETTLE).then(|| format!("only {length:?} between the two")))
    })?;
    let since = Instant::now();
    bench.lab.run(NODE, &[&program, "undrain"])?;
    bench.until("undrained: announced", since, ROUTE_LIMIT, is_announced)
}

/// All routers end, the node notices, and sessions and routes are back once they run again.
pub(super) fn restarted(bench: &mut Bench, check: &'static str, signal: Signal) -> Result<()> {
    let since = Instant::now();
    for kind in bench.kinds() {
        bench.end_router(kind, signal)?;
    }
    bench.until(check, since, NOTICE_LIMIT, |bench, session| {
        let here = bench.is_established_here(session)?;
        Ok((here == Some(true)).then(|| "the node calls it Established".to_owned()))
    })?;
    for kind in bench.kinds() {
        bench.lab.start(kind.node())?;
    }
    let since = Instant::now();
    bench.until(
        "… and announced again",
        since,
        SESSION_LIMIT,
        |bench, session| {
            if let Some(missing) = is_established(bench, session)? {
                return Ok(Some(missing));
            }
            let missing = is_announced(bench, session)?;
            // The kernel's table is what forwards.
            Ok(missing.or(in_kernel(bench, session)?))
        },
    )
}

fn in_kernel(bench: &Bench, session: &Session) -> Result<Missing> {
    if session.kind == Kind::Gobgp {
        return Ok(None);
    }
    let (flag, prefix) = match session.family {
        Family::V4 => ("-4", "10.53.53.53"),
        Family::V6 => ("-6", "fd53::53"),
    };
    let text = bench
        .lab
        .run(session.kind.node(), &["ip", flag, "route", "show", prefix])?;
    Ok((!text.contains("dev eth1")).then(|| format!("kernel: {text:?}")))
}
