//! What must hold whatever happens in whatever order.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Tick(u32),
    Beat(usize, bool),
    Answer(usize, u64),
    Drop(usize, bool),
    Probe(usize, ProbeOutcome),
    Tcp(ProbeOutcome),
    AddressProbe(ProbeOutcome),
    TcpFull(bool),
    Address(bool),
    Zone(&'static str, bool),
    Drain(bool),
}

fn apply(bench: &mut Bench, step: Step) {
    match step {
        Step::Tick(count) => bench.ticks(count),
        Step::Beat(worker, beats) => bench.beats[worker] = beats,
        Step::Answer(worker, answers) => bench.answers[worker] = answers,
        Step::Drop(worker, drops) => bench.drops[worker] = drops,
        Step::Probe(worker, outcome) => bench.probes[worker] = outcome,
        Step::Tcp(outcome) => bench.tcp = outcome,
        Step::AddressProbe(outcome) => bench.probe(Bench::V4, ProbeOf::Address, outcome),
        Step::TcpFull(is_full) => bench.is_tcp_full = is_full,
        Step::Address(is_present) => bench.set_address(is_present),
        Step::Zone(zone, is_dead) => bench.health.handle_zone(bench.now, zone, is_dead),
        Step::Drain(true) => bench.drain("test"),
        Step::Drain(false) => bench.health.handle_undrain(bench.now, None),
    }
}

fn ticks() -> impl Strategy<Value = Step> {
    (1_u32..8).prop_map(Step::Tick)
}

fn zones() -> impl Strategy<Value = Step> {
    (select(vec![".", "corp.example."]), any::<bool>()).prop_map(|(z, dead)| Step::Zone(z, dead))
}

fn outcomes() -> impl Strategy<Value = ProbeOutcome> {
    select(vec![Good, Bad, Unanswered])
}

fn anything() -> impl Strategy<Value = Step> {
    let worker = 0..WORKERS;
    prop_oneof![
        6 => ticks(),
        2 => zones(),
        2 => (worker.clone(), any::<bool>()).prop_map(|(w, b)| Step::Beat(w, b)),
        2 => (worker.clone(), 0_u64..3).prop_map(|(w, n)| Step::Answer(w, n)),
        1 => (worker.clone(), any::<bool>()).prop_map(|(w, b)| Step::Drop(w, b)),
        3 => (worker, outcomes()).prop_map(|(w, o)| Step::Probe(w, o)),
        2 => outcomes().prop_map(Step::Tcp),
        1 => outcomes().prop_map(Step::AddressProbe),
        1 => any::<bool>().prop_map(Step::TcpFull),
        1 => any::<bool>().prop_map(Step::Address),
        1 => any::<bool>().prop_map(Step::Drain),
    ]
}

/// A whole life: the address comes, the checks turn good, then `steps`.
fn life(steps: Vec<Step>) -> impl Iterator<Item = Step> {
    [Step::Address(true), Step::Tick(2)]
        .into_iter()
        .chain(steps)
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn shared_evidence_never_withdraws_when_the_policy_is_backup(
        steps in vec(prop_oneof![ticks(), zones()], 1..40),
    ) {
        let mut bench = Bench::started();
        for step in steps {
            apply(&mut bench, step);
            prop_assert!(bench.level() >= Level::Backup, "{}", bench.reason());
        }
    }

    /// Each worker answers or drops in every interval; any probe may get lost.
    #[test]
    fn a_flood_never_changes_the_level(
        rounds in vec((any::<[bool; 2]>(), any::<[bool; 3]>(), any::<bool>()), 1..60),
    ) {
        let lost = |is_lost| if is_lost { Unanswered } else { Good };
        let mut bench = Bench::started();
        bench.answers = [9; 2];
        bench.tick();
        for (is_dropping, is_lost, is_full) in rounds {
            bench.drops = is_dropping;
            bench.answers = is_dropping.map(|drops| if drops { 0 } else { 9 });
            bench.is_tcp_full = is_full;
            bench.probes = [lost(is_lost[0]), lost(is_lost[1])];
            bench.tcp = lost(is_lost[2]);
            bench.tick();
            bench.probe(Bench::V4, ProbeOf::Address, lost(is_lost[2]));
            prop_assert_eq!(bench.level(), Level::Preferred, "{}", bench.reason());
        }
    }

    /// The same life with and without a hold-down: it may only turn `preferred` into `backup`.
    #[test]
    fn the_hold_down_delays_nothing_but_the_way_from_backup_to_preferred(
        steps in vec(anything(), 1..80),
    ) {
        let mut held = Bench::new(OnSharedFault::Backup, settings());
        let none = Settings { hold_down: Duration::ZERO, ..settings() };
        let mut free = Bench::new(OnSharedFault::Backup, none);
        for step in life(steps) {
            apply(&mut held, step);
            apply(&mut free, step);
            let levels = (held.level(), free.level());
            prop_assert!(
                levels.0 == levels.1 || levels == (Level::Backup, Level::Preferred),
                "{levels:?}: {} / {}", held.reason(), free.reason()
            );
        }
    }

    #[test]
    fn every_change_is_told_with_its_reason(steps in vec(anything(), 1..80)) {
        let mut bench = Bench::new(OnSharedFault::Backup, settings());
        let mut told = Bench::TARGETS.map(|target| (target, Level::Withdrawn));
        for step in life(steps) {
            apply(&mut bench, step);
            while let Some(event) = bench.health.poll_event() {
                let Event::Verdict { target, from, verdict, .. } = event else { continue };
                let known = told.iter_mut().find(|(t, _)| *t == target).unwrap();
                prop_assert_eq!(known.1, from);
                known.1 = verdict.level;
                let is_fine = verdict.class.is_none() && verdict.level == Level::Preferred;
                prop_assert_eq!(verdict.reason == Reason::Healthy, is_fine);
            }
            for ((target, verdict), known) in bench.health.verdicts().zip(&told) {
                prop_assert_eq!((target, verdict.level), *known);
            }
        }
    }

    #[test]
    fn the_lease_never_allows_more_than_the_verdict(steps in vec(anything(), 1..80)) {
        let mut bench = Bench::new(OnSharedFault::Backup, settings());
        for step in life(steps) {
            apply(&mut bench, step);
            let grants = bench.health.lease().grants(bench.now);
            for (grant, (target, verdict)) in grants.iter().zip(bench.health.verdicts()) {
                prop_assert_eq!(grant.target, target);
                prop_assert!(grant.level <= verdict.level);
                prop_assert!(grant.ready || grant.level == Level::Withdrawn);
            }
        }
    }
}
