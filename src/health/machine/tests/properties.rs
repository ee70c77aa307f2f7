//! What must hold whatever happens in whatever order.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::health::{CheckFault, CheckPolicy, OnLocalFault};

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
    Answers(bool),
    Canaries(bool),
    Peers(PeersView),
    Check(usize, bool),
    Links(usize),
    Late(u64),
    Shed(usize, u64),
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
        Step::Answers(is_poor) => {
            let poor = PoorAnswers {
                failed_percent: 80,
                baseline_percent: 2,
                domains: 40,
                prefixes: 12,
            };
            let poor = is_poor.then_some(poor);
            bench.health.handle_answers(bench.now, ".", poor);
        }
        Step::Canaries(is_poor) => {
            let poor = PoorCanaries {
                good: 1,
                of: 5,
                needed: 3,
            };
            let poor = is_poor.then_some(poor);
            bench.health.handle_canaries(bench.now, ".", poor);
        }
        Step::Peers(view) => bench.health.handle_peers(bench.now, view),
        Step::Check(check, is_good) => {
            let bad = CheckOutcome::Bad("no".into());
            let outcome = if is_good { CheckOutcome::Good } else { bad };
            bench.health.handle_check(bench.now, 0, check, &outcome);
        }
        Step::Links(up) => bench.health.handle_links(bench.now, up, 2),
        Step::Late(ms) => {
            let late = Duration::from_millis(ms);
            bench.health.handle_lateness(bench.now, late);
        }
        Step::Shed(worker, shed) => bench.shed[worker] = shed,
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

fn peers() -> impl Strategy<Value = Step> {
    (0..4_u16, 0..4_u16, 0..4_u16, 0..4_u16, 0..4_u16).prop_map(
        |(known, reached, able, lowered, blind)| {
            let reached = reached.min(known);
            Step::Peers(PeersView {
                known,
                reached,
                able: able.min(reached),
                lowered: lowered.min(reached),
                blind: blind.min(reached),
                ..PeersView::default()
            })
        },
    )
}

/// All inputs there are.
fn everything() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => anything(),
        // A proof or a hold may pass.
        1 => (25_u32..80).prop_map(Step::Tick),
        1 => any::<bool>().prop_map(Step::Answers),
        1 => any::<bool>().prop_map(Step::Canaries),
        2 => peers(),
        2 => (0_usize..3, any::<bool>()).prop_map(|(check, good)| Step::Check(check, good)),
        1 => (0_usize..3).prop_map(Step::Links),
        1 => (0_u64..1000).prop_map(Step::Late),
        1 => (0..WORKERS, 0_u64..3).prop_map(|(w, n)| Step::Shed(w, n)),
    ]
}

fn policies() -> impl Strategy<Value = ServicePolicy> {
    let shared = [
        OnSharedFault::Backup,
        OnSharedFault::Keep,
        OnSharedFault::Withdraw,
    ];
    let local = [OnLocalFault::Withdraw, OnLocalFault::Backup];
    (select(shared.to_vec()), select(local.to_vec())).prop_map(|(shared, local)| {
        let check = |fault| CheckPolicy {
            name: "test".into(),
            fault,
            fall: 2,
            rise: 2,
        };
        ServicePolicy {
            on_shared_fault: shared,
            on_local_fault: local,
            checks: vec![check(CheckFault::Local), check(CheckFault::Shared)],
            ..ServicePolicy::new(vec![Family::V4, Family::V6])
        }
    })
}

/// A whole life: the address comes, the checks turn good, then `steps`.
fn life(steps: Vec<Step>) -> impl Iterator<Item = Step> {
    [Step::Address(true), Step::Check(0, true), Step::Tick(2)]
        .into_iter()
        .chain(steps)
}

