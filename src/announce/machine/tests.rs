//! Announcing in simulated time, with an obedient system and with any order of events.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::announce::plan::PlannedLevel;
use crate::announce::tests::service;
use crate::health::{LEASE_VALIDITY, Level};

const LINGER: Duration = Duration::from_secs(2);
const V4: Target = Target {
    service: 0,
    family: Family::V4,
};
const V6: Target = Target {
    service: 0,
    family: Family::V6,
};
const TICK: Duration = Duration::from_nanos(1);

fn start() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "simulated time has to begin somewhere"
    )]
    Instant::now()
}

fn lease(now: Instant, level: Level) -> Lease {
    let grant = |target| Grant {
        target,
        ready: true,
        level,
        leaving: false,
        floor: FloorLevel::Withdrawn,
    };
    Lease::new(now, vec![grant(V4), grant(V6)])
}

fn actions(announcer: &mut Announcer) -> Vec<Action> {
    std::iter::from_fn(|| announcer.poll_action()).collect()
}

fn told(announcer: &Announcer) -> Vec<(String, PlannedLevel)> {
    let routes = announcer.routes().iter();
    routes
        .map(|route| (route.prefix.to_string(), route.level))
        .collect()
}

/// Both addresses bound, nothing allowed yet.
fn bound(now: Instant) -> Announcer {
    let mut announcer = Announcer::new(vec![service()], LINGER, now);
    let binds = actions(&mut announcer);
    assert_eq!(binds, [Action::Bind(V4, ip(V4)), Action::Bind(V6, ip(V6))]);
    announcer.handle_address(now, V4, true);
    announcer.handle_address(now, V6, true);
    assert_eq!(actions(&mut announcer), []);
    announcer
}

fn ip(target: Target) -> IpAddr {
    match target.family {
        Family::V4 => "10.53.53.53".parse().unwrap(),
        Family::V6 => "fd53::53".parse().unwrap(),
    }
}

fn both(level: PlannedLevel) -> Vec<(String, PlannedLevel)> {
    vec![
        ("10.53.53.53/32".to_owned(), level),
        ("fd53::53/128".to_owned(), level),
    ]
}

#[test]
fn a_level_change_is_one_new_table_and_the_same_level_is_none() {
    let now = start();
    let mut announcer = bound(now);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    assert_eq!(told(&announcer), both(PlannedLevel::Preferred));
    assert!(matches!(&actions(&mut announcer)[..], [Action::Routes(table)] if table.len() == 2));
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_lease(now, &lease(now, Level::Backup));
    let [Action::Routes(table)] = &actions(&mut announcer)[..] else {
        panic!("one table")
    };
    assert_eq!(
        (table[0].level, table[0].marks.prepend),
        (PlannedLevel::Backup, 3)
    );
}

#[test]
fn nothing_is_announced_before_the_address_is_there_and_each_family_waits_for_its_own() {
    let now = start();
    let mut announcer = Announcer::new(vec![service()], LINGER, now);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    assert_eq!(told(&announcer), []);
    announcer.handle_address(now, V6, true);
    assert_eq!(
        told(&announcer),
        [("fd53::53/128".to_owned(), PlannedLevel::Preferred)]
    );
}

#[test]
fn a_stale_lease_withdraws_everything_floors_too() {
    let now = start();
    let mut announcer = bound(now);
    let grant = |target| Grant {
        target,
        ready: true,
        level: Level::Withdrawn,
        leaving: false,
        floor: FloorLevel::LastResort,
    };
    announcer.handle_lease(now, &Lease::new(now, vec![grant(V4), grant(V6)]));
    let floors = [
        ("10.53.53.52/30".to_owned(), PlannedLevel::LastResort),
        ("fd53::50/124".to_owned(), PlannedLevel::LastResort),
    ];
    assert_eq!(told(&announcer), floors);
    let expiry = now + LEASE_VALIDITY;
    assert_eq!(announcer.poll_timeout(), Some(expiry));
    announcer.handle_timeout(expiry - TICK);
    assert_eq!(told(&announcer), floors);
    announcer.handle_timeout(expiry);
    assert_eq!(told(&announcer), []);
}

