//! Sockets against a silent receiver on loopback.

#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use std::collections::HashSet;
use std::net::SocketAddr;

use super::super::super::DialectSettings;
use super::super::super::inflight::{Command, Flights, Limits};
use super::super::super::upstream::ResolvedZone;
use super::super::response::Response;
use super::*;
use crate::dns::client::Asker;
use crate::os::socket::batch::Inbox;

mod spoofing;

/// With as many letters as a guess has bits to spare for.
const NAME: &[u8] = b"\x10abcdefghijklmnop\0";

struct World {
    receiver: UdpSocket,
    flights: Flights<()>,
    sockets: Sockets,
    now: Instant,
    asked: u16,
}

/// A receiver that answers nothing, and sockets towards it.
fn world() -> World {
    world_speaking(DialectSettings::default())
}

fn world_speaking(dialect: DialectSettings) -> World {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        dialect,
        upstreams: vec![receiver.local_addr().unwrap()],
        ..ResolvedZone::default()
    };
    let now = Instant::now();
    // Nothing is answered here.
    let limits = Limits {
        window: usize::MAX,
        ..Limits::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    World {
        receiver,
        flights: Flights::new(Arc::clone(&upstreams), limits, now),
        sockets: Sockets::new(upstreams, Arc::default()),
        now,
        asked: 0,
    }
}

impl World {
    /// Sends so many questions in one flush; the ids and sources that the receiver saw.
    fn ask(&mut self, count: u16) -> Vec<(u16, SocketAddr)> {
        self.ask_and_see(count)
            .into_iter()
            .map(|(message, source)| (u16::from_be_bytes([message[0], message[1]]), source))
            .collect()
    }

    /// The same with the whole messages.
    fn ask_and_see(&mut self, count: u16) -> Vec<(Vec<u8>, SocketAddr)> {
        for _ in 0..count {
            self.send();
        }
        self.sockets.flush(self.now);
        (0..count)
            .map(|_| {
                let mut buffer = [0; 512];
                let (length, source) = self.receiver.recv_from(&mut buffer).unwrap();
                (buffer[..length].to_vec(), source)
            })
            .collect()
    }

    fn send(&mut self) {
        self.asked += 1;
        // Nothing is answered here, and what is under way is bounded.
        if self.asked.is_multiple_of(100) {
            let upstreams = Arc::clone(&self.sockets.upstreams);
            self.flights = Flights::new(upstreams, Limits::default(), self.now);
        }
        let key = Key::new(NAME, 1, self.asked, false, false).unwrap();
        self.flights
            .ask(&key, Asker::default(), (), None, self.now)
            .unwrap();
        let Some(Command::Send(attempt)) = self.flights.poll_command() else {
            panic!("nothing to send");
        };
        self.sockets.send(attempt, &key, 0, self.now);
    }

    fn open(&self) -> usize {
        self.sockets.sockets.iter().flatten().count()
    }
}

/// RFC 5452 §9.2: ids and ports that an attacker cannot guess.
#[tokio::test]
async fn questions_leave_from_several_ports_under_changing_ids() {
    let mut world = world();
    let seen: Vec<_> = (0..200).flat_map(|_| world.ask(1)).collect();
    let ids: HashSet<_> = seen.iter().map(|(id, _)| id).collect();
    let ports: HashSet<_> = seen.iter().map(|(_, source)| source.port()).collect();
    assert_eq!(ports.len(), SOCKETS);
    assert!(ports.iter().all(|port| *port >= 1024));
    assert!(ids.len() > 150, "only {} ids", ids.len());
}

#[tokio::test]
async fn what_is_flushed_together_leaves_from_one_port() {
    let mut world = world();
    for _ in 0..20 {
        let ports: HashSet<_> = world.ask(50).iter().map(|seen| seen.1.port()).collect();
        assert_eq!(ports.len(), 1);
    }
    assert_eq!(world.ask(150).len(), 150);
}

#[tokio::test]
async fn a_socket_takes_no_questions_when_its_time_or_number_is_over() {
    let mut world = world();
    let ports = |world: &mut World| -> HashSet<u16> {
        let seen = (0..100).flat_map(|_| world.ask(1));
        seen.map(|(_, source)| source.port()).collect()
    };
    let first = ports(&mut world);
    world.now += AGE_MAX;
    let second = ports(&mut world);
    assert!(first.is_disjoint(&second));
    assert_eq!(second.len(), SOCKETS);
    for socket in world.sockets.sockets.iter_mut().flatten() {
        socket.questions = SOCKET_QUESTIONS_MAX;
    }
    assert!(second.is_disjoint(&ports(&mut world)));
}

