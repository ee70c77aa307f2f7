//! Two sessions, a poor link between them, and a clock.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// What the link does to packets.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Each packet takes its own time, up to this.
    delay_max: Duration,
    /// Of packets, as far as `losses_max` allows it.
    loss: f64,
    /// In a row, in one direction.
    losses_max: u32,
    duplicates: f64,
}

struct Side {
    session: Session,
    settings: Settings,
    changes: Vec<(Instant, State)>,
    heard: Instant,
    losses: u32,
    /// Nothing comes from this side.
    is_cut: bool,
}

struct Pair {
    now: Instant,
    random: SmallRng,
    link: Link,
    sides: [Side; 2],
    flying: Vec<(Instant, usize, Encoded)>,
    sessions: u32,
}

impl Pair {
    /// 30 ms to 300 ms × 3 to 5. Odd seeds lose packets, and delay them by less than an interval;
    /// even ones lose none, and let them overtake each other.
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let now = Instant::now();
        let multiplier = random.random_range(3..=5);
        let mut side = || {
            let settings = Settings {
                interval: ms(random.random_range(30..=300)),
                multiplier,
                authentication: signing().authentication.filter(|_| seed % 4 >= 2),
            };
            Side {
                session: Session::new(&settings, number(1), seed, now),
                settings,
                changes: Vec::new(),
                heard: now,
                losses: 0,
                is_cut: false,
            }
        };
        let sides = [side(), side()];
        let interval = sides[0].settings.interval.max(sides[1].settings.interval);
        let is_lossy = seed % 2 == 1;
        let link = Link {
            delay_max: if is_lossy {
                interval / 2
            } else {
                interval * 3 / 2
            },
            loss: random.random_range(0.1..0.5),
            losses_max: if is_lossy {
                u32::from(multiplier) - 2
            } else {
                0
            },
            duplicates: 0.2,
        };
        let mut pair = Self {
            now,
            random,
            link,
            sides,
            flying: Vec::new(),
            sessions: 1,
        };
        pair.restart(0);
        pair.restart(1);
        pair
    }

    /// A process that has forgotten everything.
    fn restart(&mut self, place: usize) {
        self.sessions += 1;
        let side = &mut self.sides[place];
        let seed = self.random.random();
        side.session = Session::new(&side.settings, number(self.sessions), seed, self.now);
        self.drain(place);
    }

    fn drain(&mut self, place: usize) {
        let now = self.now;
        let side = &mut self.sides[place];
        while let Some(event) = side.session.poll_event() {
            if let Event::State { to, .. } = event {
                side.changes.push((now, to));
            }
        }
        while let Some(encoded) = side.session.poll_transmit(now) {
            let is_lost = self.random.random_bool(self.link.loss);
            if side.is_cut || (is_lost && side.losses < self.link.losses_max) {
                side.losses += 1;
                continue;
            }
            side.losses = 0;
            let copies = 1 + usize::from(self.random.random_bool(self.link.duplicates));
            for _ in 0..copies {
                let delay = self
                    .random
                    .random_range(Duration::ZERO..=self.link.delay_max);
                self.flying.push((now + delay, 1 - place, encoded));
            }
        }
    }

    /// Lets time pass, with drivers that are up to 1 ms late.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = self
                .sides
                .iter()
                .filter_map(|side| side.session.poll_timeout());
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let Some(due) = timers.chain(arrivals).min().filter(|due| *due <= end) else {
                break;
            };
            let late = self.random.random_range(Duration::ZERO..=ms(1));
            self.now = self.now.max(due + late);
            self.deliver();
            for place in [0, 1] {
                self.sides[place].session.handle_timeout(self.now);
                self.drain(place);
            }
        }
        self.now = self.now.max(end);
    }

    fn deliver(&mut self) {
        let now = self.now;
        let mut here: Vec<_> = self.flying.extract_if(.., |(at, ..)| *at <= now).collect();
        here.sort_by_key(|(at, ..)| *at);
        for (_, place, encoded) in here {
            let side = &mut self.sides[place];
            if side.session.handle_datagram(now, encoded.octets()).is_ok() {
                side.heard = now;
            }
            self.drain(place);
        }
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|place: usize| self.sides[place].session.state())
    }

    fn forget_changes(&mut self) {
        for side in &mut self.sides {
            side.changes.clear();
        }
    }

    fn detection_times(&self) -> [Duration; 2] {
        let time = |place: usize| self.sides[place].session.status().detection_time;
        [0, 1].map(|place| time(place).expect("a session that is Up"))
    }

    /// Comes Up within 20 s and stays Up.
    fn settle(&mut self, seed: u64) {
        self.run(Duration::from_secs(20));
        self.forget_changes();
        self.run(Duration::from_secs(8));
        assert_eq!(self.states(), [State::Up; 2], "seed {seed}");
        for side in &self.sides {
            assert_eq!(side.changes, [], "seed {seed}: {:?}", self.link);
        }
    }
}

/// RFC 5880 §6.8: whatever the link does that the multiplier tolerates, two sessions come Up and
/// stay Up; silence, of one side or both, is found out in time; and then all begins anew.
#[test]
fn two_sessions_find_hold_lose_and_find_each_other() {
    for seed in 0..200 {
        let mut pair = Pair::new(seed);
        pair.settle(seed);
        match seed % 3 {
            0 => silence(&mut pair, seed, &[0, 1]),
            1 => silence(&mut pair, seed, &[0]),
            _ => pair.restart(1),
        }
        pair.settle(seed);
    }
}

/// These sides fall silent, and later one of them is another process.
fn silence(pair: &mut Pair, seed: u64, cut: &[usize]) {
    let detection_times = pair.detection_times();
    for place in cut {
        pair.sides[*place].is_cut = true;
    }
    pair.flying.retain(|(_, to, _)| !cut.contains(&(1 - to)));
    let deaf: Vec<_> = cut.iter().map(|place| 1 - place).collect();
    let heard = deaf.iter().map(|place| pair.sides[*place].heard);
    let heard: Vec<_> = heard.collect();
    pair.run(detection_times[0] + detection_times[1] + pair.link.delay_max + ms(5));
    for (place, heard) in deaf.into_iter().zip(heard) {
        let (at, to) = pair.sides[place].changes[0];
        let silence = at - heard;
        let detection_time = detection_times[place];
        let range = detection_time..=detection_time + ms(1);
        assert!(range.contains(&silence), "seed {seed}: {silence:?}");
        assert_eq!(to, State::Down);
    }
    assert!(!pair.states().contains(&State::Up), "seed {seed}");
    if seed.is_multiple_of(2) {
        pair.restart(0);
    }
    for side in &mut pair.sides {
        side.is_cut = false;
    }
}
