//! Start, fault and recovery: each limit from just before to just after.

use super::*;

#[test]
fn a_start_waits_for_each_check_and_goes_straight_to_its_level() {
    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    assert_eq!(bench.reason(), "starting: address not yet on the interface");
    bench.probes = [Good, Unanswered];
    bench.tcp = Unanswered;
    bench.ticks(5);
    assert_eq!(bench.reason(), "starting: address not yet on the interface");
    assert_eq!(bench.grant().unwrap().floor, FloorLevel::Withdrawn);
    bench.set_address(true);
    bench.tick();
    assert_eq!(bench.verdict().reason, Reason::Starting(Awaited::Probe(1)));
    bench.probes = [Good; 2];
    bench.tick();
    assert_eq!(bench.reason(), "starting: no good tcp probe yet");
    assert_eq!((bench.level(), bench.class()), (Level::Withdrawn, None));
    bench.tcp = Good;
    bench.tick();
    assert_eq!(
        (bench.level(), bench.reason().as_str()),
        (Level::Preferred, "all checks good")
    );

    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    bench.health.handle_zone(bench.now, ".", true);
    bench.set_address(true);
    bench.ticks(2);
    assert_eq!(
        bench.level(),
        Level::Backup,
        "its due level while the upstreams are dead"
    );
}

#[test]
fn a_worker_that_never_turns_keeps_a_start_from_ending() {
    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    bench.beats[1] = false;
    bench.set_address(true);
    bench.ticks(10);
    assert_eq!(bench.level(), Level::Withdrawn);
    assert_eq!(bench.reason(), "worker 1 heartbeat stuck for 600 ms");
    bench.beats[1] = true;
    bench.tick();
    assert_eq!(
        bench.level(),
        Level::Preferred,
        "a start is no recovery from a fault"
    );
}

#[test]
fn a_stuck_heartbeat_withdraws_after_fall_intervals_and_not_before() {
    let mut bench = Bench::started();
    bench.beats[0] = false;
    bench.ticks(2);
    assert_eq!(bench.level(), Level::Preferred);
    bench.tick();
    assert_eq!(bench.level(), Level::Withdrawn);
}

#[test]
fn the_last_of_fall_probes_withdraws_at_once_and_the_one_before_does_not() {
    let mut bench = Bench::started();
    for probe in [ProbeOf::Worker(0), ProbeOf::Address, ProbeOf::Tcp] {
        let mut bench = bench.clone();
        bench.probe(Bench::V4, probe, Unanswered);
        bench.probe(Bench::V4, probe, Unanswered);
        assert_eq!(bench.level(), Level::Preferred, "{probe:?}");
        bench.probe(Bench::V4, probe, Unanswered);
        assert_eq!(bench.level(), Level::Withdrawn, "{probe:?}");
        let v6 = bench
            .health
            .verdicts()
            .find(|(target, _)| *target == Bench::V6)
            .unwrap();
        assert_eq!(
            v6.1.level,
            Level::Preferred,
            "each family has its own level"
        );
    }
    bench.probe(Bench::V4, ProbeOf::Address, Unanswered);
    bench.probe(Bench::V4, ProbeOf::Address, Unanswered);
    bench.probe(Bench::V4, ProbeOf::Worker(1), Good);
    bench.probe(Bench::V4, ProbeOf::Address, Unanswered);
    assert_eq!(
        bench.level(),
        Level::Preferred,
        "some worker answered in between"
    );
}

#[test]
fn an_answered_client_explains_an_unanswered_probe_for_one_and_a_half_intervals() {
    let window = INTERVAL * 3 / 2;
    let late = Duration::from_nanos(1);
    for (wait, level) in [
        (window, Level::Preferred),
        (window + late, Level::Withdrawn),
    ] {
        let mut bench = Bench::started();
        bench.answers = [9, 0];
        bench.sample();
        bench.now += wait;
        for _ in 0..3 {
            bench.probe(Bench::V4, ProbeOf::Worker(0), Unanswered);
        }
        assert_eq!(bench.level(), level, "after {wait:?}");
    }
    let mut bench = Bench::started();
    bench.answers = [9, 0];
    bench.probes = [Good, Unanswered];
    bench.ticks(3);
    assert_eq!(
        bench.level(),
        Level::Withdrawn,
        "another worker's clients explain nothing"
    );
}

/// A black hole of one family must not hide behind the clients of the other.
#[test]
fn clients_of_another_address_explain_no_unanswered_probe() {
    for (asked, level) in [(Bench::V4, Level::Preferred), (Bench::V6, Level::Withdrawn)] {
        let mut bench = Bench::started();
        (bench.answers, bench.asked) = ([9; 2], vec![asked]);
        bench.ticks(2);
        for _ in 0..3 {
            bench.probe(Bench::V4, ProbeOf::Worker(0), Unanswered);
        }
        assert_eq!(bench.level(), level, "clients ask {asked:?}");
    }
}