#[test]
fn an_address_stays_bound_while_withdrawn_and_is_bound_again_when_somebody_removes_it() {
    let now = start();
    let mut announcer = bound(now);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    announcer.handle_lease(now, &lease(now, Level::Withdrawn));
    assert_eq!(actions(&mut announcer), [Action::Routes(vec![])]);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    announcer.handle_address(now, V4, false);
    assert_eq!(
        told(&announcer),
        [("fd53::53/128".to_owned(), PlannedLevel::Preferred)]
    );
    assert!(
        matches!(&actions(&mut announcer)[..], [Action::Routes(_)]),
        "not asked so soon"
    );
    let due = now + BIND_RETRY;
    assert!(announcer.poll_timeout().is_some_and(|at| at <= due));
    announcer.handle_timeout(due - TICK);
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_timeout(due);
    assert!(actions(&mut announcer).contains(&Action::Bind(V4, ip(V4))));
}

#[test]
fn a_failed_bind_is_tried_again_after_a_second() {
    let now = start();
    let mut announcer = Announcer::new(vec![service()], LINGER, now);
    actions(&mut announcer);
    announcer.handle_bind_failed(now, V4);
    assert_eq!(announcer.poll_timeout(), Some(now + BIND_RETRY));
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_timeout(now + BIND_RETRY);
    assert_eq!(actions(&mut announcer), [Action::Bind(V4, ip(V4))]);
}

#[test]
fn a_stop_withdraws_lingers_closes_unbinds_and_is_done_in_this_order() {
    let now = start();
    let mut announcer = bound(now);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    actions(&mut announcer);
    announcer.handle_stop(now);
    assert_eq!(actions(&mut announcer), [Action::Routes(vec![])]);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    assert_eq!(actions(&mut announcer), [], "a stop is for good");
    let closing = now + LINGER;
    assert_eq!(announcer.poll_timeout(), Some(closing));
    announcer.handle_timeout(closing - TICK);
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_timeout(closing);
    assert_eq!(actions(&mut announcer), [Action::CloseSessions]);
    announcer.handle_sessions_closed(closing);
    let unbinds = [Action::Unbind(V4, ip(V4)), Action::Unbind(V6, ip(V6))];
    assert_eq!(actions(&mut announcer), unbinds);
    announcer.handle_address(closing, V4, false);
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_address(closing, V6, false);
    assert_eq!(actions(&mut announcer), [Action::Done]);
    assert_eq!(
        (actions(&mut announcer), announcer.poll_timeout()),
        (vec![], None)
    );
}

#[test]
fn a_stop_does_not_wait_for_ever_for_sessions_and_addresses() {
    let now = start();
    let mut announcer = bound(now);
    announcer.handle_stop(now);
    assert_eq!(
        actions(&mut announcer),
        [Action::CloseSessions],
        "nothing was announced"
    );
    announcer.handle_timeout(now + CLOSE_LIMIT - TICK);
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_timeout(now + CLOSE_LIMIT);
    assert_eq!(actions(&mut announcer).len(), 2);
    announcer.handle_timeout(now + CLOSE_LIMIT + STOP_LIMIT - TICK);
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_timeout(now + CLOSE_LIMIT + STOP_LIMIT);
    assert_eq!(actions(&mut announcer), [Action::Done]);
}

#[test]
fn a_service_without_an_interface_is_neither_bound_nor_unbound() {
    let now = start();
    let foreign = ServiceSettings {
        interface: None,
        ..service()
    };
    let mut announcer = Announcer::new(vec![foreign], LINGER, now);
    announcer.handle_lease(now, &lease(now, Level::Preferred));
    assert_eq!(actions(&mut announcer), []);
    announcer.handle_address(now, V4, true);
    assert!(matches!(&actions(&mut announcer)[..], [Action::Routes(_)]));
    announcer.handle_stop(now);
    announcer.handle_timeout(now + LINGER);
    let last = [Action::Routes(vec![]), Action::CloseSessions];
    assert_eq!(actions(&mut announcer), last);
    announcer.handle_sessions_closed(now + LINGER);
    assert_eq!(actions(&mut announcer), [Action::Done]);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Wait(u64),
    Address(Target, bool),
    BindFailed(Target),
    Lease(Level, FloorLevel, bool),
    Stop,
    SessionsClosed,
    Take(usize),
}

