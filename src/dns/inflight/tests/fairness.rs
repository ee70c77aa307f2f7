//! One client prefix floods: others get what they ask for, as far as upstreams can give it.

use super::super::super::forward::Wish;
use super::network::{
    NOERROR, Network, Script, Told, Word, client, named, network, network_of, silent,
};
use super::*;

/// Answers so many questions a second after 20 ms, and drops the others.
fn dropping(per_second: u64) -> Script {
    let cap = 10_000.max(per_second * 20);
    let (mut tokens, mut at) = (cap, 0);
    Box::new(move |_, _, ms| {
        // A thousandth of a question each ms.
        tokens = (tokens + (ms - at) * per_second).min(cap);
        at = ms;
        if tokens < 1000 {
            return Vec::new();
        }
        tokens -= 1000;
        vec![(20, Word::Rcode(NOERROR))]
    })
}

/// Answers so many questions a second after 20 ms, and lets the others wait.
fn delaying(per_second: u64) -> Script {
    let mut free_at_us = 0;
    Box::new(move |_, _, ms| {
        free_at_us = (ms * 1000).max(free_at_us) + 1_000_000 / per_second;
        let wait_ms = free_at_us / 1000 - ms;
        vec![(20 + wait_ms, Word::Rcode(NOERROR))]
    })
}

/// Answers so many questions a second after 20 ms, and drops as many of the others by chance.
fn dropping_by_chance(per_second: u64) -> Script {
    let mut seed = 5_u64;
    // Of the present 20 ms and those before.
    let (mut slot, mut offered, mut before) = (0, 0, 0);
    Box::new(move |_, _, ms| {
        if ms / 20 != slot {
            let is_next = ms / 20 == slot + 1;
            (slot, before) = (ms / 20, if is_next { offered } else { 0 });
            offered = 0;
        }
        offered += 1;
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let answers = (seed >> 33) % before.max(1) < per_second / 50;
        if answers {
            vec![(20, Word::Rcode(NOERROR))]
        } else {
            Vec::new()
        }
    })
}

/// What became of the questions of the others, and of the flood.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    answered: usize,
    slowest_ms: u128,
}

const FLOOD: u32 = 1 << 24;

struct Flood {
    network: Network,
    /// When each of the others asked.
    others: Vec<Instant>,
    flood: u32,
    /// The smallest window since the first second: it is widened and narrowed all the time.
    narrowest: u64,
}

impl Flood {
    fn new(network: Network) -> Self {
        Self {
            network,
            others: Vec::new(),
            flood: 0,
            narrowest: u64::MAX,
        }
    }

    /// 250 new names a second of 25 prefixes, and 10 each ms of one.
    fn run(&mut self, seconds: u64, has_flood: bool) {
        for ms in 0..seconds * 1000 {
            if ms % 4 == 0 {
                self.ask_for_another();
            }
            for _ in 0..if has_flood { 10 } else { 0 } {
                self.flood += 1;
                let name = named(&format!("f{}", self.flood), "flood");
                let waiter = FLOOD + self.flood;
                let _ = self.network.ask_for(&name, client(0), waiter, None);
            }
            self.network.pass(1);
            if ms >= 1000 {
                let window = self.network.flights.counters().window.value();
                self.narrowest = self.narrowest.min(window);
            }
        }
    }

    fn ask_for_another(&mut self) {
        let number = u32::try_from(self.others.len()).unwrap();
        let name = named(&format!("o{number}"), &format!("d{}", number % 31));
        let asker = client(u8::try_from(1 + number % 25).unwrap());
        self.others.push(self.network.now);
        // Whoever is refused is not told; that shows.
        let _ = self.network.ask_for(&name, asker, number, None);
    }

