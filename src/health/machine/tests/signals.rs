//! Each signal beside heartbeats, probes and breakers: what it leads to, and what ends it.

use super::*;
use crate::health::others::LINK_GRACE;
use crate::health::overload::{LATENESS_MAX, SIGN_VALIDITY};
use crate::health::{CheckFault, CheckPolicy, OnLocalFault};

const NANOSECOND: Duration = Duration::from_nanos(1);
const POOR: PoorAnswers = PoorAnswers {
    failed_percent: 80,
    baseline_percent: 2,
    domains: 40,
    prefixes: 12,
};
const FEW: PoorCanaries = PoorCanaries {
    good: 1,
    of: 5,
    needed: 3,
};

fn policy() -> ServicePolicy {
    ServicePolicy::new(vec![Family::V4, Family::V6])
}

fn with_check(fault: CheckFault) -> ServicePolicy {
    let check = CheckPolicy {
        name: "disk".into(),
        fault,
        fall: 3,
        rise: 2,
    };
    ServicePolicy {
        checks: vec![check],
        ..policy()
    }
}

fn checked(fault: CheckFault) -> Bench {
    let mut bench = Bench::of(with_check(fault), settings());
    bench.check(true);
    bench.announced()
}

impl Bench {
    fn check(&mut self, is_good: bool) {
        let outcome = if is_good {
            CheckOutcome::Good
        } else {
            CheckOutcome::Bad("no space".into())
        };
        self.health.handle_check(self.now, 0, 0, &outcome);
    }
}

#[test]
fn poor_answers_and_canaries_are_shared_faults_that_end_when_they_are_told_to_be_over() {
    let mut bench = Bench::started();
    bench.health.handle_answers(bench.now, ".", Some(POOR));
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Backup, Some(FaultClass::Shared))
    );
    assert_eq!(
        bench.reason(),
        "80 % of 40 domains fail in zone . for 12 client prefixes, 2 % before"
    );
    assert_eq!(bench.next(), "over when names of . resolve again");
    bench.health.handle_canaries(bench.now, ".", Some(FEW));
    bench.health.handle_answers(bench.now, ".", None);
    assert_eq!(
        bench.reason(),
        "1 of 5 canaries of zone . resolve, 3 have to"
    );
    assert_eq!(bench.next(), "over when 3 canaries of . resolve");
    bench.health.handle_canaries(bench.now, ".", None);
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn each_sign_of_overload_of_the_query_path_is_one_of_the_node() {
    let signs: [fn(&mut Bench); 4] = [
        |bench| bench.drops = [true, false],
        |bench| bench.shed = [5, 0],
        |bench| (bench.probes, bench.answers) = ([Unanswered; 2], [9; 2]),
        |bench| bench.health.handle_lateness(bench.now, 2 * LATENESS_MAX),
    ];
    for sign in signs {
        let mut bench = Bench::started();
        assert!(!bench.health.is_overloaded(bench.now));
        sign(&mut bench);
        bench.ticks(4);
        assert!(bench.health.is_overloaded(bench.now), "{}", bench.reason());
    }
    let mut bench = Bench::started();
    bench.health.handle_answers(bench.now, ".", Some(POOR));
    assert!(!bench.health.is_overloaded(bench.now), "a fault is no load");
}

#[test]
fn new_figures_are_shown_and_are_no_event() {
    let mut bench = Bench::started();
    bench.health.handle_answers(bench.now, ".", Some(POOR));
    while bench.health.poll_event().is_some() {}
    let since = bench.verdict().since;
    bench.now += INTERVAL;
    let worse = PoorAnswers {
        failed_percent: 95,
        ..POOR
    };
    bench.health.handle_answers(bench.now, ".", Some(worse));
    assert!(bench.reason().starts_with("95 %"), "{}", bench.reason());
    assert_eq!(bench.verdict().since, since);
    assert_eq!(bench.health.poll_event(), None);
    bench.health.handle_zone(bench.now, ".", true);
    assert!(bench.health.poll_event().is_some(), "other evidence is");
    assert_eq!(bench.verdict().level_since, since);
}

#[test]
fn a_check_fails_after_fall_bad_results_and_recovers_after_rise_good_ones() {
    for (fault, level, class) in [
        (CheckFault::Shared, Level::Backup, FaultClass::Shared),
        (CheckFault::Local, Level::Withdrawn, FaultClass::Local),
    ] {
        let mut bench = checked(fault);
        bench.check(false);
        bench.check(false);
        assert_eq!(bench.level(), Level::Preferred);
        bench.check(false);
        assert_eq!((bench.level(), bench.class()), (level, Some(class)));
        assert_eq!(
            bench.reason(),
            "check disk failed 3 times in a row: no space"
        );
        assert_eq!(
            bench.next(),
            "over when check disk is good 2 times in a row"
        );
        bench.ticks(10);
        bench.check(true);
        assert_eq!(bench.level(), level);
        bench.check(true);
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
        bench
            .health
            .handle_check(bench.now, 0, 9, &CheckOutcome::Good);
        bench
            .health
            .handle_check(bench.now, 9, 0, &CheckOutcome::Good);
    }
}

