//! What siblings say: whether moving would help, and whether they hear this node.

use super::*;
use crate::health::SERVICE_MARKS;
use crate::health::shared_fault::{ABLE_MIN, UNABLE_MIN, Unheard};

const NANOSECOND: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

/// Three siblings that all answer.
const ABLE: PeersView = PeersView {
    known: 3,
    reached: 3,
    able: 1,
    lowered: 0,
    spared: [0; SERVICE_MARKS],
    blind: 0,
};
const UNABLE: PeersView = PeersView { able: 0, ..ABLE };
const SILENT: PeersView = PeersView {
    reached: 0,
    ..UNABLE
};
const BLIND: PeersView = PeersView { blind: 2, ..ABLE };

fn told(view: PeersView) -> Bench {
    let mut bench = Bench::started();
    bench.health.handle_peers(bench.now, view);
    bench
}

#[test]
fn a_shared_fault_moves_only_when_a_sibling_can_resolve() {
    for (view, level) in [
        (ABLE, Level::Backup),
        (UNABLE, Level::Preferred),
        (SILENT, Level::Preferred),
        (PeersView::default(), Level::Backup),
    ] {
        let mut bench = told(view);
        bench.health.handle_zone(bench.now, ".", true);
        assert_eq!(bench.level(), level, "{view:?}");
        assert_eq!(bench.class(), Some(FaultClass::Shared), "{view:?}");
    }
}

#[test]
fn a_level_that_stays_for_want_of_a_sibling_says_so_and_what_would_change_it() {
    let mut bench = told(UNABLE);
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(
        bench.reason(),
        "all upstreams of zone . dead; the level stays, for none of 3 siblings says that it can \
         resolve (3 answer)"
    );
    assert_eq!(
        bench.next(),
        "goes to backup when a sibling can resolve; over when an upstream of . answers"
    );
    bench.health.handle_peers(bench.now, ABLE);
    bench.ticks(26);
    assert_eq!(bench.level(), Level::Backup);
    assert_eq!(bench.next(), "over when an upstream of . answers");
}

#[test]
fn a_sibling_that_returns_after_all_were_unable_counts_when_it_has_been_able_for_five_seconds() {
    for begin in [UNABLE, SILENT] {
        let mut bench = told(begin);
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_peers(bench.now, ABLE);
        bench.now += SECOND;
        bench.health.handle_peers(bench.now, UNABLE);
        bench.health.handle_peers(bench.now, ABLE);
        let until = bench.now + ABLE_MIN;
        bench.now = until - NANOSECOND;
        bench
            .health
            .handle_peers(bench.now, PeersView { able: 2, ..ABLE });
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
        assert_eq!(bench.health.poll_timeout(), Some(until));
        bench.health.handle_timeout(until);
        assert_eq!(bench.level(), Level::Backup);
    }
}

#[test]
fn once_moved_it_stays_for_the_fault_however_the_siblings_words_change() {
    let mut bench = told(ABLE);
    bench.health.handle_zone(bench.now, ".", true);
    for view in [
        UNABLE,
        ABLE,
        SILENT,
        PeersView {
            reached: 1,
            ..UNABLE
        },
    ] {
        bench.health.handle_peers(bench.now, view);
        bench.ticks(49);
        assert_eq!(bench.level(), Level::Backup, "{view:?}");
    }
    let mut bench = told(ABLE);
    bench.health.handle_zone(bench.now, ".", true);
    bench.health.handle_peers(bench.now, SILENT);
    bench.ticks(300);
    assert_eq!(bench.level(), Level::Backup, "silence says nothing");
}

#[test]
fn it_moves_back_when_each_sibling_that_answers_was_unable_for_ten_seconds_without_a_break() {
    let mut bench = told(ABLE);
    bench.health.handle_zone(bench.now, ".", true);
    bench.health.handle_peers(bench.now, UNABLE);
    bench.ticks(40);
    bench.health.handle_peers(bench.now, ABLE);
    bench.health.handle_peers(bench.now, UNABLE);
    let until = bench.now + UNABLE_MIN;
    bench.now = until - NANOSECOND;
    bench.health.handle_zone(bench.now, ".", true);
    assert_eq!(bench.level(), Level::Backup);
    assert_eq!(bench.health.poll_timeout(), Some(until));
    bench.health.handle_timeout(until);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    bench.now = until;
    bench.health.handle_peers(bench.now, ABLE);
    bench.now += ABLE_MIN;
    bench.health.handle_timeout(bench.now);
    assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
    bench.health.handle_zone(bench.now, ".", false);
    assert_eq!(bench.level(), Level::Preferred, "one outage is one fault");
    bench.health.handle_zone(bench.now, ".", true);
    bench.health.handle_peers(bench.now, ABLE);
    bench.health.handle_zone(bench.now, ".", false);
    assert!(
        bench.reason().starts_with("held down for 10000 ms"),
        "another one is the second: {}",
        bench.reason()
    );
}

