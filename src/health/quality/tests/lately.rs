//! Faults that the last moment shows: a glance every 200 ms, and a look each fifth time.

use super::*;
use crate::health::quality::lately as recent;

const TICK_MS: u64 = 200;

/// Clients that ask for one new name after the other.
struct Stream {
    bench: Bench,
    /// Between questions.
    every_ms: u64,
    domains: usize,
    prefixes: usize,
    asked: usize,
    ms: u64,
    looked_ms: u64,
}

impl Stream {
    /// After so many seconds in which all went well.
    fn well_for(seconds: u64, every_ms: u64, (domains, prefixes): (usize, usize)) -> Self {
        let mut stream = Self {
            bench: Bench::new(),
            every_ms,
            domains,
            prefixes,
            asked: 0,
            ms: 0,
            looked_ms: 0,
        };
        stream.run(seconds * 1000, |_, _| false);
        assert!(!stream.bench.is_poor());
        stream
    }

    fn step(&mut self, fails: impl Fn(usize, usize) -> bool) {
        self.ms += 1;
        self.bench.now += MS;
        if self.ms.is_multiple_of(self.every_ms) {
            let prefix = self.asked % self.prefixes;
            // Another pair each time, until all have had their turn.
            let domain = (self.asked + self.asked / self.domains) % self.domains;
            self.asked += 1;
            let failed = fails(domain, prefix);
            let counts = (u16::from(!failed), u16::from(failed));
            self.bench.count(domain, prefix, counts);
        }
        if !self.ms.is_multiple_of(TICK_MS) {
            return;
        }
        let Bench {
            judge,
            now,
            counts,
            witnesses,
        } = &mut self.bench;
        if self.ms - self.looked_ms < 1000 {
            judge.glance(*now, counts);
        } else {
            self.looked_ms = self.ms;
            judge.handle_counts(*now, counts, *witnesses);
        }
    }

    fn run(&mut self, ms: u64, fails: impl Fn(usize, usize) -> bool) {
        (0..ms).for_each(|_| self.step(&fails));
    }

    /// Milliseconds until the fault is there, or gone; `None`: not within 20 s.
    fn until(&mut self, is_poor: bool, fails: impl Fn(usize, usize) -> bool) -> Option<u64> {
        let begun = self.ms;
        while self.bench.is_poor() != is_poor {
            self.step(&fails);
            if self.ms - begun > 20_000 {
                return None;
            }
        }
        Some(self.ms - begun)
    }
}

/// 200 new names a second in 16 domains, from 4 prefixes; whenever it begins.
#[test]
fn when_nearly_all_begins_to_fail_that_is_found_out_within_a_second_and_a_half() {
    for offset_ms in (0..1000).step_by(130) {
        let mut stream = Stream::well_for(12, 5, (16, 4));
        stream.run(offset_ms, |_, _| false);
        let took_ms = stream.until(true, |_, _| true).unwrap();
        assert!((200..=1300).contains(&took_ms), "{took_ms}");
        // It stays for as long as they fail, whatever went well before, and ends soon after.
        stream.run(30_000, |_, _| true);
        assert!(stream.bench.is_poor());
        let took_ms = stream.until(false, |_, _| false).unwrap();
        assert!(took_ms <= 6000, "{took_ms}");
    }
}

/// Each domain is asked for by one prefix of either family alone.
#[test]
fn pairs_need_not_be_all_that_there_could_be() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench, counts: (u16, u16)| {
        for domain in 0..16 {
            bench.count(domain, domain % 4, counts);
            bench.count(domain, 4 + domain % 4, counts);
        }
    };
    bench.seconds(12, |bench| ask(bench, (12, 0)));
    for (tick, expected) in [false, false, true].into_iter().enumerate() {
        bench.now += MS * 200;
        ask(&mut bench, (0, 3));
        bench.judge.glance(bench.now, &bench.counts);
        assert_eq!(bench.is_poor(), expected, "{tick}");
    }
}

/// Nine tenths of the domains fail; or one less, which the last 10 s show later.
#[test]
fn less_than_nine_tenths_of_the_domains_take_longer() {
    for (failing, is_quick) in [(30, true), (28, false)] {
        let mut stream = Stream::well_for(12, 2, (32, 4));
        let took_ms = stream.until(true, |domain, _| domain < failing).unwrap();
        assert_eq!(took_ms <= 1500, is_quick, "{failing}: {took_ms}");
    }
}

#[test]
fn the_last_moment_takes_eight_domains_three_prefixes_and_sixteen_pairs() {
    for (domains, prefixes, is_quick) in
        [(8, 3, true), (7, 3, false), (8, 2, false), (32, 16, true)]
    {
        let mut stream = Stream::well_for(12, 5, (domains, prefixes));
        let took_ms = stream.until(true, |_, _| true);
        let is_found = took_ms.is_some_and(|ms| ms <= 1500);
        assert_eq!(is_found, is_quick, "{domains} {prefixes}: {took_ms:?}");
    }
    // Of 20 in a second, 16 in 800 ms are of as many pairs; of 15 there are never 16.
    for (every_ms, is_quick) in [(50, true), (67, false)] {
        let mut stream = Stream::well_for(12, every_ms, (16, 4));
        let took_ms = stream.until(true, |_, _| true).unwrap();
        assert_eq!(took_ms <= 1500, is_quick, "{every_ms}: {took_ms}");
    }
}

#[test]
fn what_fails_for_one_prefix_or_one_domain_alone_is_nothing_in_the_last_moment_either() {
    let mut stream = Stream::well_for(12, 5, (16, 4));
    assert_eq!(stream.until(true, |_, prefix| prefix == 0), None);
    assert_eq!(stream.until(true, |domain, _| domain == 0), None);
}

/// Nobody else asks in a moment in which three prefixes fail.
#[test]
fn prefixes_that_fail_have_to_be_half_of_those_that_ask_in_ten_seconds() {
    for (others, expected) in [(3, true), (4, false)] {
        let mut stream = Stream::well_for(12, 5, (16, 3 + others));
        stream.prefixes = 3;
        let took_ms = stream.until(true, |_, _| true);
        let is_quick = took_ms.is_some_and(|ms| ms <= 1500);
        assert_eq!(is_quick, expected, "{others}: {took_ms:?}");
    }
}

/// The growth since the last sample may be hours of it.
#[test]
fn what_was_counted_during_a_pause_is_not_of_the_last_moment() {
    let mut stream = Stream::well_for(12, 5, (16, 4));
    let bench = &mut stream.bench;
    bench.now += recent::WINDOW + MS;
    bench.ask(16, 4, 16);
    assert!(!bench.judge.glance(bench.now, &bench.counts));
    bench.now += recent::WINDOW;
    bench.ask(16, 4, 16);
    assert!(bench.judge.glance(bench.now, &bench.counts));
}