#[test]
fn recovery_takes_rise_probes_and_the_first_fault_holds_nothing() {
    let mut bench = Bench::started();
    bench.probes[1] = Unanswered;
    bench.until(Level::Withdrawn);
    bench.probes[1] = Good;
    bench.ticks(4);
    assert_eq!(bench.level(), Level::Withdrawn);
    assert_eq!(
        bench.reason(),
        "recovering: 5 good probes in a row of each worker awaited"
    );
    bench.tick();
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn every_worker_proves_itself_anew_after_a_missing_address() {
    let mut bench = Bench::started();
    bench.set_address(false);
    assert_eq!(bench.level(), Level::Withdrawn, "at once");
    bench.set_address(true);
    bench.ticks(4);
    assert_eq!(bench.level(), Level::Withdrawn);
    bench.tick();
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn from_the_second_fault_on_the_hold_down_keeps_it_at_backup_and_not_longer() {
    let mut bench = Bench::started();
    let well = PeersView {
        known: 2,
        reached: 2,
        able: 2,
        ..PeersView::default()
    };
    bench.health.handle_peers(bench.now, well);
    bench.set_address(false);
    bench.set_address(true);
    bench.until(Level::Preferred);
    for (hold_s, probes) in [(10, 5), (20, 10)] {
        bench.set_address(false);
        bench.set_address(true);
        bench.ticks(probes - 1);
        assert_eq!(bench.level(), Level::Withdrawn);
        bench.tick();
        assert_eq!(
            bench.level(),
            Level::Backup,
            "the way to backup does not wait"
        );
        assert_eq!(bench.class(), Some(FaultClass::Local));
        assert!(
            bench
                .reason()
                .starts_with(&format!("held down for {hold_s}000 ms after "))
        );
        let until = bench.verdict().since + Duration::from_secs(hold_s);
        bench.health.handle_timeout(until - Duration::from_nanos(1));
        assert_eq!(bench.level(), Level::Backup);
        bench.health.handle_timeout(until);
        assert_eq!(bench.level(), Level::Preferred);
        bench.now = until;
    }
}

#[test]
fn the_machine_asks_to_be_called_when_the_hold_down_ends() {
    let mut bench = Bench::started();
    for _ in 0..2 {
        bench.set_address(false);
        bench.set_address(true);
        bench.ticks(5);
    }
    let until = bench.verdict().since + settings().hold_down;
    while bench.level() == Level::Backup {
        let due = bench.health.poll_timeout().unwrap();
        assert!(due > bench.now && due <= bench.now + RENEWAL);
        bench.now = due;
        bench.health.handle_timeout(due);
    }
    assert_eq!((bench.level(), bench.now), (Level::Preferred, until));
}

#[test]
fn a_local_fault_outlives_a_shared_one_that_comes_later() {
    let mut bench = Bench::started();
    bench.probes = [Unanswered; 2];
    bench.until(Level::Withdrawn);
    bench.health.handle_zone(bench.now, ".", true);
    bench.ticks(5);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Local))
    );
}

#[test]
fn a_suspicion_becomes_a_local_fault_when_the_upstreams_are_back() {
    let mut bench = Bench::started();
    bench.health.handle_zone(bench.now, "corp.example.", true);
    bench.probes = [Unanswered; 2];
    bench.ticks(5);
    assert_eq!(bench.reason(), "all upstreams of zone corp.example. dead");
    bench.health.handle_zone(bench.now, "corp.example.", false);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Local))
    );
}

#[test]
fn a_change_is_told_once_with_the_level_before_it() {
    let mut bench = Bench::started();
    let at = bench.now;
    bench.health.handle_zone(at, ".", true);
    bench.ticks(3);
    for _ in Bench::TARGETS {
        let Some(Event::Verdict { from, verdict, .. }) = bench.health.poll_event() else {
            panic!("one for each target");
        };
        assert_eq!(
            (from, verdict.level, verdict.since),
            (Level::Preferred, Level::Backup, at)
        );
    }
    assert_eq!(bench.health.poll_event(), None);
}

/// Idle connections of one client hold every TCP slot of a node that nobody else asks: each probe
/// is turned away, and counted as shed only after its result.
#[test]
fn tcp_slots_that_idle_connections_hold_are_overload_though_only_the_probe_is_shed() {
    let mut bench = Bench::started();
    for _ in 0..10 {
        for target in Bench::TARGETS {
            bench.probe(target, ProbeOf::Tcp, Unanswered);
        }
        bench.samples[0].tcp_shed += 1;
        bench.sample();
        for _ in 0..5 {
            for target in Bench::TARGETS {
                for worker in 0..WORKERS {
                    bench.probe(target, ProbeOf::Worker(worker), Good);
                }
            }
            bench.now += INTERVAL;
            bench.sample();
        }
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    }
    assert_eq!(bench.class(), Some(FaultClass::Overload));
}
