//! Two upstreams, 500 new names a second, probes: the first upstream falls ill.

use super::network::{
    NOERROR, Network, REFUSED, SERVFAIL, Script, Told, Word, client, network, unique,
};
use super::*;

/// What a healthy upstream takes.
const HEALTHY_MS: u64 = 10;
/// The illness begins.
const ONSET_MS: u64 = 20_000;
/// Between two questions.
const GAP_MS: u64 = 2;

/// Numbers that are the same in each run.
fn chance(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Nearly every answer after 10 ms, some names take up to ten times as long.
fn healthy(mut seed: u64) -> Script {
    Box::new(move |_, _, _| {
        let delay = match chance(&mut seed) % 100 {
            0..2 => HEALTHY_MS * 10,
            2..8 => HEALTHY_MS * 3,
            _ => HEALTHY_MS,
        };
        vec![(delay, Word::Rcode(NOERROR))]
    })
}

fn ill(mut illness: Script) -> Script {
    let mut well = healthy(1);
    Box::new(move |number, edns, ms| {
        if ms < ONSET_MS {
            well(number, edns, ms)
        } else {
            illness(number, edns, ms)
        }
    })
}

struct Run {
    network: Network,
    asked_ms: Vec<u64>,
}

impl Run {
    fn new(first: Script, second: Script) -> Self {
        let mut network = network(Limits::default(), vec![first, second]);
        network.begin_upkeep();
        Self {
            network,
            asked_ms: Vec::new(),
        }
    }

    fn run_until(&mut self, end_ms: u64) {
        while self.network.elapsed_ms() < end_ms {
            let number = self.asked_ms.len();
            let asker = client(u8::try_from(number % 200).unwrap());
            let waiter = u32::try_from(number).unwrap();
            self.asked_ms.push(self.network.elapsed_ms());
            let key = unique(u64::from(waiter));
            self.network.ask_for(&key, asker, waiter, None).unwrap();
            self.network.pass(GAP_MS);
        }
    }

    /// How long each question took that was asked in this time, shortest first; all were answered.
    fn times(&self, from_ms: u64, until_ms: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for (waiter, what, at) in &self.network.told {
            let asked = self.asked_ms[usize::try_from(*waiter).unwrap()];
            if (from_ms..until_ms).contains(&asked) {
                assert_eq!(*what, Told::Rcode(NOERROR), "asked at {asked} ms");
                let told = at.duration_since(self.network.start).as_millis();
                times.push(u64::try_from(told).unwrap() - asked);
            }
        }
        let asked = self.asked_ms.iter();
        let asked = asked.filter(|asked| (from_ms..until_ms).contains(*asked));
        assert_eq!(times.len(), asked.count(), "some are lost");
        times.sort_unstable();
        times
    }

    /// Sent upstream for each 1000 questions asked in this time.
    fn load_permille(&self, from_ms: u64, until_ms: u64) -> usize {
        let span = from_ms..until_ms;
        let sent = self.network.sent.iter().filter(|(at, _)| {
            let ms = at.duration_since(self.network.start).as_millis();
            span.contains(&u64::try_from(ms).unwrap())
        });
        let asked = self.asked_ms.iter().filter(|asked| span.contains(*asked));
        sent.count() * 1000 / asked.count()
    }
}

/// What every illness may cost: nothing lost, of the first second nothing over 500 ms, and
/// later nothing over what is usual and 250 ms.
fn bear(name: &str, illness: Script) -> Run {
    let mut run = Run::new(ill(illness), healthy(2));
    run.run_until(ONSET_MS + 20_000);
    run.network.pass(3000);
    let usual = run.times(5000, ONSET_MS - 2000);
    let usual = usual[usual.len() * 99 / 100];
    let first = *run.times(ONSET_MS, ONSET_MS + 1000).last().unwrap();
    assert!(first <= 500, "{name}: {first} ms in the first second");
    let later = *run
        .times(ONSET_MS + 1000, ONSET_MS + 20_000)
        .last()
        .unwrap();
    assert!(
        later <= usual + 250,
        "{name}: {later} ms, usually {usual} ms"
    );
    run
}

#[test]
fn an_upstream_that_falls_silent_costs_no_answer_and_little_time() {
    bear("silent", Box::new(|_, _, _| Vec::new()));
}

#[test]
fn an_upstream_that_fails_or_refuses_costs_no_answer_and_little_time() {
    for rcode in [SERVFAIL, REFUSED] {
        let word = Word::Rcode(rcode);
        bear("rcode", Box::new(move |_, _, _| vec![(HEALTHY_MS, word)]));
    }
}

#[test]
fn an_upstream_that_the_network_refuses_costs_no_answer_and_little_time() {
    bear("refused", Box::new(|_, _, _| vec![(1, Word::Unreachable)]));
}

#[test]
fn an_upstream_that_loses_half_costs_no_answer_and_little_time() {
    let mut seed = 7;
    bear(
        "losing",
        Box::new(move |_, _, _| match chance(&mut seed) % 2 {
            0 => Vec::new(),
            _ => vec![(HEALTHY_MS, Word::Rcode(NOERROR))],
        }),
    );
}

#[test]
fn an_upstream_that_takes_two_seconds_costs_no_answer_little_time_and_no_load() {
    let slow = Box::new(|_, _, _| vec![(2000, Word::Rcode(NOERROR))]);
    let mut run = bear("slow", slow);
    run.run_until(ONSET_MS + 62_000);
    let load = run.load_permille(ONSET_MS + 2000, ONSET_MS + 62_000);
    assert!(load <= 1100, "{load} ‰");
}

#[test]
fn a_minute_of_good_health_costs_a_tenth_of_extra_load_at_most() {
    let mut run = Run::new(healthy(1), healthy(2));
    run.run_until(60_000);
    let load = run.load_permille(0, 60_000);
    assert!(load <= 1100, "{load} ‰");
}

#[test]
fn an_upstream_that_has_recovered_is_in_use_again_within_five_seconds() {
    for illness in [
        None,
        Some((HEALTHY_MS, Word::Rcode(SERVFAIL))),
        Some((1, Word::Unreachable)),
    ] {
        let mut well = healthy(3);
        let script: Script = Box::new(move |number, edns, ms| {
            if ms < ONSET_MS + 10_000 {
                illness.into_iter().collect()
            } else {
                well(number, edns, ms)
            }
        });
        let mut run = Run::new(ill(script), healthy(2));
        run.run_until(ONSET_MS + 15_000);
        let before = run.network.asked[0];
        run.run_until(ONSET_MS + 16_000);
        let asked = run.network.asked[0] - before;
        assert!(asked >= 400, "{asked} of 500 after {illness:?}");
    }
}

/// Both are dead: new names fail within the deadline at first, and within 50 ms once it is known.
#[test]
fn with_both_upstreams_silent_questions_fail_quickly_as_soon_as_it_is_known() {
    let silent = || -> Script { Box::new(|_, _, _| Vec::new()) };
    let mut network = network(Limits::default(), vec![ill(silent()), ill(silent())]);
    network.begin_upkeep();
    let mut refused_since = None;
    for number in 0..13_000_u32 {
        let now_ms = network.elapsed_ms();
        let key = unique(u64::from(number));
        match network.ask_for(&key, client(1), number, None) {
            Ok(()) => refused_since = None,
            Err(failure) => {
                assert_eq!(failure, Failure::NoneUsable);
                refused_since = refused_since.or(Some(now_ms));
            }
        }
        network.pass(GAP_MS);
    }
    let since = refused_since.unwrap();
    assert!(since <= ONSET_MS + 1500, "{since} ms");
    let limit = network.start + Duration::from_millis(since) + HOPE_CHECK + wheel::TICK;
    assert!(network.told.iter().all(|(_, _, at)| *at <= limit));
    assert_eq!(network.flights.under_way(), 0);
}
