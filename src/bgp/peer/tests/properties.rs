//! What stays true whatever happens, in whatever order.

use proptest::prelude::*;

use super::lifelines::read;
use super::*;
use crate::bgp::BfdState;
use crate::bgp::message::{self, Kind, MESSAGE_MAX};

/// One thing that may happen to a neighbour.
#[derive(Clone, Debug)]
enum Happening {
    Start,
    Shutdown,
    Reset,
    LinkDown,
    LinkUp,
    Bfd(BfdState),
    Lease(bool),
    Routes(u8),
    NextHops(bool, bool),
    Connected(Slot),
    Accepted,
    Closed(Slot),
    Message(Slot, Message),
    /// TCP, OPEN and KEEPALIVE one after the other.
    Establish(Slot),
    Written(Slot),
    Blocked(Slot),
    Delivered,
    Transmit(Slot),
    Pass(u16),
}

#[derive(Clone, Copy, Debug)]
enum Message {
    Open,
    BadOpen,
    Keepalive,
    Update,
    BadUpdate,
    Refresh,
    Notification,
    Garbage,
    /// The first octets of an UPDATE.
    Part,
}

fn octets(message: Message) -> Vec<u8> {
    let theirs = parameters(B, A, 65000);
    let mut open = theirs.opening(&theirs.next_hops(B)).open();
    match message {
        Message::Open => open.encode(),
        Message::BadOpen => {
            open.hold_time_s = 2;
            open.encode()
        }
        Message::Keepalive => message::keepalive(),
        Message::Update => message::encode(Kind::Update, &[0; 4]).unwrap(),
        Message::BadUpdate => message::encode(Kind::Update, &[0, 9, 0, 0]).unwrap(),
        Message::Refresh => message::encode(Kind::RouteRefresh, &[0, 1, 0, 1]).unwrap(),
        Message::Notification => Notification::administrative_reset("").encode(),
        Message::Garbage => vec![7; 40],
        Message::Part => {
            let whole = message::encode(Kind::Update, &[0; 4000]).unwrap();
            whole[..1500].to_vec()
        }
    }
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::Dialled), Just(Slot::Accepted)]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => Just(Message::Open),
        4 => Just(Message::Keepalive),
        2 => Just(Message::Update),
        2 => Just(Message::Refresh),
        1 => Just(Message::BadOpen),
        1 => Just(Message::BadUpdate),
        1 => Just(Message::Notification),
        1 => Just(Message::Garbage),
        1 => Just(Message::Part),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let bfd = prop_oneof![
        Just(BfdState::Up),
        Just(BfdState::Down),
        Just(BfdState::AdminDown)
    ];
    prop_oneof![
        1 => Just(Happening::Start),
        1 => Just(Happening::Shutdown),
        1 => Just(Happening::Reset),
        1 => Just(Happening::LinkDown),
        1 => Just(Happening::LinkUp),
        3 => bfd.prop_map(Happening::Bfd),
        3 => any::<bool>().prop_map(Happening::Lease),
        4 => (0_u8..4).prop_map(Happening::Routes),
        2 => any::<(bool, bool)>().prop_map(|(v4, v6)| Happening::NextHops(v4, v6)),
        4 => slot().prop_map(Happening::Connected),
        3 => Just(Happening::Accepted),
        2 => slot().prop_map(Happening::Closed),
        8 => (slot(), message()).prop_map(|(slot, message)| Happening::Message(slot, message)),
        4 => slot().prop_map(Happening::Establish),
        2 => slot().prop_map(Happening::Written),
        2 => slot().prop_map(Happening::Blocked),
        2 => Just(Happening::Delivered),
        6 => slot().prop_map(Happening::Transmit),
        8 => (0_u16..4000).prop_map(Happening::Pass),
    ]
}

