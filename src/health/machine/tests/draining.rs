//! Drains over restarts and by their time, with the health around them.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn order(bench: &Bench, lasts: Option<Duration>) -> DrainOrder {
    DrainOrder {
        service: Some(0),
        who: "ops".into(),
        reason: "kernel".into(),
        until: lasts.map(|lasts| bench.now + lasts),
    }
}

/// A node that starts while `order` stands.
fn restarted(order: &DrainOrder, now: Instant) -> Bench {
    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    bench.now = now;
    bench.health = Health::new(
        settings(),
        &[ServicePolicy::new(vec![Family::V4, Family::V6])],
        WORKERS,
        now,
    );
    bench.health.restore_drain(now, order, MINUTE);
    bench
}

#[test]
fn a_node_that_restarts_in_the_middle_of_a_drain_never_announces_until_it_is_taken_back() {
    // Before anybody could leave, while clients leave, and when they have left.
    for ticks in [0, 3, 40] {
        let mut bench = Bench::started();
        bench.answers = [100; 2];
        bench.ticks(10);
        let order = order(&bench, None);
        bench.health.handle_drain(bench.now, &order);
        bench.ticks(ticks);
        let mut next = restarted(&order, bench.now);
        assert_eq!(next.health.drains()[0].order, order);
        next.set_address(true);
        for _ in 0..50 {
            next.tick();
            assert_eq!(next.level(), Level::Withdrawn);
        }
        assert_eq!(next.reason(), "drained: kernel (by ops)");
        assert_eq!(next.class(), Some(FaultClass::Operator));
        assert_eq!(next.grant().unwrap().floor, FloorLevel::Withdrawn);
        next.health.handle_undrain(next.now, Some(0));
        assert_eq!(next.level(), Level::Preferred);
    }
}

#[test]
fn a_restored_drain_ends_when_it_would_have_ended() {
    let bench = Bench::started();
    let order = order(&bench, Some(MINUTE));
    let mut next = restarted(&order, bench.now);
    next.set_address(true);
    next.ticks(299);
    assert_eq!(next.level(), Level::Withdrawn);
    assert!(next.health.poll_timeout().unwrap() <= order.until.unwrap());
    next.ticks(1);
    assert_eq!(next.level(), Level::Preferred);
    assert_eq!(next.health.drains(), []);
}

#[test]
fn a_restart_after_the_end_of_a_drain_is_a_normal_start() {
    let bench = Bench::started();
    let order = order(&bench, Some(MINUTE));
    let mut next = restarted(&order, bench.now + MINUTE);
    next.set_address(true);
    assert_eq!(next.reason(), "starting: no heartbeat of worker 0 yet");
    next.ticks(2);
    assert_eq!(next.level(), Level::Preferred);
}

#[test]
fn a_drain_that_ends_by_itself_needs_nothing_but_its_timer() {
    let mut bench = Bench::started();
    let order = order(&bench, Some(MINUTE));
    bench.health.handle_drain(bench.now, &order);
    bench.ticks(30);
    let end = order.until.unwrap();
    bench.health.handle_timeout(end - Duration::from_nanos(1));
    assert_eq!(bench.level(), Level::Withdrawn);
    bench.health.handle_timeout(end);
    assert_eq!(bench.level(), Level::Preferred);
}

#[test]
fn the_rate_of_the_service_counts_and_not_that_of_the_node_when_it_is_told() {
    let mut bench = Bench::started();
    bench.answers = [100; 2];
    bench.ticks(10);
    for tick in 0..10 {
        bench.health.handle_rates(bench.now, &[(0, 100 * tick)]);
        bench.tick();
    }
    bench.drain("kernel");
    // The workers answer for others; the service is asked nothing any more.
    for _ in 0..6 {
        bench.health.handle_rates(bench.now, &[(0, 900)]);
        bench.tick();
    }
    assert_eq!(bench.level(), Level::Withdrawn);
}
