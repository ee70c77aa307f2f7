//! Drain, stop and lease.

use super::*;
use crate::health::LEASE_VALIDITY;

#[test]
fn a_drain_withdraws_when_the_rate_is_under_one_per_cent_of_its_start() {
    let mut bench = Bench::started();
    bench.answers = [100; 2];
    bench.ticks(10);
    bench.drain("maintenance");
    assert_eq!(
        (bench.level(), bench.grant().unwrap().leaving),
        (Level::Backup, true)
    );
    // 1,000 per second at the start; 10 per second is not under 1 %.
    bench.answers = [1, 1];
    bench.ticks(20);
    assert_eq!(bench.level(), Level::Backup);
    bench.answers = [1, 0];
    bench.tick();
    assert_eq!(bench.level(), Level::Withdrawn);
    assert_eq!(bench.reason(), "drained: maintenance (by root)");
    assert_eq!(bench.grant().unwrap().floor, FloorLevel::Withdrawn);
    bench.health.handle_undrain(bench.now, None);
    assert_eq!(
        bench.level(),
        Level::Preferred,
        "an undrain is no recovery from a fault"
    );
}

#[test]
fn a_drain_of_a_quiet_node_waits_a_second_for_the_routers() {
    let mut bench = Bench::started();
    bench.ticks(10);
    bench.drain("maintenance");
    assert_eq!(bench.until(Level::Withdrawn), Duration::from_secs(1));
}

#[test]
fn a_drain_withdraws_after_drain_wait_however_many_still_ask() {
    let mut bench = Bench::started();
    bench.answers = [100; 2];
    bench.ticks(10);
    bench.drain("maintenance");
    let deadline = bench.now + settings().drain_wait;
    bench
        .health
        .handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(bench.level(), Level::Backup);
    bench.health.handle_timeout(deadline);
    assert_eq!(bench.level(), Level::Withdrawn);
}

#[test]
fn a_local_fault_does_not_wait_for_a_drain() {
    let mut bench = Bench::started();
    bench.answers = [100; 2];
    bench.ticks(10);
    bench.drain("maintenance");
    bench.set_address(false);
    assert_eq!(bench.level(), Level::Withdrawn);
}

#[test]
fn a_stop_drains_lingers_and_finishes_and_cannot_be_taken_back() {
    let mut bench = Bench::started();
    bench.answers = [100; 2];
    bench.ticks(10);
    bench.health.handle_stop(bench.now, "SIGTERM");
    bench.health.handle_undrain(bench.now, None);
    bench.drain("something else");
    assert_eq!(
        (bench.level(), bench.reason().as_str()),
        (Level::Backup, "draining: SIGTERM")
    );
    bench.answers = [0; 2];
    bench.until(Level::Withdrawn);
    let end = bench.now + settings().linger;
    bench.health.handle_timeout(end - Duration::from_nanos(1));
    assert_eq!(bench.health.drain_phase(), DrainPhase::Drained);
    bench.health.handle_timeout(end);
    assert_eq!(bench.health.drain_phase(), DrainPhase::Finished);
    let events: Vec<_> = std::iter::from_fn(|| bench.health.poll_event()).collect();
    assert_eq!(events.last(), Some(&Event::Drain(DrainPhase::Finished)));
}

#[test]
fn a_stop_of_a_drained_node_lingers_no_second_time() {
    let mut bench = Bench::started();
    bench.drain("maintenance");
    bench.until(Level::Withdrawn);
    bench.ticks(10);
    bench.health.handle_stop(bench.now, "SIGTERM");
    assert_eq!(bench.health.drain_phase(), DrainPhase::Finished);
}

#[test]
fn a_stop_of_a_node_that_announces_nothing_only_lingers() {
    let mut bench = Bench::started();
    bench.set_address(false);
    bench.health.handle_stop(bench.now, "SIGTERM");
    assert_eq!(bench.health.drain_phase(), DrainPhase::Drained);
    bench.health.handle_timeout(bench.now + settings().linger);
    assert_eq!(bench.health.drain_phase(), DrainPhase::Finished);
}

#[test]
fn the_lease_is_renewed_from_fresh_inputs_only_and_bad_news_needs_none() {
    let mut bench = Bench::started();
    assert_eq!(bench.health.lease().renewed_at(), Some(bench.now));
    // Probes go on, but nobody reads the counters any more.
    let silence = bench.now;
    let last = silence + 2 * INTERVAL - Duration::from_nanos(1);
    for now in [last, silence + 2 * INTERVAL] {
        bench.now = now;
        for target in Bench::TARGETS {
            bench.probe(target, ProbeOf::Tcp, Good);
        }
        assert_eq!(bench.health.lease().renewed_at(), Some(last));
    }
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.health.lease().renewed_at(), Some(last));
    assert_eq!(bench.grant().unwrap().level, Level::Backup);
    bench.now = last + LEASE_VALIDITY;
    assert_eq!(bench.grant(), None);
}

#[test]
fn the_lease_goes_stale_when_the_probes_of_one_address_fall_silent() {
    let mut bench = Bench::started();
    for _ in 0..10 {
        bench.now += INTERVAL;
        bench.probe(Bench::V4, ProbeOf::Worker(0), Good);
        bench.sample();
    }
    assert!(!bench.health.lease().is_fresh(bench.now));
}

#[test]
fn the_lease_stays_fresh_between_two_probes_of_a_long_interval() {
    let interval = Duration::from_secs(10);
    let mut bench = Bench::new(
        OnSharedFault::Backup,
        Settings {
            interval,
            ..settings()
        },
    );
    for target in Bench::TARGETS {
        bench.probe(target, ProbeOf::Tcp, Good);
    }
    bench.sample();
    let end = bench.now + interval;
    while bench.now < end {
        assert!(bench.health.lease().is_fresh(bench.now));
        bench.now = bench.health.poll_timeout().unwrap();
        bench.health.handle_timeout(bench.now);
    }
}