#[test]
fn a_start_waits_for_a_check_whose_failure_would_be_local() {
    let mut bench = Bench::of(with_check(CheckFault::Local), settings());
    bench.set_address(true);
    bench.ticks(5);
    assert_eq!(bench.reason(), "starting: no good result of check disk yet");
    assert_eq!(bench.next(), "announced when check disk is good");
    bench.check(true);
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn a_local_check_proves_nothing_under_a_flood_and_less_than_local_without_upstreams() {
    let mut bench = checked(CheckFault::Local);
    bench.drops = [true; 2];
    bench.tick();
    for _ in 0..10 {
        bench.check(false);
    }
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Preferred, Some(FaultClass::Overload))
    );
    let mut bench = checked(CheckFault::Local);
    bench.health.handle_zone(bench.now, ".", true);
    for _ in 0..3 {
        bench.check(false);
    }
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Backup, Some(FaultClass::Shared))
    );
    bench.health.handle_zone(bench.now, ".", false);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Local)),
        "a suspicion that is proven"
    );
}

#[test]
fn a_worker_that_reads_nothing_from_a_queue_that_overflows_is_at_fault_after_ten_seconds() {
    let mut bench = Bench::started();
    (bench.drops, bench.takes) = ([false, true], [1, 0]);
    bench.probes = [Good, Unanswered];
    bench.ticks(52);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Preferred, Some(FaultClass::Overload))
    );
    bench.tick();
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Local))
    );
    bench.drops = [false; 2];
    bench.ticks(60);
    assert_eq!(bench.level(), Level::Withdrawn, "nobody asks it any more");
    (bench.takes, bench.probes) = ([1; 2], [Good; 2]);
    bench.ticks(6);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}

/// All that it reads may come from clients who are over their limits.
#[test]
fn a_flood_that_a_worker_reads_and_answers_nothing_of_is_overload_however_long_it_lasts() {
    let mut bench = Bench::started();
    (bench.drops, bench.probes) = ([true; 2], [Unanswered; 2]);
    bench.tcp = Unanswered;
    bench.ticks(300);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Preferred, Some(FaultClass::Overload))
    );
}

#[test]
fn overload_is_told_for_ten_seconds_after_its_last_sign_and_changes_no_level() {
    type Signed = (fn(&mut Bench), &'static str);
    let signs: [Signed; 3] = [
        (
            |b| b.shed = [4, 1],
            "5 queries shed and 0 answered in a second",
        ),
        (
            |b| b.drops = [false, true],
            "receive queue of worker 1 overflows: 1 queries dropped",
        ),
        (
            |b| b.health.handle_lateness(b.now, LATENESS_MAX + NANOSECOND),
            "routing thread 500 ms late",
        ),
    ];
    for (sign, reason) in signs {
        let mut bench = Bench::started();
        sign(&mut bench);
        bench.tick();
        (bench.shed, bench.drops) = ([0; 2], [false; 2]);
        assert_eq!(
            (bench.level(), bench.class()),
            (Level::Preferred, Some(FaultClass::Overload))
        );
        assert_eq!(bench.reason(), reason);
        assert_eq!(
            bench.next(),
            "over when the load falls; the level does not change"
        );
        let told_at = bench.verdict().since;
        // What was shed stays in the window of the last second.
        bench.ticks(5);
        let end = told_at + SIGN_VALIDITY;
        bench.ticks(43);
        assert_eq!(bench.class(), Some(FaultClass::Overload), "{reason}");
        bench.health.handle_timeout(end + 5 * INTERVAL);
        assert_eq!(bench.class(), None, "{reason}");
    }
}

#[test]
fn links_that_are_down_are_told_when_nothing_else_is_wrong_and_change_no_level() {
    let mut bench = Bench::started();
    bench.health.handle_links(bench.now, 0, 2);
    assert_eq!((bench.level(), bench.class()), (Level::Preferred, None));
    assert_eq!(bench.reason(), "none of 2 links to neighbours is up");
    bench.health.handle_links(bench.now, 1, 2);
    assert_eq!(bench.reason(), "all checks good");
    bench.health.handle_links(bench.now, 0, 0);
    assert_eq!(bench.reason(), "all checks good", "none is wanted");
}

#[test]
fn the_loss_of_the_own_link_is_held_against_nobody() {
    let mut bench = Bench::started();
    for _ in 0..20 {
        bench.health.handle_links(bench.now, 0, 1);
        bench.now += INTERVAL;
        bench.health.handle_zone(bench.now, ".", true);
        assert_eq!(
            bench.reason(),
            "all upstreams of zone . dead; the level stays, for no link to a neighbour was up when \
             that began, or within 5 s before"
        );
        bench.health.handle_links(bench.now, 1, 1);
        bench.now += LINK_GRACE - NANOSECOND;
        bench.health.handle_zone(bench.now, ".", true);
        assert_eq!(bench.level(), Level::Preferred);
        bench.health.handle_zone(bench.now, ".", false);
        assert_eq!(bench.reason(), "all checks good");
    }
    let memory = bench.health.memory(bench.now);
    assert!(memory.iter().all(|(_, memory)| memory.faults.is_empty()));
}

#[test]
fn upstreams_that_are_dead_five_seconds_after_the_link_is_back_are_a_fault() {
    let mut bench = Bench::started();
    bench.health.handle_links(bench.now, 0, 1);
    bench.health.handle_zone(bench.now, ".", true);
    bench.health.handle_links(bench.now, 1, 1);
    let end = bench.now + LINK_GRACE;
    bench.now = end - NANOSECOND;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Preferred);
    assert_eq!(bench.health.poll_timeout(), Some(end));
    bench.health.handle_timeout(end);
    assert_eq!(bench.level(), Level::Backup);
    let mut bench = Bench::started();
    bench.health.handle_zone(bench.now, ".", true);
    bench.health.handle_links(bench.now, 0, 1);
    assert_eq!(
        bench.level(),
        Level::Backup,
        "a fault that was there before"
    );
}

