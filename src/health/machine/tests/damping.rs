//! What delays a step to `preferred`, and nothing else: hold-down, chance, the changes of the hour;
//! and what a restart makes of them.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Calls the machine just before `until`, then at it: only then may it be preferred.
fn assert_preferred_at(bench: &mut Bench, until: Instant) {
    bench.now = until - NANOSECOND;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
    bench.now = until;
    bench.health.handle_timeout(until);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}

#[test]
fn a_start_without_memory_is_not_delayed_by_chance_and_a_return_from_a_fault_is() {
    let with_jitter = |seed| Settings {
        jitter: SECOND,
        seed,
        ..settings()
    };
    let mut waits = Vec::new();
    for seed in 0..20 {
        let mut bench = Bench::new(OnSharedFault::Backup, with_jitter(seed)).announced();
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_zone(bench.now, ".", false);
        let Reason::Staggered { until } = bench.verdict().reason else {
            panic!("{}", bench.reason());
        };
        let wait = until - bench.now;
        assert!(wait < SECOND, "{wait:?}");
        let left_ms = wait.as_millis();
        let words = format!(
            "returns to preferred in {}.{} s if nothing fails",
            left_ms / 1000,
            left_ms / 100 % 10
        );
        assert_eq!(bench.next(), words);
        assert_eq!(bench.class(), Some(FaultClass::Shared));
        assert_preferred_at(&mut bench, until);
        waits.push(wait);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 15, "another one for each seed: {waits:?}");
}

#[test]
fn an_undrain_is_delayed_by_no_chance() {
    let settings = Settings {
        jitter: SECOND,
        ..settings()
    };
    let mut bench = Bench::new(OnSharedFault::Backup, settings).announced();
    bench.drain("maintenance");
    bench.until(Level::Withdrawn);
    bench.health.handle_undrain(bench.now, None);
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn the_changes_of_an_hour_are_spent_and_the_next_comes_when_the_first_is_an_hour_old() {
    let settings = Settings {
        promotions_per_hour: 3,
        hold_down: Duration::ZERO,
        ..settings()
    };
    let mut bench = Bench::new(OnSharedFault::Backup, settings).announced();
    let first = bench.now;
    for _ in 0..2 {
        bench.now += SECOND;
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_zone(bench.now, ".", false);
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    }
    bench.now += SECOND;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Backup, "a worsening does not wait");
    bench.health.handle_zone(bench.now, ".", false);
    assert_eq!(
        bench.reason(),
        "well again, but 3 times preferred within an hour"
    );
    assert_eq!(
        bench.next(),
        "returns to preferred in 59 min if nothing fails"
    );
    bench.set_address(false);
    assert_eq!(bench.level(), Level::Withdrawn, "neither does a fault");
    bench.set_address(true);
    bench.until(Level::Backup);
    assert_preferred_at(&mut bench, first + HOUR);
}

#[test]
fn operators_who_drain_too_often_are_told_that_it_was_they() {
    let settings = Settings {
        promotions_per_hour: 1,
        ..settings()
    };
    let mut bench = Bench::new(OnSharedFault::Backup, settings).announced();
    bench.drain("maintenance");
    bench.health.handle_undrain(bench.now, None);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Backup, Some(FaultClass::Operator))
    );
}

#[test]
fn from_the_third_fault_on_more_good_probes_are_wanted_and_said() {
    let mut bench = Bench::started();
    for probes in [5, 5, 10, 20, 25, 25] {
        bench.set_address(false);
        let words = format!("when that ends and then {probes} probes in a row are good");
        assert!(bench.next().ends_with(&words), "{}", bench.next());
        bench.set_address(true);
        bench.tick();
        assert_eq!(
            bench.reason(),
            format!("recovering: {probes} good probes in a row of each worker awaited")
        );
        bench.ticks(probes - 2);
        assert_eq!(bench.level(), Level::Withdrawn);
        bench.tick();
        assert!(bench.level() >= Level::Backup, "{}", bench.reason());
    }
}

/// A node as it comes back with the memory of the one before it, after `downtime`.
fn restarted(before: &Bench, downtime: Duration, is_unclean: bool) -> Bench {
    let mut memory = before.health.memory(before.now);
    for (_, target) in &mut memory {
        target.faults.iter_mut().for_each(|age| *age += downtime);
        target
            .promotions
            .iter_mut()
            .for_each(|age| *age += downtime);
        if is_unclean {
            target.faults.push(Duration::ZERO);
        }
    }
    let settings = before.health.settings.clone();
    let mut bench = Bench::new(OnSharedFault::Backup, settings);
    bench.now = before.now + downtime;
    bench.health.recall(bench.now, &memory);
    bench.set_address(true);
    bench
}