    fn others(&self) -> Tally {
        let mut tally = Tally {
            asked: self.others.len(),
            ..Tally::default()
        };
        for (waiter, what, at) in &self.network.told {
            if *waiter < FLOOD && *what == Told::Rcode(NOERROR) {
                let asked = self.others[usize::try_from(*waiter).unwrap()];
                tally.answered += 1;
                tally.slowest_ms = tally.slowest_ms.max(at.duration_since(asked).as_millis());
            }
        }
        tally
    }

    fn flooder_answered(&self) -> usize {
        let told = self.network.told.iter();
        told.filter(|(waiter, what, _)| *waiter >= FLOOD && *what == Told::Rcode(NOERROR))
            .count()
    }
}

/// The acceptance test of fairness, in simulated time.
#[test]
fn a_prefix_that_floods_costs_others_less_than_a_hundredth_of_their_answers() {
    for (name, script) in [
        ("dropping", dropping(1000)),
        ("by chance", dropping_by_chance(1000)),
        ("delaying", delaying(1000)),
    ] {
        let mut flood = Flood::new(network(Limits::default(), vec![script]));
        flood.network.begin_upkeep();
        flood.run(10, true);
        flood.network.pass(2500);
        let others = flood.others();
        assert!(
            others.answered * 100 >= others.asked * 99,
            "{name}: {others:?}"
        );
        // What is left belongs to the flood: it is no punishment.
        let rest = flood.flooder_answered();
        assert!(rest >= 4000, "{name}: {rest}");
        let counters = flood.network.flights.counters();
        assert!(counters.queued.value() > 0 && counters.questions_refused.value() > 0);
        assert!((1..256).contains(&flood.narrowest), "{}", flood.narrowest);
    }
}

#[test]
fn a_flood_that_begins_later_costs_no_more() {
    let mut flood = Flood::new(network(Limits::default(), vec![dropping(1000)]));
    flood.network.begin_upkeep();
    flood.run(5, false);
    flood.run(5, true);
    flood.network.pass(2500);
    let others = flood.others();
    assert!(others.answered * 100 >= others.asked * 99, "{others:?}");
}

/// Names that nobody answers are no congestion, and hold no place for long.
#[test]
fn a_flood_of_names_that_nobody_answers_costs_others_nothing() {
    for is_spread in [false, true] {
        let mut network = network(Limits::default(), vec![dropping(100_000)]);
        network.dead_letter = Some(b'f');
        network.begin_upkeep();
        let mut flood = Flood::new(network);
        for ms in 0..8000_u64 {
            if ms % 4 == 0 {
                flood.ask_for_another();
            }
            // As many as there are others, where they share prefixes with them.
            if is_spread && ms % 4 != 0 {
                flood.network.pass(1);
                continue;
            }
            flood.flood += 1;
            let name = named(&format!("f{}", flood.flood), "flood");
            let prefix = if is_spread { flood.flood % 25 + 1 } else { 0 };
            let asker = client(u8::try_from(prefix).unwrap());
            let waiter = FLOOD + flood.flood;
            let _ = flood.network.ask_for(&name, asker, waiter, None);
            flood.network.pass(1);
        }
        flood.network.pass(2500);
        let others = flood.others();
        assert!(
            others.answered * 100 >= others.asked * 99,
            "{is_spread}: {others:?}"
        );
        let window = flood.network.flights.counters().window.value();
        assert!(window >= 64, "{is_spread}: {window}");
    }
}

#[test]
fn a_prefix_alone_may_use_all_that_upstreams_can_give() {
    let mut flood = Flood::new(network(Limits::default(), vec![dropping(1000)]));
    flood.network.begin_upkeep();
    for _ in 0..10_000 {
        for _ in 0..2 {
            flood.flood += 1;
            let name = named(&format!("f{}", flood.flood), "flood");
            let waiter = FLOOD + flood.flood;
            let _ = flood.network.ask_for(&name, client(0), waiter, None);
        }
        flood.network.pass(1);
    }
    let answered = flood.flooder_answered();
    assert!(answered >= 8000, "{answered} of 10000 that were possible");
}

