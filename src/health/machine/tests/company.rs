//! What a node does about a shared fault when its siblings have it too: it does not stay alone with the
//! load of all, and it leaves nobody without a route.

use super::*;
use crate::health::shared_fault::{ABLE_MIN, UNABLE_MIN};

const NANOSECOND: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

fn view(reached: u16, able: u16, lowered: u16) -> PeersView {
    PeersView {
        known: 16,
        reached,
        able,
        lowered,
        blind: 0,
        ..PeersView::default()
    }
}

/// A node with a shared fault whose siblings have said that.
fn with_fault(policy: OnSharedFault, view: PeersView) -> Bench {
    let mut bench = Bench::started_with(policy);
    bench.health.handle_peers(bench.now, view);
    bench.health.handle_zone(bench.now, ".", true);
    bench
}

#[test]
fn a_node_follows_when_more_than_half_of_its_siblings_left_for_a_fault_that_all_have() {
    for (reached, lowered, level) in [
        (1, 0, Level::Preferred),
        (1, 1, Level::Backup),
        (2, 1, Level::Preferred),
        (2, 2, Level::Backup),
        (3, 1, Level::Preferred),
        (3, 2, Level::Backup),
        (16, 8, Level::Preferred),
        (16, 9, Level::Backup),
        (0, 0, Level::Preferred),
    ] {
        let bench = with_fault(OnSharedFault::Backup, view(reached, 0, lowered));
        assert_eq!(bench.level(), level, "{lowered} of {reached}");
        let kept = with_fault(OnSharedFault::Keep, view(reached, 0, lowered));
        assert_eq!(kept.level(), Level::Preferred);
    }
    let mut later = with_fault(OnSharedFault::Backup, view(3, 0, 1));
    later.health.handle_peers(later.now, view(3, 0, 2));
    assert_eq!(later.level(), Level::Backup, "{}", later.reason());
}

/// Upstreams return: the others are about to be preferred again.
#[test]
fn a_node_follows_nobody_while_a_sibling_that_was_unable_is_able_again() {
    let mut bench = with_fault(OnSharedFault::Backup, view(3, 0, 1));
    bench.health.handle_peers(bench.now, view(3, 1, 2));
    bench.now += ABLE_MIN - NANOSECOND;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}

#[test]
fn a_node_that_followed_returns_when_all_were_unable_for_ten_seconds_and_follows_no_more() {
    let mut bench = with_fault(OnSharedFault::Backup, view(3, 0, 3));
    let until = bench.now + UNABLE_MIN;
    bench.now = until - NANOSECOND;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Backup);
    assert_eq!(bench.health.poll_timeout(), Some(until));
    bench.health.handle_timeout(until);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    bench.now = until;
    for lowered in [3, 0, 2, 3] {
        bench.health.handle_peers(bench.now, view(3, 0, lowered));
        bench.ticks(60);
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    }
}

#[test]
fn a_shared_fault_withdraws_only_where_a_sibling_was_able_for_the_drain_wait() {
    let mut bench = with_fault(OnSharedFault::Withdraw, view(2, 1, 0));
    let wait = settings().drain_wait;
    bench.now += wait - NANOSECOND;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Backup);
    bench.now += NANOSECOND;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Withdrawn);
    // The one that could help leaves, or falls silent: somebody has to stay.
    for reached in [2, 0] {
        bench.health.handle_peers(bench.now, view(reached, 0, 1));
        assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
        bench.ticks(5);
        bench.health.handle_peers(bench.now, view(2, 1, 1));
        bench.now += wait - NANOSECOND;
        bench.health.handle_timeout(bench.now);
        assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
        assert_eq!(bench.health.poll_timeout(), Some(bench.now + NANOSECOND));
        bench.now += NANOSECOND;
        bench.health.handle_timeout(bench.now);
        assert_eq!(bench.level(), Level::Withdrawn, "{}", bench.reason());
    }
}

#[test]
fn who_left_upon_words_that_were_out_of_date_or_followed_others_is_not_withdrawn() {
    let mut early = with_fault(OnSharedFault::Withdraw, view(2, 2, 0));
    early.now += SECOND;
    early.health.handle_peers(early.now, view(2, 0, 1));
    let late = with_fault(OnSharedFault::Withdraw, view(2, 0, 2));
    for mut bench in [early, late] {
        for _ in 0..45 {
            assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
            bench.tick();
        }
        bench.ticks(300);
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    }
}

#[test]
fn a_node_is_able_to_take_clients_over_while_it_resolves_and_is_announced_and_nobody_drains_it() {
    let mut bench = Bench::new(OnSharedFault::Backup, settings());
    assert!(!bench.health.is_able(), "it is starting");
    bench = bench.announced();
    bench.answers = [100; 2];
    bench.ticks(10);
    assert!(bench.health.is_able());
    bench.fail();
    assert_eq!(bench.level(), Level::Withdrawn);
    assert!(!bench.health.is_able());
    bench.until(Level::Preferred);
    bench.fail();
    bench.until(Level::Backup);
    assert!(bench.health.is_able(), "backup is announced");
    bench.drain("kernel");
    assert_eq!(bench.level(), Level::Backup);
    assert!(!bench.health.is_able(), "and is about to leave");
    bench.health.handle_undrain(bench.now, None);
    assert!(bench.health.is_able());
    bench.health.handle_zone(bench.now, ".", true);
    assert!(!bench.health.is_able());
}