/// Makes it happen, and checks what can be seen of it at once.
fn happen(peer: &mut Peer, now: &mut Instant, happening: Happening) {
    match happening {
        Happening::Start => peer.handle_start(*now),
        Happening::Shutdown => peer.handle_shutdown(*now, "bye"),
        Happening::Reset => peer.handle_reset(*now, "again"),
        Happening::LinkDown => peer.handle_link_down(*now),
        Happening::LinkUp => peer.handle_link_up(*now),
        Happening::Bfd(state) => peer.handle_bfd(*now, state),
        Happening::Lease(is_good) => peer.handle_lease(*now, is_good),
        Happening::Routes(med) => {
            let routes = ["10.53.53.53/32", "fd53::53/128", "10.53.53.52/30"];
            let routes = routes.map(|prefix| route(prefix, med.into()));
            peer.handle_routes(&routes[..usize::from(med)]);
        }
        Happening::NextHops(v4, v6) => {
            let v6 = v6.then(|| "2001:db8::9".parse().unwrap());
            peer.handle_next_hops(v4.then_some(Ipv4Addr::new(192, 0, 2, 9)), v6);
        }
        Happening::Connected(slot) => peer.handle_connected(*now, slot, A),
        Happening::Accepted => {
            let fired = peer.status().is_dead_man;
            assert!(
                !(peer.handle_accepted(*now, A) && fired),
                "accepted while dead-man"
            );
        }
        Happening::Closed(slot) => peer.handle_closed(*now, slot),
        Happening::Message(slot, message) => peer.handle_bytes(*now, slot, &octets(message)),
        Happening::Establish(slot) => {
            if slot == Slot::Accepted {
                let _ = peer.handle_accepted(*now, A);
            }
            peer.handle_connected(*now, slot, A);
            peer.handle_bytes(*now, slot, &octets(Message::Open));
            peer.handle_bytes(*now, slot, &octets(Message::Keepalive));
        }
        Happening::Written(slot) => peer.handle_written(slot),
        Happening::Blocked(slot) => peer.handle_blocked(*now, slot),
        Happening::Delivered => {
            if peer.poll_delivery().is_some() {
                peer.handle_delivered();
            }
        }
        Happening::Transmit(slot) => transmit(peer, slot),
        Happening::Pass(millis) => {
            *now += Duration::from_millis(millis.into());
            peer.handle_timeout(*now);
            let next = peer.poll_timeout();
            assert!(
                next.is_none_or(|next| next > *now),
                "a timer that is due for ever"
            );
        }
    }
}

fn transmit(peer: &mut Peer, slot: Slot) {
    for _ in 0..3 {
        let Some(message) = peer.poll_transmit(slot) else {
            return;
        };
        let is_stale = peer.dead_man.is_stale();
        let announced = read(&message).map_or(0, |update| update.announced.len());
        assert!(!is_stale || announced == 0, "announces on a stale lease");
        assert!(message.len() <= MESSAGE_MAX);
    }
}

/// What is true after every event.
fn check(peer: &mut Peer) {
    let fired = peer.status().is_dead_man;
    let connections = [&peer.dialled.connection, &peer.accepted.connection];
    let states = connections.map(Connection::state);
    let established = states.map(|state| state == State::Established);
    assert!(established != [true; 2], "two Established to one neighbour");
    let expected = match peer.established {
        None => [false; 2],
        Some(Slot::Dialled) => [true, false],
        Some(Slot::Accepted) => [false, true],
    };
    assert_eq!(established, expected);
    for connection in connections {
        connection.check_bounds();
    }
    if fired {
        assert_eq!(states, [State::Idle; 2]);
        assert_eq!(peer.poll_timeout(), None);
    } else if peer.running && !peer.parameters.passive {
        let is_timeless = peer.established.is_some() && peer.parameters.hold_time.is_none();
        assert!(
            is_timeless || peer.poll_timeout().is_some(),
            "nothing would ever happen: {states:?}"
        );
    }
    if !peer.running {
        assert_eq!(states, [State::Idle; 2]);
    }
    assert!(!peer.dead_man.is_waiting() || peer.established.is_some());
    assert!(peer.poll_delivery().is_none() || peer.dead_man.is_waiting());
    let mut events = 0;
    while let Some(event) = peer.poll_event() {
        events += 1;
        assert!(!(fired && event == Event::Dial), "dials while dead-man");
    }
    assert!(events <= 16, "{events} events from one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// RFC 4271 §6.8 and §8.2.2: never two Established to one neighbour, never an
    /// announcement on a stale lease, no attempt while dead-man, timers that run, bounded queues,
    /// no panic.
    #[test]
    fn no_order_of_events_breaks_a_neighbour(
        seed in any::<u64>(),
        is_passive in any::<bool>(),
        delay_s in prop_oneof![Just(0_u64), 1_u64..240],
        hold_s in prop_oneof![Just(None), (3_u64..240).prop_map(Some)],
        detection_ms in prop_oneof![Just(None), (30_u64..10_000).prop_map(Some)],
        happenings in proptest::collection::vec(happening(), 1..120),
    ) {
        let mut now = Instant::now();
        let parameters = PeerParameters {
            passive: is_passive,
            delay_open: Duration::from_secs(delay_s),
            hold_time: hold_s.map(Duration::from_secs),
            bfd_detection: detection_ms.map(Duration::from_millis),
            process_start: Some(now),
            ..parameters(A, B, 65053)
        };
        let mut peer = Peer::new(parameters, seed, now);
        peer.handle_start(now);
        for happening in happenings {
            happen(&mut peer, &mut now, happening);
            check(&mut peer);
        }
    }
}
