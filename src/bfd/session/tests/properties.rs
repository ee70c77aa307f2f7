//! What holds whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// So many microseconds pass.
    Wait(u64),
    Datagram(Packet),
    Octets(Vec<u8>),
    AdminDown,
    Enable,
    HoldDown(bool),
    PathDown,
    Settings(u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_000_u64).prop_map(Step::Wait),
        4 => (0..60_000_u64).prop_map(Step::Wait),
        10 => datagram().prop_map(Step::Datagram),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Step::Octets),
        1 => Just(Step::AdminDown),
        2 => Just(Step::Enable),
        1 => any::<bool>().prop_map(Step::HoldDown),
        1 => Just(Step::PathDown),
        1 => (10..400_u64, 1..5_u8).prop_map(|(interval, multiplier)| {
            Step::Settings(interval, multiplier)
        }),
    ]
}

fn datagram() -> impl Strategy<Value = Packet> {
    let state = prop_oneof![
        1 => Just(State::AdminDown),
        3 => Just(State::Down),
        4 => Just(State::Init),
        6 => Just(State::Up),
    ];
    let mine = prop_oneof![6 => Just(MINE), 1 => Just(0), 1 => Just(MINE + 1)];
    let flags = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.1));
    let interval = prop_oneof![
        6 => 10_000..400_000_u64,
        1 => Just(0),
        1 => Just(u64::from(u32::MAX)),
    ];
    (state, mine, flags, 1..5_u8, interval.clone(), interval).prop_map(
        |(state, your_discriminator, (is_poll, is_final, is_demand), multiplier, tx, rx)| Packet {
            is_poll,
            is_final,
            is_demand,
            multiplier,
            your_discriminator,
            desired_min_tx: Duration::from_micros(tx),
            required_min_rx: Duration::from_micros(rx),
            ..packet(state)
        },
    )
}

/// Watches the packets of a session whose driver is never late.
struct Watch {
    now: Instant,
    session: Session,
    /// The last packet of any kind, and the longest interval since, while Up without a break.
    any: Option<(Instant, Duration)>,
    /// The last packet that was no mere answer, and the shortest interval since.
    own: Option<(Instant, Duration)>,
}

impl Watch {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let session = Session::new(&settings(), number(MINE), seed, now);
        Self {
            now,
            session,
            any: None,
            own: None,
        }
    }

    fn interval(&self) -> Option<Duration> {
        self.session.status().transmit_interval
    }

    fn look(&mut self) {
        let interval = self.interval();
        if let (Some((_, shortest)), Some(interval)) = (&mut self.own, interval) {
            *shortest = interval.min(*shortest);
        }
        self.any = match (self.any, interval) {
            (Some((last, longest)), Some(interval)) if self.session.state() == State::Up => {
                Some((last, longest.max(interval)))
            }
            _ => None,
        };
        if self.session.state() != State::Up {
            assert!(interval.is_none_or(|interval| interval >= ms(1000)));
        }
        if let Some((last, longest)) = self.any {
            assert!(
                self.now - last <= longest,
                "silent for {:?}",
                self.now - last
            );
        }
    }

    fn drain(&mut self) {
        self.look();
        for count in 0.. {
            assert!(count < 3, "packets without end");
            let has_news = self.session.transmission.has_news();
            let Some(encoded) = self.session.poll_transmit(self.now) else {
                break;
            };
            let packet = Packet::decode(encoded.octets()).unwrap();
            self.watch(&packet, has_news);
        }
        while self.session.poll_event().is_some() {}
        let next = self.session.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.now),
            "something was left"
        );
    }

    fn watch(&mut self, packet: &Packet, has_news: bool) {
        assert!(!(packet.is_poll && packet.is_final));
        assert!(!packet.is_demand && packet.my_discriminator == MINE);
        assert_eq!(packet.state, self.session.state());
        let floor = if packet.state == State::Up {
            ms(10)
        } else {
            ms(1000)
        };
        assert!(packet.desired_min_tx >= floor);
        let interval = self.interval();
        self.any = interval.map(|interval| (self.now, interval));
        if packet.is_final && !has_news {
            return;
        }
        if let (Some((last, shortest)), false) = (self.own, has_news) {
            let gap = self.now - last + Duration::from_micros(1);
            assert!(gap >= shortest * 3 / 4, "after {gap:?} of {shortest:?}");
        }
        self.own = Some((self.now, interval.unwrap_or(Duration::MAX)));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            let before = self.session.state();
            self.session.handle_timeout(due);
            let after = self.session.state();
            assert!(
                after == before || after == State::Down,
                "time alone brings nobody Up"
            );
            self.drain();
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.drain();
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        let before = self.session.state();
        let held = self.session.is_held_down;
        let mut said = None;
        match step {
            Step::Wait(time) => return self.wait(Duration::from_micros(*time)),
            Step::Datagram(packet) => {
                let taken = self.session.handle_datagram(now, packet.encode().octets());
                said = taken.is_ok().then_some(packet.your_discriminator);
            }
            Step::Octets(octets) => {
                let _ = self.session.handle_datagram(now, octets);
            }
            Step::AdminDown => self.session.handle_admin_down(now),
            Step::Enable => self.session.handle_enable(now),
            Step::HoldDown(is_held) => self.session.handle_hold_down(now, *is_held),
            Step::PathDown => self.session.handle_path_down(now),
            Step::Settings(interval, multiplier) => self.session.handle_settings(&Settings {
                interval: ms(*interval),
                multiplier: *multiplier,
                authentication: None,
            }),
        }
        let after = self.session.state();
        if after == State::Up && before != State::Up {
            assert_eq!(said, Some(MINE), "Up without having been heard");
            assert!(!held, "Up though held down");
        }
        self.drain();
    }
}

proptest! {
    /// RFC 5880 §6.8.3, §6.8.6, §6.8.7: Up only with a neighbour that hears; while Up no gap above
    /// the agreed interval; between packets in turn never less than three quarters of it.
    #[test]
    fn packets_keep_their_pace_and_nobody_is_up_unheard(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut watch = Watch::new(seed);
        watch.drain();
        for step in &steps {
            watch.step(step);
        }
    }

    /// Octets of a stranger, and signed packets that were bent on their way.
    #[test]
    fn no_datagram_makes_a_session_panic(
        place in 0..4_usize,
        datagrams in proptest::collection::vec(
            (any::<[u8; 4]>(), proptest::collection::vec(any::<u8>(), 0..60)),
            1..10,
        ),
    ) {
        let mut plain = World::in_state(State::ALL[place]);
        let mut signed = World::new(&signing());
        let mut other = Session::new(&signing(), number(THEIRS), 2, signed.now);
        for ([place, octet, ..], octets) in datagrams {
            for world in [&mut plain, &mut signed] {
                let _ = world.session.handle_datagram(world.now, &octets);
                let mut bent = packet(State::Up).encode().octets().to_vec();
                bent[usize::from(place) % 24] = octet;
                let _ = world.session.handle_datagram(world.now, &bent);
                world.run(ms(octet.into()));
            }
            other.handle_enable(signed.now);
            other.handle_admin_down(signed.now);
            if let Some(encoded) = other.poll_transmit(signed.now) {
                let mut bent = encoded.octets().to_vec();
                bent[usize::from(place) % 52] ^= octet;
                let _ = signed.session.handle_datagram(signed.now, &bent);
            }
        }
        signed.drain();
    }
}