#[tokio::test]
async fn a_worn_socket_listens_for_one_lifetime_more() {
    let mut world = world();
    world.ask(1);
    assert_eq!(world.sockets.poll_timeout(), None);
    world.sockets.retire(0, world.now);
    world.sockets.retire(0, world.now);
    let close_at = world.now + QUESTION_LIFETIME;
    assert_eq!(world.sockets.poll_timeout(), Some(close_at));
    world
        .sockets
        .handle_timeout(close_at - Duration::from_millis(1));
    assert_eq!(world.open(), 1);
    world.sockets.handle_timeout(close_at);
    assert_eq!((world.open(), world.sockets.poll_timeout()), (0, None));
}

/// A network that refuses everything must not take all descriptors.
#[tokio::test]
async fn sockets_are_bounded_however_fast_they_break() {
    let mut world = world();
    for _ in 0..RETIRED_MAX * 2 {
        world.ask(1);
        for number in 0..world.sockets.sockets.len() {
            if let Some(socket) = &mut world.sockets.sockets[number] {
                socket.note_trouble(ErrorKind::OutOfMemory, u64::MAX, true);
            }
            world.sockets.break_off(number, world.now);
        }
    }
    assert!(world.open() <= RETIRED_MAX + SOCKETS);
    assert!(world.sockets.has_lost());
}

/// As an upstream without EDNS would give it.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut message = question[..12 + NAME.len() + 4].to_vec();
    message[2] |= 0x80;
    message[11] = 0;
    message
}

/// The kernel tells an error before the datagrams that were queued when it came; they were thrown away
/// with it once.
#[tokio::test]
async fn answers_that_came_before_a_refusal_are_heard_and_only_the_rest_is_given_up() {
    let mut world = world();
    let seen = world.ask_and_see(10);
    for (question, source) in &seen {
        world.receiver.send_to(&answer(question), source).unwrap();
    }
    // Nobody listens there any more, and the next question finds out.
    let (port, closed) = (
        world.receiver.local_addr().unwrap(),
        UdpSocket::bind("127.0.0.1:0"),
    );
    world.receiver = closed.unwrap();
    assert_ne!(world.receiver.local_addr().unwrap(), port);
    let number = world.sockets.lines[0].places.iter().flatten().next();
    let number = *number.unwrap();
    world.sockets.lines[0].places = [Some(number); SOCKETS];
    world.send();
    world.sockets.flush(world.now);
    // Its own error, reported when it is sent after the first.
    world.send();
    world.sockets.flush(world.now);

    let mut inbox = Inbox::new(4, 512);
    let mut heard = 0;
    while !world.sockets.has_lost() {
        let count = world.sockets.receive(number, &mut inbox, world.now);
        for index in 0..count.unwrap_or(0) {
            let message = inbox.message(index);
            let matched = world
                .sockets
                .take_match(number, message, &world.flights, world.now);
            let (question, response, _) = matched.unwrap();
            assert!(question.is_awaited);
            assert!(matches!(response, Response::Complete { .. }));
            heard += 1;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(heard, 10);
    let lost = std::iter::from_fn(|| world.sockets.poll_lost()).count();
    assert!((1..=2).contains(&lost), "{lost} lost");
}

#[tokio::test]
async fn a_sibling_is_asked_from_the_address_that_it_knows_this_node_by() {
    let zone = ResolvedZone {
        zone: vec![0],
        upstreams: vec!["127.0.0.1:9".parse().unwrap()],
        siblings: vec!["127.0.0.1:10".parse().unwrap()],
        own_siblings: vec!["127.0.0.2".parse().unwrap()],
        ..ResolvedZone::default()
    };
    let now = Instant::now();
    let upstreams = Arc::new(Upstreams::new(&[zone], now));
    let mut sockets = Sockets::new(Arc::clone(&upstreams), Arc::default());
    for (index, expected) in upstreams.indexes().zip(["127.0.0.1:0", "127.0.0.2:0"]) {
        let number = sockets.open(index, now).unwrap();
        let socket = sockets.sockets[number].as_ref().unwrap();
        let mut local = socket.fd.get_ref().local_addr().unwrap();
        local.set_port(0);
        assert_eq!(local, expected.parse::<SocketAddr>().unwrap());
    }
}