/// Bulkheads: design §3.
#[test]
fn a_zone_whose_upstreams_are_slow_leaves_the_other_its_places() {
    let slow: Script = Box::new(|_, _, _| vec![(1900, Word::Rcode(NOERROR))]);
    let quick: Script = Box::new(|_, _, _| vec![(10, Word::Rcode(NOERROR))]);
    let corp = b"\x04corp\x07example\x00".to_vec();
    let limits = Limits {
        questions: 256,
        waiters: 512,
        ..Limits::default()
    };
    let mut network = network_of(limits, &[(vec![0], 1, 0), (corp, 1, 0)], vec![slow, quick]);
    let mut refused = 0;
    for number in 0..20_000_u32 {
        let asker = client(u8::try_from(number % 200).unwrap());
        let name = named(&format!("r{number}"), "other");
        let asked = network.ask_for(&name, asker, FLOOD + number, None);
        refused += usize::from(asked == Err(Failure::Saturated));
        if number % 10 == 0 {
            let name = named(&format!("c{number}"), "corp");
            network.ask_for(&name, asker, number, None).unwrap();
        }
        if number % 4 == 0 {
            network.pass(1);
        }
    }
    assert!(refused > 1000, "{refused}");
    network.pass(3000);
    let slowest = network.told.iter().filter(|(waiter, ..)| *waiter < FLOOD);
    assert!(
        slowest
            .clone()
            .all(|(_, what, _)| *what == Told::Rcode(NOERROR))
    );
    assert_eq!(slowest.count(), 2000);
}

/// Prefetching goes last.
#[test]
fn a_refresh_is_dropped_where_clients_wait() {
    let mut network = network(Limits::default(), vec![dropping(10)]);
    let (a, c) = (named("a", "b"), named("c", "b"));
    assert!(network.flights.may_refresh(&a, Wish::Early));
    assert!(network.flights.refresh(&a, network.now));
    assert_eq!(network.flights.under_way(), 1);
    for number in 0..300 {
        let asker = client(u8::try_from(number % 200).unwrap());
        let name = named(&format!("n{number}"), "x");
        network.ask_for(&name, asker, number, None).unwrap();
    }
    let before = network.flights.under_way();
    assert!(!network.flights.refresh(&c, network.now));
    assert_eq!(network.flights.under_way(), before);
    assert_eq!(network.flights.counters().refreshes_dropped.value(), 1);
    for wish in [Wish::Early, Wish::Again] {
        assert!(!network.flights.may_refresh(&c, wish));
    }
    assert_eq!(network.flights.counters().refreshes_dropped.value(), 3);
    // Under way already: nothing is dropped.
    assert!(!network.flights.refresh(&named("n1", "x"), network.now));
    assert_eq!(network.flights.counters().refreshes_dropped.value(), 3);
}

/// Fetching ahead pauses while any upstream of the zone is down; what has expired needs one.
#[test]
fn nothing_is_fetched_early_while_an_upstream_of_its_zone_is_down() {
    let corp = b"\x04corp\x07example\x00".to_vec();
    let scripts = vec![silent(), silent(), silent()];
    let zones = [(vec![0], 2, 0), (corp, 1, 0)];
    let mut network = network_of(Limits::default(), &zones, scripts);
    let (key, other) = (named("a", "b"), named("a", "corp"));
    let may = |network: &Network, key| {
        [Wish::Early, Wish::Again].map(|wish| network.flights.may_refresh(key, wish))
    };
    assert_eq!(may(&network, &key), [true, true]);
    network.flip(1, false);
    assert_eq!(may(&network, &key), [false, true]);
    assert_eq!(may(&network, &other), [true, true]);
    assert!(network.flights.refresh(&key, network.now));
    network.flip(0, false);
    assert_eq!(may(&network, &key), [false, false]);
    network.pass(1);
    network.flip(1, true);
    assert_eq!(may(&network, &key), [false, true]);
    network.flip(0, true);
    assert_eq!(may(&network, &key), [true, true]);
    assert_eq!(network.flights.counters().refreshes_dropped.value(), 0);
}

