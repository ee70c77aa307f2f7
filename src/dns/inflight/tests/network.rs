//! A network in simulated time: scripted upstreams, and clients that note what they are told.

#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use std::collections::BTreeMap;

use super::super::super::client::{Prefix, PrefixLengths};
use super::super::super::exchange::{query, response};
use super::super::super::forward::Outcome;
use super::super::super::hash_key::HashKey;
use super::super::super::upstream::{Asked, ResolvedZone};
use super::upkeep::Upkeep;
use super::*;

pub(super) const NOERROR: u8 = 0;
pub(super) const FORMERR: u8 = 1;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const REFUSED: u8 = 5;

/// What comes back from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Rcode(u8),
    /// The same with the INFO-CODE of an Extended DNS Error.
    Reason(u8, u8),
    /// An error without a question section.
    Headless(u8),
    Truncated,
    Malformed,
    /// NOERROR with a server of the root zone instead of an answer.
    Referral,
    /// NOERROR with an address of another name.
    Unrelated,
    /// NOERROR with an alias that leads to itself.
    AliasLoop,
    /// The network says that it cannot be reached.
    Unreachable,
    /// What a question over TCP has come to.
    Tcp(Option<u8>),
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Rcode(u8),
    NotYet,
    Failed(Failure),
}

/// The number of the question, counted from 1 (0: a probe), how it is asked, and when in ms; words with
/// their delays in ms.
pub(super) type Script = Box<dyn FnMut(usize, Edns, u64) -> Vec<(u64, Word)>>;

pub(super) struct Network {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) flights: Flights<u32>,
    pub(super) scripts: Vec<Script>,
    pub(super) asked: Vec<usize>,
    /// When each attempt was commanded, and what.
    pub(super) sent: Vec<(Instant, Attempt)>,
    wire: BTreeMap<(Instant, usize), (Attempt, Instant, Word)>,
    pub(super) upkeep: Option<Upkeep>,
    /// Nothing comes over TCP.
    pub(super) is_tcp_hung: bool,
    /// Names that begin with it are answered by nobody.
    pub(super) dead_letter: Option<u8>,
    /// Who was told what, and when.
    pub(super) told: Vec<(u32, Told, Instant)>,
    pub(super) ended: usize,
    events: usize,
}

/// An upstream that always says the same after 10 ms.
pub(super) fn always(word: Word) -> Script {
    Box::new(move |_, _, _| vec![(10, word)])
}

pub(super) fn silent() -> Script {
    Box::new(|_, _, _| Vec::new())
}

pub(super) fn key(label: u8) -> Key {
    Key::new(&[1, label, 0], 1, 1, false, false).unwrap()
}

/// A name of two labels of its own.
pub(super) fn unique(number: u64) -> Key {
    named(&format!("n{number}"), &format!("d{}", number % 97))
}

