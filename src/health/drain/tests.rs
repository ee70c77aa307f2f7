//! Drains of two services in simulated time, without the health around them.

use proptest::prelude::*;

use super::*;
use crate::health::machine::tests::{settings, start};
use crate::health::{AnsweredBy, Family};

const TICK: Duration = Duration::from_millis(200);
const SERVICES: usize = 2;

/// The drains of a node whose services are asked so much per tick.
#[derive(Clone)]
struct Rig {
    drains: Drains,
    now: Instant,
    asked: [u64; SERVICES],
    totals: [u64; SERVICES],
    is_counted: bool,
}

impl Rig {
    fn new() -> Self {
        Self::answered_by(AnsweredBy::Workers, true)
    }

    fn answered_by(answered_by: AnsweredBy, is_counted: bool) -> Self {
        let policy = ServicePolicy {
            answered_by,
            ..ServicePolicy::new(vec![Family::V4])
        };
        let mut rig = Self {
            drains: Drains::new(&settings(), &[policy.clone(), policy]),
            now: start(),
            asked: [100; SERVICES],
            totals: [0; SERVICES],
            is_counted,
        };
        rig.ticks(10);
        rig
    }

    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.now += TICK;
            for (index, total) in self.totals.iter_mut().enumerate() {
                *total += self.asked[index];
                if self.is_counted {
                    self.drains.record(self.now, &[(index, *total)]);
                }
            }
            self.look();
        }
    }

    fn look(&mut self) {
        self.drains.settle(self.now, None);
        self.drains.advance(self.now, None, |_| true);
    }

    fn drain(&mut self, service: Option<usize>, until: Option<Duration>) {
        let order = order(service, until.map(|lasts| self.now + lasts));
        self.drains.order(self.now, &order);
        self.look();
    }

    fn undrain(&mut self, service: Option<usize>) {
        self.drains.take_back(service);
        self.look();
    }

    fn phase(&self, service: usize) -> DrainPhase {
        self.drains.services[service].phase()
    }

    fn level(&self, service: usize) -> Level {
        let limit = self.drains.limit(service);
        limit.map_or(Level::Preferred, |(level, _)| level)
    }

    fn departures(&mut self) -> Vec<Departure> {
        std::iter::from_fn(|| self.drains.poll_departure(None)).collect()
    }
}

