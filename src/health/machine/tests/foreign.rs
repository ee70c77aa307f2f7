//! Services that another program answers for.

use super::*;
use crate::health::AnsweredBy;

/// A service that another program answers for, on a node whose own workers are of no use.
fn another() -> Bench {
    let policy = ServicePolicy {
        answered_by: AnsweredBy::Another,
        ..ServicePolicy::new(vec![Family::V4, Family::V6])
    };
    let mut bench = Bench::of(policy, settings());
    bench.beats = [false; 2];
    bench
}

/// One interval of probes of another program.
fn asked(bench: &mut Bench, udp: ProbeOutcome, tcp: ProbeOutcome) {
    for target in Bench::TARGETS {
        bench.probe(target, ProbeOf::Address, udp);
        bench.probe(target, ProbeOf::Tcp, tcp);
    }
    bench.now += INTERVAL;
    bench.sample();
}

#[test]
fn another_program_is_judged_by_its_own_probes_and_not_by_workers_upstreams_and_siblings() {
    let mut bench = another();
    bench.health.expect(StartGate::Upstreams);
    bench.set_address(true);
    assert_eq!(bench.reason(), "starting: no good probe of the address yet");
    for _ in 0..5 {
        asked(&mut bench, Good, Good);
    }
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
    assert!(bench.health.lease().is_fresh(bench.now));
    bench.health.handle_zone(bench.now, ".", true);
    let view = PeersView {
        known: 3,
        reached: 3,
        able: 3,
        lowered: 3,
        blind: 3,
        ..PeersView::default()
    };
    bench.health.handle_peers(bench.now, view);
    bench.shed = [9; 2];
    for _ in 0..50 {
        asked(&mut bench, Good, Good);
    }
    assert_eq!(bench.reason(), "all checks good");
}

#[test]
fn another_program_that_answers_one_kind_of_probe_is_overloaded_and_one_that_answers_none_is_gone()
{
    let mut bench = another();
    bench.set_address(true);
    asked(&mut bench, Good, Good);
    for (udp, tcp) in [(Unanswered, Good), (Good, Unanswered)] {
        let mut bench = bench.clone();
        for _ in 0..10 {
            asked(&mut bench, udp, tcp);
        }
        assert_eq!(
            (bench.level(), bench.class()),
            (Level::Preferred, Some(FaultClass::Overload)),
            "{}",
            bench.reason()
        );
    }
    for _ in 0..3 {
        asked(&mut bench, Unanswered, Unanswered);
    }
    bench.probe(Bench::V4, ProbeOf::Address, Unanswered);
    assert_eq!(
        (bench.level(), bench.class()),
        (Level::Withdrawn, Some(FaultClass::Local)),
        "{}",
        bench.reason()
    );
    for _ in 0..5 {
        asked(&mut bench, Good, Good);
    }
    assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
}