pub(super) fn named(label: &str, domain: &str) -> Key {
    let mut name = Vec::new();
    for label in [label, domain, "example"] {
        name.push(u8::try_from(label.len()).unwrap());
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    Key::new(&name, 1, 1, false, false).unwrap()
}

/// A client of the prefix with this number.
pub(super) fn client(prefix: u8) -> Asker {
    let address = std::net::Ipv4Addr::new(198, 51, prefix, 7).into();
    Asker {
        prefix: Prefix::of(address, PrefixLengths::default()),
        ..Asker::default()
    }
}

/// One zone, the root, with an upstream for each script.
pub(super) fn network(limits: Limits, scripts: Vec<Script>) -> Network {
    let counts = [(vec![0], scripts.len(), 0)];
    network_of(limits, &counts, scripts)
}

/// Zones with their apex and how many upstreams and siblings they have, in the order of the scripts.
pub(super) fn network_of(
    limits: Limits,
    zones: &[(Vec<u8>, usize, usize)],
    scripts: Vec<Script>,
) -> Network {
    let start = Instant::now();
    let mut number = 0;
    let mut addresses = |count: usize| {
        let address = |_| {
            number += 1;
            format!("192.0.2.{number}:53").parse().unwrap()
        };
        (0..count).map(address).collect::<Vec<_>>()
    };
    let zones: Vec<_> = zones
        .iter()
        .map(|(apex, upstreams, siblings)| ResolvedZone {
            zone: apex.clone(),
            zone_text: String::from_utf8_lossy(apex).into_owned(),
            critical: true,
            upstreams: addresses(*upstreams),
            siblings: addresses(*siblings),
            ..ResolvedZone::default()
        })
        .collect();
    let upstreams = Arc::new(Upstreams::with_key(&zones, start, HashKey::numbered(1)));
    Network {
        start,
        now: start,
        flights: Flights::new(Arc::clone(&upstreams), limits, start),
        asked: vec![0; scripts.len()],
        scripts,
        sent: Vec::new(),
        wire: BTreeMap::new(),
        upkeep: None,
        is_tcp_hung: false,
        dead_letter: None,
        told: Vec::new(),
        ended: 0,
        events: 0,
        upstreams,
    }
}

impl Network {
    pub(super) fn upstream(&self, position: usize) -> UpstreamIndex {
        self.upstreams.indexes().nth(position).unwrap()
    }

    pub(super) fn ask(&mut self, label: u8, waiter: u32) -> Result<(), Failure> {
        self.ask_until(label, waiter, None)
    }

    pub(super) fn ask_until(
        &mut self,
        label: u8,
        waiter: u32,
        give_up_ms: Option<u64>,
    ) -> Result<(), Failure> {
        let give_up_at = give_up_ms.map(|ms| self.now + Duration::from_millis(ms));
        self.ask_for(&key(label), Asker::default(), waiter, give_up_at)
    }

    pub(super) fn ask_for(
        &mut self,
        key: &Key,
        asker: Asker,
        waiter: u32,
        give_up_at: Option<Instant>,
    ) -> Result<(), Failure> {
        let asked = self.flights.ask(key, asker, waiter, give_up_at, self.now);
        self.carry_out();
        asked.map_err(|(failure, back)| {
            assert_eq!(back, waiter);
            failure
        })
    }

    /// Lets time pass, with all that happens meanwhile.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let due = self.flights.poll_timeout();
            let upkeep = self
                .upkeep
                .as_ref()
                .map(|_| self.now + Duration::from_millis(1));
            let Some(next) = [arrival, due, upkeep].into_iter().flatten().min() else {
                break;
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            self.keep_up();
            if arrival == Some(next) {
                let (_, (attempt, sent, word)) = self.wire.pop_first().unwrap();
                self.deliver(attempt, sent, word);
            } else if due.is_some_and(|due| due <= next) {
                self.with_flights(|flights, now, done| flights.handle_timeout(now, done));
            }
            self.carry_out();
        }
        self.now = end;
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.now.duration_since(self.start).as_millis()).unwrap()
    }

    /// What one waiter was told, and how many ms after the start; it must have been told once.
    pub(super) fn told(&self, waiter: u32) -> (Told, u128) {
        let mut told = self.told.iter().filter(|(to, _, _)| *to == waiter);
        let (_, what, at) = told.next().expect("nothing told");
        assert!(told.next().is_none(), "told twice");
        (*what, at.duration_since(self.start).as_millis())
    }

    pub(super) fn deliver(&mut self, attempt: Attempt, sent: Instant, word: Word) {
        let Some((key, _)) = self.flights.question(attempt.flight) else {
            self.upstreams
                .answered(attempt.upstream, Asked::Question, sent, self.now);
            if let Word::Tcp(Some(rcode)) = word {
                let reply = Reply {
                    message: &mut [0; 12],
                    rcode: rcode.into(),
                    reason: None,
                };
                self.with_flights(|flights, now, done| {
                    flights.handle_tcp(attempt, Some(reply), now, done);
                });
            }
            return;
        };
        let mut message = query::build(key, 7, Edns::Without);
        message[2] |= 0x80;
        // Some servers change the case of letters.
        message[13].make_ascii_uppercase();
        match word {
            Word::Rcode(rcode) => message[3] = rcode,
            Word::Reason(rcode, reason) => {
                (message[3], message[11]) = (rcode, 1);
                message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0]);
                message.push(reason);
            }
            Word::Headless(rcode) => {
                (message[3], message[5]) = (rcode, 0);
                message.truncate(12);
            }
            Word::Truncated => message[2] |= 2,
            Word::Malformed => message[7] = 1,
            Word::Referral => {
                message[9] = 1;
                message.extend_from_slice(b"\0\0\x02\0\x01\0\0\0\x3c\0\x03\x01n\0");
            }
            Word::Unrelated => {
                message[7] = 1;
                message.extend_from_slice(b"\x01z\0\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x42");
            }
            Word::AliasLoop => {
                message[7] = 1;
                message.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c");
            }
            Word::Unreachable => {
                self.upstreams.refused(attempt.upstream, self.now);
                return self.with_flights(|flights, now, done| {
                    flights.handle_failure(attempt, now, done);
                });
            }
            Word::Tcp(rcode) => {
                message[3] = rcode.unwrap_or_default();
                return self.with_flights(|flights, now, done| {
                    let reply = rcode.map(|rcode| Reply {
                        message: &mut message,
                        rcode: rcode.into(),
                        reason: None,
                    });
                    flights.handle_tcp(attempt, reply, now, done);
                });
            }
        }
        message.extend_from_slice(b"behind");
        let response = response::read(&message, 7, key);
        self.upstreams
            .answered(attempt.upstream, Asked::Question, sent, self.now);
        self.with_flights(|flights, now, done| {
            flights.handle_reply(attempt, &mut message, response, now, done);
        });
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.flights.poll_command() {
            let (attempt, words) = match command {
                Command::Send(attempt) => {
                    let position = attempt.upstream.position();
                    self.asked[position] += 1;
                    let number = self.asked[position];
                    let ms = self.elapsed_ms();
                    self.sent.push((self.now, attempt));
                    (attempt, self.scripts[position](number, attempt.edns, ms))
                }
                Command::AskOverTcp(_) if self.is_tcp_hung => continue,
                // Answered over TCP if it is ever answered at all.
                Command::AskOverTcp(attempt) => (attempt, vec![(20, Word::Tcp(Some(NOERROR)))]),
            };
            let key = self.flights.question(attempt.flight).map(|(key, _)| *key);
            let letter = key.and_then(|key| key.name().get(1).copied());
            if self.dead_letter.is_some() && letter == self.dead_letter {
                continue;
            }
            for (delay_ms, word) in words {
                let at = self.now + Duration::from_millis(delay_ms);
                self.events += 1;
                self.wire
                    .insert((at, self.events), (attempt, self.now, word));
            }
        }
    }

    pub(super) fn with_flights(
        &mut self,
        act: impl FnOnce(&mut Flights<u32>, Instant, &mut Done<'_, u32>),
    ) {
        let (told, ended, now) = (&mut self.told, &mut self.ended, self.now);
        act(&mut self.flights, now, &mut |key, outcome, waiters| {
            let what = match outcome {
                Outcome::Answered(message) => {
                    assert_eq!(&message[12..12 + key.name().len()], key.name());
                    assert!(!message.ends_with(b"behind"));
                    Told::Rcode(message[3] & 0x0f)
                }
                Outcome::NotYet => Told::NotYet,
                Outcome::Failed(failure) => Told::Failed(failure),
            };
            *ended += usize::from(what != Told::NotYet);
            told.extend(waiters.map(|waiter| (waiter, what, now)));
        });
    }
}

/// For random events, whose words come from outside.
impl Network {
    /// Notes the attempts that were commanded; nothing answers them by itself.
    pub(super) fn note_attempts(&mut self, attempts: &mut Vec<Attempt>) {
        while let Some(command) = self.flights.poll_command() {
            let (Command::Send(attempt) | Command::AskOverTcp(attempt)) = command;
            attempts.push(attempt);
        }
    }

    /// Lets time pass in the steps that the flights ask for.
    pub(super) fn pass_and_note(&mut self, ms: u64, attempts: &mut Vec<Attempt>) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.flights.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.with_flights(|flights, now, done| flights.handle_timeout(now, done));
            self.note_attempts(attempts);
        }
        self.now = end;
    }

    pub(super) fn flip(&mut self, position: usize, up: bool) {
        let index = self.upstream(position);
        if up {
            self.upstreams
                .answered(index, Asked::Probe, self.now, self.now);
        } else {
            for _ in 0..crate::dns::upstream::MISSES_TO_GO_DOWN {
                self.upstreams.probe_missed(index, self.now, self.now);
            }
        }
    }
}