fn order(service: Option<usize>, until: Option<Instant>) -> DrainOrder {
    let who = service.map_or_else(|| "root".into(), |service| format!("ops{service}").into());
    DrainOrder {
        service,
        who,
        reason: "kernel".into(),
        until,
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_service_leaves_by_its_own_rate_and_no_other_does() {
    let mut rig = Rig::new();
    rig.drain(Some(1), None);
    assert_eq!(
        (rig.level(0), rig.level(1)),
        (Level::Preferred, Level::Backup)
    );
    // 500 per second at the start; the other service is asked on.
    rig.asked[1] = 0;
    rig.ticks(4);
    assert_eq!(rig.phase(1), DrainPhase::Leaving);
    rig.ticks(2);
    assert_eq!(rig.phase(1), DrainPhase::Drained);
    assert_eq!(rig.level(0), Level::Preferred);
    assert_eq!(rig.drains.phase(), DrainPhase::Serving, "not as a whole");
    let view = &rig.drains.views(None)[0];
    assert_eq!(view.rate_at_start, Some(500.0));
    assert_eq!(view.rate, Some(0.0));
}

#[test]
fn a_service_that_is_asked_on_leaves_after_drain_wait_and_not_before() {
    let mut rig = Rig::new();
    rig.drain(Some(0), None);
    let end = rig.now + settings().drain_wait;
    assert_eq!(rig.drains.poll_timeout(), Some(end));
    rig.now = end - Duration::from_nanos(1);
    rig.look();
    assert_eq!(rig.phase(0), DrainPhase::Leaving);
    rig.now = end;
    rig.look();
    assert_eq!(rig.phase(0), DrainPhase::Drained);
    let view = &rig.drains.views(None)[0];
    assert_eq!(view.drained_after, Some(settings().drain_wait));
}

/// Nobody counts what another program is asked.
#[test]
fn a_service_of_another_program_waits_the_whole_drain_wait() {
    let mut rig = Rig::answered_by(AnsweredBy::Another, false);
    rig.asked = [0; SERVICES];
    rig.drain(None, None);
    rig.ticks(24);
    assert_eq!(rig.phase(0), DrainPhase::Leaving);
    rig.ticks(1);
    assert_eq!(rig.phase(0), DrainPhase::Drained);
    assert_eq!(rig.drains.views(None)[0].rate, None);
}

#[test]
fn a_drain_ends_by_itself_when_its_time_is_over_and_not_before() {
    for service in [None, Some(0)] {
        let mut rig = Rig::new();
        rig.drain(service, Some(MINUTE));
        let end = rig.now + MINUTE;
        rig.ticks(30);
        assert_eq!(rig.drains.poll_timeout(), Some(end));
        rig.departures();
        rig.now = end - Duration::from_nanos(1);
        rig.look();
        assert_eq!(rig.level(0), Level::Withdrawn);
        rig.now = end;
        rig.look();
        assert_eq!(rig.level(0), Level::Preferred);
        assert_eq!(rig.drains.poll_timeout(), None);
        assert_eq!(rig.drains.views(None), []);
        let told = rig.departures();
        assert_eq!(told[0].phase, DrainPhase::Serving);
        assert_eq!(told[0].elapsed, MINUTE);
        assert!(told[0].has_expired);
        assert_eq!(&*told[0].reason, "kernel");
    }
}

#[test]
fn a_time_that_is_over_already_drains_nothing() {
    let mut rig = Rig::new();
    rig.drain(None, Some(Duration::ZERO));
    assert_eq!(rig.level(0), Level::Preferred);
    assert_eq!(rig.departures(), []);
}

/// The precedence: each order stands by itself, and the broader one is told.
#[test]
fn what_was_drained_by_name_stays_when_the_drain_of_all_is_taken_back_and_the_reverse() {
    let mut rig = Rig::new();
    rig.drain(Some(0), None);
    rig.drain(None, None);
    rig.ticks(30);
    assert_eq!(
        (rig.level(0), rig.level(1)),
        (Level::Withdrawn, Level::Withdrawn)
    );
    let who = |rig: &Rig| match rig.drains.limit(0) {
        Some((_, Reason::Drained { who, .. })) => who.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(who(&rig), "root");
    let mut reverse = rig.clone();
    rig.undrain(None);
    assert_eq!(
        (rig.level(0), rig.level(1)),
        (Level::Withdrawn, Level::Preferred)
    );
    assert_eq!(who(&rig), "ops0");
    reverse.undrain(Some(0));
    assert_eq!(reverse.level(0), Level::Withdrawn);
    for mut left in [rig, reverse] {
        left.undrain(Some(0));
        left.undrain(None);
        assert_eq!(
            (left.level(0), left.level(1)),
            (Level::Preferred, Level::Preferred)
        );
    }
}

#[test]
fn a_service_that_has_left_need_not_leave_again_for_the_others() {
    let mut rig = Rig::new();
    rig.drain(Some(0), None);
    rig.ticks(30);
    rig.drain(None, None);
    assert_eq!(
        (rig.level(0), rig.level(1)),
        (Level::Withdrawn, Level::Backup)
    );
    assert_eq!(
        rig.drains.phase(),
        DrainPhase::Leaving,
        "that of the slowest"
    );
}

#[test]
fn a_later_order_for_the_same_replaces_who_why_and_until_when_but_not_since_when() {
    let mut rig = Rig::new();
    rig.drain(Some(0), Some(MINUTE));
    let since = rig.now;
    rig.ticks(30);
    rig.departures();
    rig.drain(Some(0), None);
    let view = &rig.drains.views(None)[0];
    assert_eq!((view.order.until, view.since), (None, since));
    assert_eq!(rig.departures().len(), 1, "that is news");
    rig.ticks(600);
    assert_eq!(rig.level(0), Level::Withdrawn);
}

#[test]
fn a_stop_in_the_middle_of_a_drain_goes_on_from_there_and_ignores_its_end() {
    let mut rig = Rig::new();
    rig.drain(Some(0), Some(MINUTE));
    rig.ticks(30);
    rig.drains.stop(rig.now, "SIGTERM");
    rig.look();
    assert_eq!(
        (rig.level(0), rig.level(1)),
        (Level::Withdrawn, Level::Backup)
    );
    assert_eq!(rig.drains.standings().next(), Some((true, None)));
    rig.undrain(Some(0));
    rig.now += settings().drain_wait;
    rig.look();
    assert_eq!(rig.drains.phase(), DrainPhase::Drained);
    let end = rig.now + settings().linger;
    assert_eq!(rig.drains.poll_timeout(), Some(end));
    rig.now = end - Duration::from_nanos(1);
    rig.look();
    assert_eq!(rig.drains.phase(), DrainPhase::Drained);
    rig.now = end;
    rig.look();
    assert_eq!(rig.drains.phase(), DrainPhase::Finished);
    assert_eq!(rig.drains.poll_timeout(), None);
}

/// The caller looks after the process ends: only what an operator wanted is kept.
#[test]
fn a_stop_is_no_order_that_is_to_be_remembered() {
    let mut rig = Rig::new();
    rig.drains.stop(rig.now, "SIGTERM");
    rig.look();
    assert_eq!(rig.drains.views(None), []);
    rig.drain(Some(1), None);
    assert_eq!(rig.drains.views(None).len(), 1);
}

#[test]
fn a_node_without_services_stops_and_drains_too() {
    let mut drains = Drains::new(&settings(), &[]);
    let now = start();
    drains.order(now, &order(None, None));
    drains.settle(now, Some(5.0));
    assert_eq!(drains.phase(), DrainPhase::Drained);
    assert_eq!(drains.views(Some(5.0))[0].rate, Some(5.0));
    drains.stop(now, "SIGTERM");
    let end = now + settings().linger;
    assert_eq!(drains.poll_timeout(), Some(end));
    drains.settle(end, None);
    assert!(drains.advance(end, None, |_| false));
    assert_eq!(drains.phase(), DrainPhase::Finished);
}

#[test]
fn what_was_restored_is_drained_whatever_it_had_come_to() {
    for service in [None, Some(0)] {
        let mut rig = Rig::new();
        let until = rig.now + MINUTE;
        let order = order(service, Some(until));
        let age = Duration::from_secs(3600);
        rig.drains.restore(rig.now, &order, age);
        rig.look();
        assert_eq!(rig.level(0), Level::Withdrawn);
        let other = if service.is_none() {
            Level::Withdrawn
        } else {
            Level::Preferred
        };
        assert_eq!(rig.level(1), other);
        let view = &rig.drains.views(None)[0];
        assert_eq!((&view.order, rig.now - view.since), (&order, age));
        assert_eq!((view.drained_after, view.rate_at_start), (None, None));
        rig.now = until;
        rig.look();
        assert_eq!(
            (rig.level(0), rig.level(1)),
            (Level::Preferred, Level::Preferred)
        );
    }
}

#[test]
fn each_step_is_told_once_with_who_and_why_and_what_is_left() {
    let mut rig = Rig::new();
    rig.drain(Some(0), None);
    rig.asked[0] = 0;
    rig.ticks(30);
    rig.drain(Some(0), None);
    let told = rig.departures();
    assert_eq!(told.len(), 1, "what was not taken in time is told as one");
    assert_eq!((told[0].service, told[0].phase), (0, DrainPhase::Drained));
    assert_eq!((&*told[0].who, &*told[0].reason), ("ops0", "kernel"));
    assert_eq!(told[0].rate, Some(0.0));
    assert_eq!(told[0].elapsed, Duration::from_secs(1));
    assert_eq!(rig.departures(), []);
    rig.undrain(Some(0));
    let told = rig.departures();
    assert_eq!(
        (told[0].phase, told[0].has_expired),
        (DrainPhase::Serving, false)
    );
    assert_eq!(rig.departures(), []);
}

#[test]
fn a_service_is_back_when_the_last_of_its_drains_is_over() {
    let mut rig = Rig::new();
    let in_s = |rig: &Rig, s| Some(rig.now + Duration::from_secs(s));
    let expiry = |rig: &Rig| rig.drains.standings().next().unwrap();
    assert_eq!(expiry(&rig), (false, None));
    rig.drain(Some(0), Some(MINUTE));
    assert_eq!(expiry(&rig), (true, in_s(&rig, 60)));
    rig.drain(None, Some(2 * MINUTE));
    assert_eq!(expiry(&rig), (true, in_s(&rig, 120)));
    rig.drain(Some(0), None);
    assert_eq!(expiry(&rig), (true, None));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tick(u32),
    Ask(usize, u64),
    Drain(Option<usize>, Option<u64>),
    Undrain(Option<usize>),
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let service = || proptest::option::of(0..SERVICES);
    let step = prop_oneof![
        6 => (1_u32..20).prop_map(Step::Tick),
        2 => (0..SERVICES, 0_u64..200).prop_map(|(s, n)| Step::Ask(s, n)),
        4 => (service(), proptest::option::of(0_u64..30)).prop_map(|(s, f)| Step::Drain(s, f)),
        3 => service().prop_map(Step::Undrain),
        1 => Just(Step::Stop),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    /// Against a model that knows nothing but which orders stand.
    #[test]
    fn a_service_is_announced_normally_exactly_while_no_order_for_it_stands(steps in steps()) {
        let mut rig = Rig::new();
        let mut orders: Vec<(Option<usize>, Option<Instant>)> = Vec::new();
        let mut is_stopping = false;
        for step in steps {
            match step {
                Step::Tick(count) => rig.ticks(count),
                Step::Ask(service, asked) => rig.asked[service] = asked,
                Step::Drain(service, lasts_s) => {
                    let lasts = lasts_s.map(Duration::from_secs);
                    rig.drain(service, lasts);
                    orders.retain(|(of, _)| *of != service);
                    orders.push((service, lasts.map(|lasts| rig.now + lasts)));
                }
                Step::Undrain(service) => {
                    rig.undrain(service);
                    orders.retain(|(of, _)| *of != service);
                }
                Step::Stop => {
                    rig.drains.stop(rig.now, "SIGTERM");
                    rig.look();
                    is_stopping = true;
                }
            }
            orders.retain(|(_, until)| until.is_none_or(|until| until > rig.now));
            for service in 0..SERVICES {
                let of_it = |of: &Option<usize>| of.is_none_or(|of| of == service);
                let is_drained = is_stopping || orders.iter().any(|(of, _)| of_it(of));
                prop_assert_eq!(rig.level(service) < Level::Preferred, is_drained);
            }
            prop_assert_eq!(rig.drains.views(None).len(), orders.len());
            let due = rig.drains.poll_timeout();
            prop_assert!(due.is_none_or(|due| due > rig.now), "nothing is overdue");
        }
    }
}
