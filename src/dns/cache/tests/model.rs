//! The cache may forget, but what it says is what it was told: against a table that keeps everything.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Answer {
        name: u8,
        octets: u16,
        seed: u8,
        ttl_s: u8,
        nxdomain: bool,
    },
    Failure {
        name: u8,
        doubling: bool,
    },
    Ask {
        name: u8,
    },
    Wait {
        ms: u16,
    },
    /// Many other names, so that entries have to go.
    Crowd {
        count: u8,
        octets: u16,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let name = 0..40_u8;
    prop_oneof![
        4 => (name.clone(), 0..900_u16, any::<u8>(), 0..4_u8, any::<bool>()).prop_map(
            |(name, octets, seed, ttl_s, nxdomain)| Event::Answer { name, octets, seed, ttl_s, nxdomain }
        ),
        1 => (name.clone(), any::<bool>())
            .prop_map(|(name, doubling)| Event::Failure { name, doubling }),
        6 => name.prop_map(|name| Event::Ask { name }),
        2 => (0..1500_u16).prop_map(|ms| Event::Wait { ms }),
        1 => (any::<u8>(), 0..2000_u16).prop_map(|(count, octets)| Event::Crowd { count, octets }),
    ]
}

/// What was told last about a name.
struct Told {
    rcode: Rcode,
    records: Vec<u8>,
    at: Instant,
    lifetime: Duration,
    failed: Option<Instant>,
}

impl Told {
    fn expires(&self) -> Instant {
        self.at + self.lifetime
    }

    fn is_useful(&self, now: Instant, stale: Duration) -> bool {
        let stale = if self.rcode == Rcode::SERVFAIL {
            Duration::ZERO
        } else {
            stale
        };
        now < self.expires() + stale
    }
}

struct Run {
    cache: Cache,
    size: u64,
    stale: Duration,
    now: Instant,
    told: HashMap<u8, Told>,
    crowd: u32,
}

fn name(number: u8) -> Key {
    key(&[2, b'n', number, 0])
}

impl Run {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Answer {
                name,
                octets,
                seed,
                ttl_s,
                nxdomain,
            } => {
                let rcode = if nxdomain {
                    Rcode::NXDOMAIN
                } else {
                    Rcode::NOERROR
                };
                let records: Vec<_> = (0..octets)
                    .map(|at| seed.wrapping_add(at.to_le_bytes()[0]))
                    .collect();
                self.answer(name, rcode, records, Duration::from_secs(ttl_s.into()));
            }
            Event::Failure { name, doubling } => self.fail(name, doubling),
            Event::Ask { name } => self.ask(name),
            Event::Wait { ms } => self.now += Duration::from_millis(ms.into()),
            Event::Crowd { count, octets } => {
                let records = vec![7; octets.into()];
                for _ in 0..count {
                    self.crowd += 1;
                    let name = format!("\x08c{:07}\0", self.crowd).into_bytes();
                    self.cache.insert(
                        &key(&name),
                        &cleaned(Rcode::NOERROR, SECOND, &records),
                        self.now,
                    );
                }
            }
        }
        assert!(self.cache.octets() <= self.size);
    }

    fn answer(&mut self, number: u8, rcode: Rcode, records: Vec<u8>, lifetime: Duration) {
        self.cache
            .insert(&name(number), &cleaned(rcode, lifetime, &records), self.now);
        if lifetime + self.stale > Duration::ZERO {
            let told = Told {
                rcode,
                records,
                at: self.now,
                lifetime,
                failed: None,
            };
            self.told.insert(number, told);
        }
    }

    fn fail(&mut self, number: u8, doubling: bool) {
        let before = kind(&self.cache, &name(number), self.now);
        let backoff = if doubling {
            Backoff::Doubling
        } else {
            Backoff::Constant
        };
        self.cache
            .note_failure(&name(number), ExtendedError(22), backoff, self.now);
        let failures = self.told.get(&number);
        let failures = failures.filter(|told| doubling && told.rcode == Rcode::SERVFAIL);
        let longest = failures.map_or(SECOND, |told| (told.lifetime * 2).min(60 * SECOND));
        let known = self.told.get_mut(&number);
        match known
            .filter(|told| told.is_useful(self.now, self.stale) && told.rcode != Rcode::SERVFAIL)
        {
            Some(told) if before != "miss" => told.failed = Some(self.now),
            Some(_) | None => {
                // One that has been forgotten makes the next last no longer.
                let lasts = |lifetime: Duration| {
                    let last = self.now + lifetime - Duration::from_millis(1);
                    kind(&self.cache, &name(number), last) == "failure"
                };
                let mut lifetime = SECOND;
                while lifetime < longest && lasts(lifetime + SECOND) {
                    lifetime += SECOND;
                }
                assert!(!lasts(longest + SECOND));
                let failure = Told {
                    rcode: Rcode::SERVFAIL,
                    records: Vec::new(),
                    at: self.now,
                    lifetime,
                    failed: None,
                };
                self.told.insert(number, failure);
            }
        }
    }

    fn ask(&self, number: u8) {
        let mut scratch = Scratch::new();
        let told = self.told.get(&number);
        let (entry, fresh) = match self.cache.lookup(&name(number), self.now, &mut scratch) {
            Lookup::Fresh(entry) => (entry, true),
            Lookup::Stale(entry) => (entry, false),
            Lookup::Miss => return,
        };
        let told = told.expect("nothing was told of this name");
        assert_eq!(fresh, self.now < told.expires());
        assert!(told.is_useful(self.now, self.stale));
        let answer = entry.fresh_answer(self.now);
        assert_eq!(answer.rcode, told.rcode);
        assert_eq!(answer.sections.unwrap().records(), told.records);
        let age = (self.now - told.at).as_secs();
        assert_eq!(answer.ttl, Ttl::Aged(age.try_into().unwrap()));
        let recently = |failed| self.now < failed + entry::STALE_HOLD;
        assert_eq!(
            entry.failed_recently(self.now),
            told.failed.is_some_and(recently)
        );
    }
}

proptest! {
    #[test]
    fn the_cache_may_forget_but_never_lies(
        size in prop_oneof![Just(0_u64), 65_536..200_000_u64, Just(1 << 20), Just(5 << 20)],
        stale in any::<bool>(),
        events in proptest::collection::vec(event(), 0..300),
    ) {
        let mut run = Run {
            cache: cache(size, stale),
            size,
            stale: if stale { 100 * SECOND } else { Duration::ZERO },
            now: began(),
            told: HashMap::new(),
            crowd: 0,
        };
        for event in events {
            run.handle(event);
        }
    }
}
