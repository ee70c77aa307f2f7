//! One fault: all is well, one of two upstreams is ill for a while, and recovers.
#![expect(clippy::disallowed_methods, reason = "faults have their time")]

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use fake_upstream::script::Script;
use fake_upstream::serve::Server as Fake;
use serde::{Deserialize, Serialize};

use super::asker::{self, Asked, Asking, Names, Order};
use crate::subject::Server;

/// Questions a second, each for a new name.
const RATE: u32 = 500;
/// While all is well: before this nothing counts, until the fault everything does.
const WARM: Duration = Duration::from_secs(3);
const ILL_FROM: Duration = Duration::from_secs(8);
/// From recovery to the end.
const AFTER: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// Between two looks at what the upstreams have been asked.
const LOOK: Duration = Duration::from_millis(50);
/// So many new questions say that an upstream is in use, and no longer merely looked at.
const IN_USE: u64 = 10;

/// What one of the two upstreams does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    script: &'static str,
}

/// An upstream that is well.
pub(super) const WELL: &str = "* -> echo, delay 5ms..15ms";

pub(super) const FAULTS: [Fault; 7] = [
    Fault {
        name: "silent",
        script: "* -> silent",
    },
    Fault {
        name: "servfail",
        script: "* -> rcode SERVFAIL, delay 5ms..15ms",
    },
    Fault {
        name: "refused",
        script: "* -> rcode REFUSED, delay 5ms..15ms",
    },
    Fault {
        name: "unreachable",
        script: "* -> refuse",
    },
    Fault {
        name: "loss",
        script: "* -> echo, delay 5ms..15ms, loss 50%",
    },
    Fault {
        name: "slow",
        script: "* -> echo, delay 2s",
    },
    Fault {
        name: "none",
        script: WELL,
    },
];

/// What clients saw and what the upstreams were asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) subject: String,
    pub(super) fault: String,
    pub(super) asked: usize,
    /// Without an answer within 5 s.
    pub(super) lost: usize,
    /// Answered with an error.
    pub(super) failed: usize,
    /// While all was well, ms.
    pub(super) well_p99_ms: f64,
    /// The longest in the first second of the fault, ms.
    pub(super) first_second_ms: f64,
    /// The longest of the rest of the fault, ms.
    pub(super) later_ms: f64,
    /// How many took over 500 ms in all.
    pub(super) over_500_ms: usize,
    /// Questions to the upstreams beyond one for each of the clients', in percent: while all was well,
    /// and from 2 s after the fault began until it ended.
    pub(super) extra_well_percent: f64,
    pub(super) extra_ill_percent: f64,
    /// From its recovery until the upstream is in use; `None`: not within 10 s.
    pub(super) in_use_after_s: Option<f64>,
}

/// What the upstreams have been asked at a time.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    asked: [u64; 2],
}

/// Plays one fault out.
///
/// # Errors
/// When sockets fail or a thread panics.
pub(super) fn run(
    server: &Server,
    fakes: &[Fake; 2],
    fault: Fault,
    ill_for: Duration,
) -> Result<Figures> {
    let recovery = ILL_FROM + ill_for;
    let end = recovery + AFTER;
    let order = Order {
        server: server.address,
        source: std::net::Ipv4Addr::LOCALHOST,
        sockets: 16,
        rate: RATE,
        from: Duration::ZERO,
        until: end,
        names: Names::New("new.example."),
    };
    let (ill, well) = (Script::parse(fault.script)?, Script::parse(WELL)?);
    let began = Instant::now();
    let asking = asker::ask_all([order], began);
    let mut looks = Vec::new();
    let mut changes = [(ILL_FROM, ill), (recovery, well)].into_iter().peekable();
    while began.elapsed() < end {
        if let Some((_, script)) = changes.next_if(|(at, _)| began.elapsed() >= *at) {
            fakes[0].follow(script);
        }
        looks.push(Look {
            at: began.elapsed(),
            asked: [0, 1].map(|at: usize| questions(&fakes[at])),
        });
        sleep(LOOK);
    }
    let asked = asking
        .into_iter()
        .map(Asking::end)
        .collect::<Result<Vec<_>>>()?
        .concat();
    Ok(judge(&asked, &looks, recovery))
}

/// Without probes.
fn questions(fake: &Fake) -> u64 {
    let counts = fake.counts();
    let all = counts.udp.load(Ordering::Relaxed) + counts.tcp.load(Ordering::Relaxed);
    all.saturating_sub(counts.probes.load(Ordering::Relaxed))
}

fn judge(asked: &[Asked], looks: &[Look], recovery: Duration) -> Figures {
    let within = |from: Duration, until: Duration| {
        let inside = asked
            .iter()
            .filter(move |one| (from..until).contains(&one.at));
        inside.map(|one| one.took.unwrap_or(asker::PATIENCE).as_secs_f64() * 1000.0)
    };
    let longest = |from, until| within(from, until).fold(0.0, f64::max);
    let mut well: Vec<f64> = within(WARM, ILL_FROM).collect();
    well.sort_by(f64::total_cmp);
    let answers = asked.iter().filter(|one| one.took.is_some());
    let in_use = looks.iter().find(|look| {
        let at_recovery = looks.iter().find(|look| look.at >= recovery);
        look.at > recovery
            && at_recovery.is_some_and(|then| look.asked[0] >= then.asked[0] + IN_USE)
    });
    Figures {
        asked: asked.len(),
        lost: asked.iter().filter(|one| one.took.is_none()).count(),
        failed: answers.filter(|one| !one.is_right).count(),
        well_p99_ms: well.get(well.len() * 99 / 100).copied().unwrap_or_default(),
        first_second_ms: longest(ILL_FROM, ILL_FROM + SECOND),
        later_ms: longest(ILL_FROM + SECOND, recovery),
        over_500_ms: within(Duration::ZERO, recovery + AFTER)
            .filter(|ms| *ms > 500.0)
            .count(),
        extra_well_percent: extra(looks, WARM, ILL_FROM),
        extra_ill_percent: extra(looks, ILL_FROM + 2 * SECOND, recovery),
        in_use_after_s: in_use.map(|look| (look.at - recovery).as_secs_f64()),
        ..Figures::default()
    }
}

fn extra(looks: &[Look], from: Duration, until: Duration) -> f64 {
    let first = looks.iter().find(|look| look.at >= from);
    let last = looks.iter().rfind(|look| look.at <= until);
    let (Some(first), Some(last)) = (first, last) else {
        return 0.0;
    };
    let sum = |look: &Look| look.asked.iter().sum::<u64>();
    let expected = (last.at - first.at).as_secs_f64() * f64::from(RATE);
    ((sum(last) - sum(first)) as f64 / expected - 1.0) * 100.0
}