/// Nobody knows yet whether the link leads anywhere.
#[test]
fn upstreams_that_die_just_after_the_link_is_back_are_a_fault_five_seconds_after_that() {
    let mut bench = Bench::started();
    bench.health.handle_links(bench.now, 0, 1);
    bench.health.handle_links(bench.now, 1, 1);
    let end = bench.now + LINK_GRACE;
    bench.now = end - NANOSECOND;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Preferred);
    bench.health.handle_timeout(end);
    assert_eq!(bench.level(), Level::Backup);
    let mut bench = Bench::started();
    bench.health.handle_links(bench.now, 0, 1);
    bench.health.handle_links(bench.now, 1, 1);
    bench.now += LINK_GRACE;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Backup, "at once when that is over");
}

#[test]
fn a_service_that_would_rather_be_ill_than_absent_is_at_backup_unless_its_address_is_missing() {
    let policy = ServicePolicy {
        on_local_fault: OnLocalFault::Backup,
        ..policy()
    };
    let mut bench = Bench::of(policy, settings()).announced();
    bench.beats[0] = false;
    bench.ticks(3);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Backup, Some(FaultClass::Local))
    );
    assert_eq!(bench.grant().unwrap().floor, FloorLevel::LastResort);
    bench.set_address(false);
    assert_eq!(bench.level(), Level::Withdrawn);
    bench.set_address(true);
    assert_eq!(bench.level(), Level::Withdrawn, "proof comes first");
    bench.beats[0] = true;
    bench.ticks(5);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    bench.probes = [Unanswered; 2];
    bench.until(Level::Backup);
    bench.probes = [Good; 2];
    bench.ticks(5);
    assert!(
        bench.reason().starts_with("held down"),
        "{}",
        bench.reason()
    );
}

#[test]
fn a_shared_fault_withdraws_by_way_of_backup_where_the_policy_says_withdraw() {
    let mut bench = Bench::started_with(OnSharedFault::Withdraw);
    bench.health.handle_zone(bench.now, ".", true);
    let at = bench.now + settings().drain_wait;
    assert_eq!(bench.level(), Level::Backup);
    assert_eq!(
        bench.next(),
        "withdrawn in 5.0 s unless an upstream of . answers"
    );
    bench.now = at - NANOSECOND;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Backup);
    assert_eq!(bench.health.poll_timeout(), Some(at));
    bench.health.handle_timeout(at);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Shared))
    );
    bench.now = at;
    bench.health.handle_zone(bench.now, ".", false);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}

#[test]
fn a_start_is_not_over_while_a_gate_is_closed() {
    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    bench.health.expect(StartGate::Upstreams);
    bench.health.expect(StartGate::HotNames);
    bench.set_address(true);
    bench.ticks(5);
    assert_eq!(
        bench.reason(),
        "starting: upstreams not yet reached, nor given up on"
    );
    assert!(!bench.grant().unwrap().ready);
    bench.health.handle_gate(bench.now, StartGate::Upstreams);
    assert_eq!(bench.reason(), "starting: hot names not yet fetched");
    bench.health.handle_gate(bench.now, StartGate::HotNames);
    assert_eq!(bench.level(), Level::Preferred);
}