/// Each of three nodes tells the others, a second late, whether it can resolve.
#[test]
fn nodes_that_ask_each_other_do_not_swing_when_all_have_lost_their_upstreams() {
    let mut nodes: Vec<_> = (0..3).map(|_| Bench::started()).collect();
    let mut changes = 0;
    for tick in 0..600_u32 {
        let levels: Vec<_> = nodes.iter().map(Bench::level).collect();
        for (i, node) in nodes.iter_mut().enumerate() {
            let lost_at = |node: usize| 7 * u32::try_from(node).unwrap();
            let is_able = |other: usize| tick < lost_at(other) + 5;
            let able = (0..3)
                .filter(|other| *other != i && is_able(*other))
                .count();
            let view = PeersView {
                known: 2,
                reached: 2,
                able: able.try_into().unwrap(),
                ..PeersView::default()
            };
            node.health.handle_peers(node.now, view);
            node.health.handle_zone(node.now, ".", tick >= lost_at(i));
            node.tick();
        }
        let after: Vec<_> = nodes.iter().map(Bench::level).collect();
        changes += levels.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(!after.contains(&Level::Withdrawn));
    }
    assert!(changes <= 4, "{changes}");
    assert!(
        nodes.iter().all(|node| node.level() == Level::Preferred),
        "equal again"
    );
}

#[test]
fn two_siblings_that_do_not_hear_it_though_it_hears_them_move_it_to_backup_after_the_proof() {
    let mut bench = told(BLIND);
    let until = bench.now + Unheard::PROOF;
    bench.now = until - NANOSECOND;
    bench.health.handle_peers(bench.now, BLIND);
    assert_eq!(bench.level(), Level::Preferred);
    assert_eq!(bench.health.poll_timeout(), Some(until));
    bench.health.handle_timeout(until);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Backup, Some(FaultClass::Local))
    );
    assert_eq!(
        bench.reason(),
        "2 of 3 siblings that answer this node get no answer from it"
    );
    bench.now = until;
    bench.health.handle_peers(bench.now, ABLE);
    assert_eq!(bench.level(), Level::Backup);
    bench.health.handle_timeout(until + Unheard::PROOF);
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}

#[test]
fn one_blind_sibling_half_of_them_or_siblings_out_of_reach_move_nothing() {
    for view in [
        PeersView { blind: 1, ..ABLE },
        PeersView {
            known: 4,
            reached: 4,
            ..BLIND
        },
        PeersView {
            reached: 1,
            ..BLIND
        },
    ] {
        let mut bench = told(view);
        bench.ticks(100);
        assert_eq!(bench.level(), Level::Preferred, "{view:?}");
    }
}

#[test]
fn siblings_that_a_flood_keeps_out_prove_nothing_unless_they_were_kept_out_before() {
    let mut bench = told(BLIND);
    bench.drops = [true, false];
    bench.ticks(100);
    assert_eq!(bench.class(), Some(FaultClass::Overload));
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    let mut bench = told(BLIND);
    bench.until(Level::Backup);
    bench.drops = [true, false];
    bench.ticks(100);
    assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
}

/// They ask at the unicast addresses, and the same workers answer there.
#[test]
fn siblings_that_a_flood_at_another_address_keeps_out_prove_nothing() {
    let mut bench = told(BLIND);
    for dropped in 0..100 {
        bench.health.handle_other_drops(bench.now, 1, dropped);
        bench.tick();
    }
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    let text = "receive queue of worker 1 overflows: 1 queries dropped";
    assert_eq!(bench.reason(), text);
    bench.until(Level::Backup);
}

#[test]
fn siblings_words_flapping_faster_than_the_proof_move_nothing() {
    let mut bench = Bench::started();
    for _ in 0..30 {
        bench.health.handle_peers(bench.now, BLIND);
        bench.now += Unheard::PROOF - SECOND;
        bench.health.handle_peers(bench.now, ABLE);
        assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    }
}

/// Five faults: a hold of 80 s, and all changes of the hour are spent.
fn worn_out() -> Bench {
    let settings = Settings {
        promotions_per_hour: 1,
        jitter: 60 * SECOND,
        ..settings()
    };
    let mut bench = Bench::new(OnSharedFault::Backup, settings).announced();
    bench.health.handle_peers(bench.now, ABLE);
    for _ in 0..5 {
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_zone(bench.now, ".", false);
    }
    assert!(
        bench.reason().starts_with("held down for 80000 ms"),
        "{}",
        bench.reason()
    );
    bench
}

#[test]
fn nothing_but_a_second_of_chance_holds_a_node_while_half_of_its_siblings_are_not_preferred() {
    let lowered = |lowered| PeersView {
        known: 4,
        reached: 4,
        able: 4,
        lowered,
        ..ABLE
    };
    let mut bench = worn_out();
    bench.health.handle_peers(bench.now, lowered(1));
    bench.ticks(50);
    assert_eq!(bench.level(), Level::Backup, "{}", bench.reason());
    bench.health.handle_peers(bench.now, lowered(2));
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());

    let mut bench = worn_out();
    bench.health.handle_peers(bench.now, lowered(2));
    assert!(bench.until(Level::Preferred) <= SECOND + settings().interval);

    let mut bench = worn_out();
    bench.health.handle_peers(bench.now, lowered(4));
    bench.health.handle_zone(bench.now, ".", true);
    bench.ticks(50);
    assert_eq!(bench.level(), Level::Backup, "a fault is a fault");
}

#[test]
fn a_node_that_reaches_one_sibling_is_held_for_ten_seconds_at_most_until_half_its_changes_are_spent()
 {
    let one = PeersView { reached: 1, ..ABLE };
    let mut bench = told(one);
    let mut holds = Vec::new();
    // The start was the first of twelve changes.
    for _ in 0..7 {
        bench.health.handle_zone(bench.now, ".", true);
        bench.health.handle_zone(bench.now, ".", false);
        holds.push(bench.until(Level::Preferred).as_secs());
    }
    assert_eq!(holds, [0, 10, 10, 10, 10, 160, 300]);
}
