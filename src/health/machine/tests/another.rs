//! Services that another program answers for: nothing is known of it but what probes tell.

use super::*;
use crate::health::{AnsweredBy, CheckFault, CheckPolicy, ServicePolicy};
use ProbeOutcome::Shed;

/// A node that announces such a service, and none of its own.
struct Guard {
    health: Health,
    now: Instant,
    udp: ProbeOutcome,
    tcp: Option<ProbeOutcome>,
}

impl Guard {
    fn new(tcp: Option<ProbeOutcome>) -> Self {
        let policy = ServicePolicy {
            answered_by: AnsweredBy::Another,
            tcp: tcp.is_some(),
            checks: vec![CheckPolicy {
                name: "names".into(),
                fault: CheckFault::Shared,
                fall: 2,
                rise: 2,
            }],
            ..ServicePolicy::new(vec![Family::V4])
        };
        let now = start();
        let mut health = Health::new(settings(), &[policy], WORKERS, now);
        health.handle_address(now, Bench::V4, true);
        Self {
            health,
            now,
            udp: Good,
            tcp,
        }
    }

    fn started(tcp: Option<ProbeOutcome>) -> Self {
        let mut guard = Self::new(tcp);
        guard.ticks(1);
        assert_eq!(guard.level(), Level::Preferred, "{}", guard.reason());
        guard
    }

    /// Rounds of probes; the workers of the node, whom nobody asks, stand still all the time.
    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.now += INTERVAL;
            let samples = [WorkerSample::default(); WORKERS];
            self.health.handle_workers(self.now, &samples);
            let tcp = self.tcp.map(|outcome| (ProbeOf::Tcp, outcome));
            for (probe, outcome) in tcp.into_iter().chain([(ProbeOf::Address, self.udp)]) {
                let report = ProbeReport {
                    target: Bench::V4,
                    probe,
                    outcome,
                };
                self.health.handle_probe(self.now, report);
            }
            self.health.handle_timeout(self.now);
        }
    }

    fn verdict(&self) -> &Verdict {
        self.health.verdicts().next().unwrap().1
    }

    fn level(&self) -> Level {
        self.verdict().level
    }

    fn reason(&self) -> String {
        self.verdict().reason.to_string()
    }

    fn names(&mut self, outcome: &CheckOutcome) {
        self.health.handle_check(self.now, 0, 0, outcome);
    }
}

fn few() -> CheckOutcome {
    CheckOutcome::Bad("1 of 3 names resolve, 2 needed".into())
}

#[test]
fn it_is_announced_once_it_has_answered_over_both() {
    let mut guard = Guard::new(Some(Unanswered));
    guard.udp = Unanswered;
    guard.ticks(1);
    assert_eq!(guard.reason(), "starting: no good probe of the address yet");
    guard.udp = Good;
    guard.ticks(1);
    assert_eq!(guard.reason(), "starting: no good tcp probe yet");
    guard.tcp = Some(Good);
    guard.ticks(1);
    assert_eq!(guard.level(), Level::Preferred);
    assert!(guard.health.lease().is_fresh(guard.now));
}

#[test]
fn where_it_does_not_serve_tcp_nothing_waits_for_that() {
    let guard = Guard::started(None);
    assert_eq!(guard.level(), Level::Preferred);
}

#[test]
fn it_is_withdrawn_by_as_many_unanswered_rounds_as_make_a_fault_and_no_fewer() {
    for outcome in [Unanswered, Bad] {
        let mut guard = Guard::started(Some(Good));
        (guard.udp, guard.tcp) = (outcome, Some(outcome));
        guard.ticks(settings().fall - 1);
        assert_eq!(guard.level(), Level::Preferred);
        guard.ticks(1);
        assert_eq!(guard.level(), Level::Withdrawn);
        assert_eq!(guard.verdict().class, Some(FaultClass::Local));
        (guard.udp, guard.tcp) = (Good, Some(Good));
        guard.ticks(settings().rise - 1);
        assert_eq!(guard.level(), Level::Withdrawn);
        guard.ticks(1);
        assert!(guard.level() > Level::Withdrawn, "{}", guard.reason());
    }
}

#[test]
fn what_load_explains_is_overload_for_as_long_as_it_lasts() {
    for (udp, tcp) in [(Shed, Good), (Good, Shed)] {
        let mut guard = Guard::started(Some(Good));
        (guard.udp, guard.tcp) = (udp, Some(tcp));
        guard.ticks(500);
        assert_eq!(guard.level(), Level::Preferred);
        assert_eq!(guard.verdict().class, Some(FaultClass::Overload));
    }
}

/// The upstreams of this node, and its workers, are not what that program depends on.
#[test]
fn faults_of_the_query_path_do_not_concern_it() {
    let mut guard = Guard::started(Some(Good));
    guard.health.handle_zone(guard.now, ".", true);
    guard.ticks(50);
    assert_eq!(guard.level(), Level::Preferred);
    assert_eq!(guard.verdict().class, None);
}

#[test]
fn a_program_that_resolves_nothing_is_a_backup_and_one_that_is_dead_as_well_is_withdrawn() {
    let mut guard = Guard::started(Some(Good));
    guard.names(&few());
    assert_eq!(guard.level(), Level::Preferred);
    guard.names(&few());
    assert_eq!(guard.level(), Level::Backup);
    assert_eq!(guard.verdict().class, Some(FaultClass::Shared));
    (guard.udp, guard.tcp) = (Unanswered, Some(Unanswered));
    guard.ticks(settings().fall);
    assert_eq!(guard.level(), Level::Withdrawn);
    assert_eq!(guard.verdict().class, Some(FaultClass::Local));
}

/// How many clients it answers nobody knows, so their number never is low.
#[test]
fn a_drain_gives_its_clients_the_whole_time_to_move_away() {
    let mut guard = Guard::started(Some(Good));
    let order = DrainOrder {
        service: None,
        who: "root".into(),
        reason: "new kernel".into(),
        until: None,
    };
    let began = guard.now;
    guard.health.handle_drain(guard.now, &order);
    while guard.now + INTERVAL < began + settings().drain_wait {
        guard.ticks(1);
        assert_eq!(guard.level(), Level::Backup, "{}", guard.reason());
    }
    guard.ticks(1);
    assert_eq!(guard.level(), Level::Withdrawn);
}