#[test]
fn a_hold_down_goes_on_after_a_restart() {
    let mut bench = Bench::started();
    for _ in 0..2 {
        bench.fail();
        bench.ticks(5);
    }
    let Reason::HeldDown { until, .. } = bench.verdict().reason else {
        panic!("{}", bench.reason());
    };
    let mut after = restarted(&bench, 2 * SECOND, false);
    after.ticks(2);
    assert_eq!(after.level(), Level::Backup, "backup does not wait");
    assert_eq!(
        after.reason(),
        "held down for 10000 ms after 2 faults in 10 min"
    );
    assert_preferred_at(&mut after, until);
}

#[test]
fn a_restart_in_the_middle_of_a_fault_counts_it() {
    let mut bench = Bench::started();
    bench.fail();
    bench.until(Level::Preferred);
    bench.set_address(false);
    bench.ticks(100);
    let mut after = restarted(&bench, Duration::ZERO, false);
    let end = after.now;
    after.ticks(2);
    assert_eq!(after.level(), Level::Backup, "{}", after.reason());
    assert_preferred_at(&mut after, end + settings().hold_down);
}

#[test]
fn a_clean_restart_of_a_node_without_faults_goes_straight_to_its_level() {
    let bench = Bench::started();
    let mut after = restarted(&bench, SECOND, false);
    after.ticks(2);
    assert_eq!(after.level(), Level::Preferred);
    let [(_, memory), _] = after.health.memory(after.now).try_into().unwrap();
    assert_eq!((memory.faults.len(), memory.promotions.len()), (0, 2));
}

#[test]
fn a_node_that_is_killed_a_second_after_each_of_twenty_starts_is_preferred_four_times_at_most() {
    for jitter in [Duration::ZERO, SECOND] {
        let settings = Settings {
            jitter,
            ..settings()
        };
        let mut bench = Bench::new(OnSharedFault::Backup, settings);
        bench.set_address(true);
        let (mut preferred, mut announced) = (0, 0);
        for _ in 0..20 {
            bench.ticks(5);
            let events: Vec<_> = std::iter::from_fn(|| bench.health.poll_event()).collect();
            let changes = |level| {
                let is_it = |event: &&Event| {
                    matches!(event, Event::Verdict { target, from, verdict, .. }
                        if *target == Bench::V4 && verdict.level == level && *from != level)
                };
                events.iter().filter(is_it).count()
            };
            preferred += changes(Level::Preferred);
            announced += changes(Level::Preferred) + changes(Level::Backup);
            bench = restarted(&bench, SECOND / 10, true);
        }
        assert!(preferred <= 4, "{preferred} with {jitter:?}");
        assert!(announced >= 20, "it serves in between: {announced}");
    }
}

#[test]
fn what_is_remembered_is_bounded_whatever_happens() {
    let mut bench = Bench::started();
    for _ in 0..100 {
        bench.fail();
        bench.ticks(25);
        assert!(bench.level() >= Level::Backup);
    }
    for (_, memory) in bench.health.memory(bench.now) {
        assert!(memory.faults.len() <= 32 && memory.promotions.len() <= 12);
    }
    assert!(
        bench
            .health
            .memory(bench.now + HOUR)
            .iter()
            .all(|(_, memory)| { memory.faults.is_empty() && memory.promotions.is_empty() })
    );
}

/// The worst that a fault can do: it comes whenever the route does, and goes when the route has gone.
#[test]
fn a_local_fault_that_follows_the_route_changes_it_no_more_often_than_stated() {
    let mut bench = Bench::started();
    let end = bench.now + HOUR / 3;
    let (mut changes, mut level) = (0, bench.level());
    while bench.now < end {
        bench.set_address(bench.level() == Level::Withdrawn);
        bench.tick();
        if bench.level() != level {
            level = bench.level();
            changes += 1;
        }
    }
    // 25 probes of 200 ms each for every return; the first returns take less.
    let limit = 2 * (1200 / 5 + 4) + 3 * 12 + 2;
    assert!(changes <= limit, "{changes}");
    assert!(
        changes > 400,
        "the bound is not far from the truth: {changes}"
    );
}

#[test]
fn a_shared_fault_that_comes_and_goes_makes_it_preferred_twelve_times_an_hour_at_most() {
    let mut bench = Bench::started();
    let end = bench.now + HOUR;
    let mut promotions = 1;
    while bench.now < end {
        let before = bench.level();
        bench
            .health
            .handle_zone(bench.now, ".", before == Level::Preferred);
        bench.now += SECOND;
        assert!(bench.level() >= Level::Backup);
        promotions += u32::from(before < bench.level());
    }
    assert!(promotions <= 12, "{promotions}");
}
