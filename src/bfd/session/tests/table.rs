//! Every state against everything that can happen.

use super::*;

/// A state, and whether the session is held Down.
type Place = (State, bool);

const PLACES: [Place; 6] = [
    (State::AdminDown, false),
    (State::Down, false),
    (State::Init, false),
    (State::Up, false),
    (State::AdminDown, true),
    (State::Down, true),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Received(State),
    Silence,
    TimerCalledEarly,
    AdminDown,
    Enable,
    HoldDown,
    Release,
    PathDown,
}

use Diagnostic as Why;
use Happening::{
    AdminDown, Enable, HoldDown, PathDown, Received, Release, Silence, TimerCalledEarly,
};

/// Where it leads to from each of `PLACES`; `None`: it stays.
type Row = (Happening, [Option<(State, Why)>; 6]);

const STAY: Option<(State, Why)> = None;

const fn down(why: Why) -> Option<(State, Why)> {
    Some((State::Down, why))
}

const DISABLED: Option<(State, Why)> = Some((State::AdminDown, Why::AdministrativelyDown));
const INIT: Option<(State, Why)> = Some((State::Init, Why::None));
const UP: Option<(State, Why)> = Some((State::Up, Why::None));
const TOLD: Option<(State, Why)> = down(Why::NeighborSignaledDown);
const LOST: Option<(State, Why)> = down(Why::DetectionTimeExpired);
const HELD: Option<(State, Why)> = down(Why::ConcatenatedPathDown);
const CUT: Option<(State, Why)> = down(Why::PathDown);

/// RFC 5880 §6.8.4, §6.8.6, §6.8.16, §6.8.18.
#[rustfmt::skip]
const TABLE: [Row; 11] = [
    //                             AdminDown         Down      Init      Up        AdminDown, held  Down, held
    (Received(State::AdminDown), [STAY,             STAY,     TOLD,     TOLD,     STAY,            STAY]),
    (Received(State::Down),      [STAY,             INIT,     STAY,     TOLD,     STAY,            STAY]),
    (Received(State::Init),      [STAY,             UP,       UP,       STAY,     STAY,            STAY]),
    (Received(State::Up),        [STAY,             STAY,     UP,       STAY,     STAY,            STAY]),
    (Silence,                    [STAY,             STAY,     LOST,     LOST,     STAY,            STAY]),
    (TimerCalledEarly,           [STAY,             STAY,     STAY,     STAY,     STAY,            STAY]),
    (AdminDown,                  [STAY,             DISABLED, DISABLED, DISABLED, STAY,            DISABLED]),
    (Enable,                     [down(Why::None),  STAY,     STAY,     STAY,     HELD,            STAY]),
    (HoldDown,                   [STAY,             STAY,     HELD,     HELD,     STAY,            STAY]),
    (Release,                    [STAY,             STAY,     STAY,     STAY,     STAY,            STAY]),
    (PathDown,                   [STAY,             STAY,     CUT,      CUT,      STAY,            STAY]),
];

fn world(place: Place) -> World {
    let mut world = World::in_state(place.0);
    if place.1 {
        world.session.handle_hold_down(world.now, true);
    }
    world.drain();
    // A packet of now could be the periodic one.
    world.run(ms(5));
    world.forget();
    assert_eq!(world.session.state(), place.0);
    world
}

fn happen(world: &mut World, happening: Happening) {
    let now = world.now;
    match happening {
        Received(state) => world.session.handle_packet(now, &packet(state)),
        Silence => world.run(Duration::from_secs(10)),
        TimerCalledEarly => world.session.handle_timeout(now),
        AdminDown => world.session.handle_admin_down(now),
        Enable => world.session.handle_enable(now),
        HoldDown => world.session.handle_hold_down(now, true),
        Release => world.session.handle_hold_down(now, false),
        PathDown => world.session.handle_path_down(now),
    }
    world.drain();
}

#[test]
fn each_pair_leads_where_the_rfc_says() {
    for (happening, row) in TABLE {
        for (place, expected) in PLACES.into_iter().zip(row) {
            let context = format!("{happening:?} in {place:?}");
            let mut world = world(place);
            happen(&mut world, happening);
            let (to, _) = expected.unwrap_or((place.0, Why::None));
            assert_eq!(world.session.state(), to, "{context}");
            let changes: Vec<_> = world.events.iter().filter_map(change).collect();
            let expected: Vec<_> = expected
                .map(|(to, why)| (place.0, to, why))
                .into_iter()
                .collect();
            assert_eq!(changes, expected, "{context}");
        }
    }
}

fn change(event: &Event) -> Option<(State, State, Why)> {
    match *event {
        Event::State {
            from,
            to,
            diagnostic,
            ..
        } => Some((from, to, diagnostic)),
        Event::RemoteAdminDown => None,
    }
}

/// RFC 5880 §6.8.7: a packet whose contents differ should not wait for its turn.
#[test]
fn each_change_of_state_is_told_at_once() {
    for (happening, row) in TABLE {
        for (place, expected) in PLACES.into_iter().zip(row) {
            let Some((to, why)) = expected.filter(|_| happening != Silence) else {
                continue;
            };
            let mut world = world(place);
            let now = world.now;
            happen(&mut world, happening);
            let [(at, packet)] = world.sent[..] else {
                panic!("{happening:?} in {place:?}: {:?}", world.sent);
            };
            assert_eq!((at, packet.state, packet.diagnostic), (now, to, why));
        }
    }
}

/// RFC 5882 §3.2: that says nothing about the path.
#[test]
fn a_neighbour_that_is_switched_off_is_told_apart_from_a_lost_one() {
    for place in PLACES {
        let mut world = world(place);
        happen(&mut world, Received(State::AdminDown));
        match place {
            (State::AdminDown, _) => assert_eq!(world.events, []),
            (State::Down, _) => assert_eq!(world.events, [Event::RemoteAdminDown]),
            (from @ (State::Init | State::Up), _) => assert_eq!(
                world.events,
                [Event::State {
                    from,
                    to: State::Down,
                    diagnostic: Why::NeighborSignaledDown,
                    remote_diagnostic: Why::None,
                    is_remote_admin_down: true,
                }]
            ),
        }
        world.forget();
        happen(&mut world, Received(State::AdminDown));
        assert_eq!(world.events, [], "once is enough");
    }
}