/// Just before, at and after the time that a question may wait for its turn.
#[test]
fn a_question_waits_for_its_turn_no_longer_than_it_may() {
    let limits = Limits {
        questions: 128,
        window: 16,
        ..Limits::default()
    };
    let mut network = network(limits, vec![Box::new(|_, _, _| Vec::new())]);
    for number in 0..16 {
        let name = named(&format!("n{number}"), "x");
        network
            .ask_for(&name, client(0), FLOOD + number, None)
            .unwrap();
    }
    assert_eq!(network.asked[0], 16);
    // They are past their time after 300 ms; until then the window is full.
    network.pass(0);
    let each = network.flights.limits.queued_each();
    for number in 0..each {
        let name = named(&format!("q{number}"), "x");
        let waiter = u32::try_from(number).unwrap();
        network.ask_for(&name, client(0), waiter, None).unwrap();
    }
    let refused = network.ask_for(&named("more", "x"), client(0), 9999, None);
    assert_eq!(refused, Err(Failure::Saturated));
    network
        .ask_for(&named("more", "x"), client(1), 9999, None)
        .unwrap();
    network.pass(398);
    assert!(network.told.iter().all(|(waiter, ..)| *waiter >= FLOOD));
    network.pass(10);
    let dropped: Vec<_> = network
        .told
        .iter()
        .filter(|(waiter, ..)| *waiter < FLOOD)
        .collect();
    assert!(!dropped.is_empty());
    assert!(
        dropped
            .iter()
            .all(|(_, what, _)| *what == Told::Failed(Failure::Saturated))
    );
    assert_eq!(
        network.flights.counters().queue_drops.value(),
        dropped.len() as u64
    );
    let saturated = End::Failed(Failure::Saturated);
    let traces = network.flights.recent_traces();
    let waits: Vec<_> = traces
        .filter(|trace| trace.end == saturated)
        .map(|trace| (trace.queued, trace.took))
        .collect();
    assert!(!waits.is_empty());
    assert!(waits.iter().all(|(queued, took)| queued == took));
    network.pass(4000);
    assert_eq!(network.told.len(), 16 + each + 1);
    assert_idle(&mut network);
}

/// Whoever floods could otherwise hold up popular names by asking for them first.
#[test]
fn who_joins_a_question_of_a_crowded_prefix_has_a_turn_of_its_own() {
    let limits = Limits {
        window: 4,
        ..Limits::default()
    };
    let mut network = network(
        limits,
        vec![Box::new(|_, _, _| vec![(20, Word::Rcode(NOERROR))])],
    );
    for number in 0..300 {
        let name = named(&format!("n{number}"), "x");
        network
            .ask_for(&name, client(0), FLOOD + number, None)
            .unwrap();
    }
    let wanted = named("n299", "x");
    network.ask_for(&wanted, client(1), 1, None).unwrap();
    network.pass(50);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    network.pass(3000);
    assert_idle(&mut network);
}

/// With one worker's share of the window in use, a flood of one prefix is refused and not queued for
/// ever: nobody waits longer for an error than for an answer.
#[test]
fn who_is_refused_hears_so_at_once_or_within_the_time_of_the_queue() {
    let mut flood = Flood::new(network(Limits::default(), vec![dropping(100)]));
    flood.run(3, true);
    let start = flood.network.start;
    flood.network.pass(2500);
    for (waiter, what, at) in &flood.network.told {
        if *what == Told::Failed(Failure::Saturated) && *waiter >= FLOOD {
            let asked_ms = u128::from((waiter - FLOOD - 1) / 10);
            let told_ms = at.duration_since(start).as_millis();
            assert!(told_ms <= asked_ms + QUEUE_TIME.as_millis() + TICK_MS + 1);
        }
    }
    assert!(flood.network.flights.counters().queue_drops.value() > 0);
}