/// What a verdict may never be, whatever was before it.
fn check_verdict(verdict: &Verdict, policy: &ServicePolicy) -> Result<(), TestCaseError> {
    let Verdict {
        level,
        class,
        reason,
        ..
    } = verdict;
    prop_assert!(!reason.to_string().is_empty());
    match class {
        Some(FaultClass::Local) => prop_assert!(*level < Level::Preferred, "{}", reason),
        Some(FaultClass::Shared) => prop_assert!(
            *level > Level::Withdrawn || policy.on_shared_fault == OnSharedFault::Withdraw,
            "{}",
            reason
        ),
        Some(FaultClass::Overload) => prop_assert_eq!(*level, Level::Preferred),
        Some(FaultClass::Operator) => prop_assert!(*level < Level::Preferred),
        None => {
            let is_right = match reason {
                Reason::Healthy | Reason::LinksDown { .. } => *level == Level::Preferred,
                Reason::Starting(_) => *level == Level::Withdrawn,
                _ => false,
            };
            prop_assert!(is_right, "{level}: {reason}");
        }
    }
    Ok(())
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

    /// The same life with and without damping: it may only turn `preferred` into `backup`.
    #[test]
    fn damping_delays_nothing_but_the_way_to_preferred(
        policy in policies(),
        steps in vec(everything(), 1..80),
    ) {
        let damped = Settings {
            jitter: Duration::from_secs(1),
            promotions_per_hour: 3,
            ..settings()
        };
        let free = Settings {
            hold_down: Duration::ZERO,
            promotions_per_hour: 3600,
            ..settings()
        };
        let mut damped = Bench::of(policy.clone(), damped);
        let mut free = Bench::of(policy, free);
        for step in life(steps) {
            apply(&mut damped, step);
            apply(&mut free, step);
            let levels = (damped.level(), free.level());
            prop_assert!(
                levels.0 == levels.1 || levels == (Level::Backup, Level::Preferred),
                "{levels:?}: {} / {}", damped.reason(), free.reason()
            );
        }
    }

    #[test]
    fn no_verdict_is_ever_one_that_the_policy_forbids(
        policy in policies(),
        steps in vec(everything(), 1..80),
    ) {
        let mut bench = Bench::of(policy.clone(), settings());
        for step in life(steps) {
            apply(&mut bench, step);
            for (_, verdict) in bench.health.verdicts() {
                check_verdict(verdict, &policy)?;
            }
        }
    }

    /// Looking again just before the machine asks to be called finds nothing new.
    #[test]
    fn nothing_changes_by_itself_before_the_machine_asks_to_be_called(
        policy in policies(),
        steps in vec(everything(), 1..60),
    ) {
        let settings = Settings { jitter: Duration::from_millis(700), ..settings() };
        let mut bench = Bench::of(policy, settings);
        for step in life(steps) {
            apply(&mut bench, step);
            if bench.health.drain_phase() == DrainPhase::Leaving {
                continue;
            }
            let due = bench.health.poll_timeout().unwrap();
            prop_assert!(due > bench.now);
            let before: Vec<_> = bench.health.verdicts().map(|(_, v)| v.clone()).collect();
            let mut early = bench.clone();
            early.health.handle_gate(due - Duration::from_nanos(1), StartGate::HotNames);
            let after: Vec<_> = early.health.verdicts().map(|(_, v)| v.clone()).collect();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn every_change_is_told_with_its_reason(
        policy in policies(),
        steps in vec(everything(), 1..80),
    ) {
        let mut bench = Bench::of(policy, settings());
        let mut told = Bench::TARGETS.map(|target| (target, Level::Withdrawn));
        for step in life(steps) {
            apply(&mut bench, step);
            while let Some(event) = bench.health.poll_event() {
                let Event::Verdict { target, from, verdict, .. } = event else { continue };
                let known = told.iter_mut().find(|(t, _)| *t == target).unwrap();
                prop_assert_eq!(known.1, from);
                known.1 = verdict.level;
                let is_worse = verdict.level < from;
                prop_assert!(!is_worse || verdict.reason != Reason::Healthy);
                prop_assert!(verdict.level_since <= verdict.since);
            }
            for ((target, verdict), known) in bench.health.verdicts().zip(&told) {
                prop_assert_eq!((target, verdict.level), *known);
            }
        }
    }

    #[test]
    fn the_lease_never_allows_more_than_the_verdict(
        policy in policies(),
        steps in vec(everything(), 1..80),
    ) {
        let mut bench = Bench::of(policy, settings());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..cases() })]

    /// Whatever comes, for minutes: a return takes a proof, and each return is lost once.
    #[test]
    fn changes_are_bounded_whatever_happens(steps in vec(everything(), 100..300)) {
        let mut bench = Bench::started();
        let begin = bench.now;
        let (mut changes, mut level) = (0_u32, bench.level());
        let undrains = steps.iter().filter(|step| matches!(step, Step::Drain(false))).count();
        for step in steps {
            apply(&mut bench, step);
            changes += u32::from(level != bench.level());
            level = bench.level();
        }
        let elapsed_s = u32::try_from((bench.now - begin).as_secs()).unwrap();
        let returns = elapsed_s / 5 + 4 + u32::try_from(undrains).unwrap();
        prop_assert!(changes <= 2 * returns + 3 * 12 + 2, "{changes} in {elapsed_s} s");
    }
}
