#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use super::*;
use crate::bfd::Authentication;
use crate::bfd::packet::Encoded;

mod pair;
mod properties;
mod rules;
mod table;
mod transmission;

const MINE: u32 = 7;
const THEIRS: u32 = 9;
const NANOSECOND: Duration = Duration::from_nanos(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// 50 ms × 3, unsigned.
fn settings() -> Settings {
    Settings {
        interval: ms(50),
        multiplier: 3,
        authentication: None,
    }
}

fn signing() -> Settings {
    Settings {
        authentication: Some(Authentication {
            key_id: 1,
            is_meticulous: true,
            key: b"key".as_slice().into(),
        }),
        ..settings()
    }
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// What the other side, 50 ms × 3 too, sends in a state.
fn packet(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state,
        is_poll: false,
        is_final: false,
        is_control_plane_independent: false,
        is_authenticated: false,
        is_demand: false,
        multiplier: 3,
        my_discriminator: THEIRS,
        your_discriminator: MINE,
        desired_min_tx: if state == State::Up { ms(50) } else { ms(1000) },
        required_min_rx: ms(50),
        required_min_echo_rx: Duration::ZERO,
    }
}

/// A session, its clock, and what it has said.
struct World {
    now: Instant,
    session: Session,
    sent: Vec<(Instant, Packet)>,
    events: Vec<Event>,
}

impl World {
    /// Down; the first packet is out.
    fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let mut world = Self {
            now,
            session: Session::new(settings, number(MINE), 1, now),
            sent: Vec::new(),
            events: Vec::new(),
        };
        world.drain();
        world
    }

    /// In that state, and nothing left to say about how it got there.
    fn in_state(state: State) -> Self {
        let mut world = Self::new(&settings());
        match state {
            State::Down => {}
            State::AdminDown => world.session.handle_admin_down(world.now),
            State::Init => world.receive(&packet(State::Down)),
            State::Up => {
                world.receive(&packet(State::Init));
                let answer = Packet {
                    is_final: true,
                    ..packet(State::Up)
                };
                world.receive(&answer);
            }
        }
        world.drain();
        assert_eq!(world.session.state(), state);
        world.forget();
        world
    }

    fn receive(&mut self, packet: &Packet) {
        self.session.handle_packet(self.now, packet);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(encoded) = self.session.poll_transmit(self.now) {
            let packet = Packet::decode(encoded.octets()).unwrap();
            self.sent.push((self.now, packet));
        }
        self.events
            .extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    /// Lets time pass, with a driver that is never late.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "nothing was done");
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.drain();
    }

    /// As `run`, with a packet of the other side each `gap`.
    fn run_hearing(&mut self, time: Duration, gap: Duration, packet: &Packet) {
        let end = self.now + time;
        while self.now + gap <= end {
            self.run(gap);
            self.receive(packet);
        }
    }

    fn forget(&mut self) {
        self.sent.clear();
        self.events.clear();
    }

    fn gaps(&self) -> Vec<Duration> {
        let pairs = self.sent.iter().zip(self.sent.iter().skip(1));
        pairs.map(|(one, other)| other.0 - one.0).collect()
    }
}