fn events() -> impl Strategy<Value = Event> {
    let target = || select(vec![V4, V6]);
    let level = select(Level::ALL.to_vec());
    let floor = select(vec![
        FloorLevel::Withdrawn,
        FloorLevel::LastResort,
        FloorLevel::Backup,
    ]);
    prop_oneof![
        3 => (0_u64..700).prop_map(Event::Wait),
        3 => (target(), any::<bool>()).prop_map(|(target, there)| Event::Address(target, there)),
        1 => target().prop_map(Event::BindFailed),
        4 => (level, floor, any::<bool>()).prop_map(|(l, f, ready)| Event::Lease(l, f, ready)),
        1 => Just(Event::Stop),
        1 => Just(Event::SessionsClosed),
        4 => (1_usize..4).prop_map(Event::Take),
    ]
}

/// What an onlooker knows: the addresses that are there, and the actions so far.
struct Onlooker {
    present: BTreeSet<Target>,
    allowed: Lease,
    announced: usize,
    withdrawn_at: Option<Instant>,
    is_closing: bool,
    is_done: bool,
}

impl Onlooker {
    fn see(&mut self, now: Instant, action: &Action) {
        assert!(!self.is_done, "{action:?} after the end");
        match action {
            Action::Routes(table) => {
                assert!(!self.is_closing);
                for route in table {
                    let family = Family::of(route.prefix.addr());
                    let target = Target { service: 0, family };
                    assert!(
                        self.present.contains(&target),
                        "{route:?} before its address"
                    );
                    let grant = self.allowed.grants(now).iter().find(|g| g.target == target);
                    assert!(
                        grant.is_some_and(|g| g.ready),
                        "{route:?} before a good probe"
                    );
                }
                self.announced = table.len();
                self.withdrawn_at = Some(now);
            }
            Action::CloseSessions => {
                assert_eq!(self.announced, 0, "closed before the withdrawal");
                self.is_closing = true;
            }
            Action::Unbind(..) => assert!(self.is_closing, "unbound before the sessions closed"),
            Action::Bind(..) => assert!(!self.is_closing),
            Action::Done => self.is_done = true,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_is_safety_whatever_happens(history in vec(events(), 1..80)) {
        let mut now = start();
        let mut announcer = Announcer::new(vec![service()], LINGER, now);
        let mut onlooker = Onlooker {
            present: BTreeSet::new(),
            allowed: Lease::default(),
            announced: 0,
            withdrawn_at: None,
            is_closing: false,
            is_done: false,
        };
        for event in history {
            match event {
                Event::Wait(time_ms) => {
                    now += Duration::from_millis(time_ms);
                    announcer.handle_timeout(now);
                }
                Event::Address(target, is_present) => {
                    if is_present {
                        onlooker.present.insert(target);
                    } else {
                        onlooker.present.remove(&target);
                    }
                    announcer.handle_address(now, target, is_present);
                }
                Event::BindFailed(target) => announcer.handle_bind_failed(now, target),
                Event::Lease(level, floor, ready) => {
                    let level = if ready { level } else { Level::Withdrawn };
                    let grant = |target| Grant { target, ready, level, leaving: false, floor };
                    onlooker.allowed = Lease::new(now, vec![grant(V4), grant(V6)]);
                    announcer.handle_lease(now, &onlooker.allowed);
                }
                Event::Stop => announcer.handle_stop(now),
                Event::SessionsClosed => announcer.handle_sessions_closed(now),
                Event::Take(count) => {
                    for action in (0..count).map_while(|_| announcer.poll_action()) {
                        onlooker.see(now, &action);
                    }
                }
            }
            prop_assert!(onlooker.allowed.is_fresh(now) || announcer.routes().is_empty());
        }
        // However it went, a stop comes to its end in bounded time.
        announcer.handle_stop(now);
        let end = now + LINGER + CLOSE_LIMIT + STOP_LIMIT;
        while let Some(due) = announcer.poll_timeout() {
            now = now.max(due);
            prop_assert!(now <= end);
            announcer.handle_timeout(now);
            while let Some(action) = announcer.poll_action() {
                onlooker.see(now, &action);
            }
        }
        while let Some(action) = announcer.poll_action() {
            onlooker.see(now, &action);
        }
        prop_assert!(onlooker.is_done);
    }
}
