//! Random events: everybody is told exactly once, in time, and nothing grows beyond its bound.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::network::{NOERROR, REFUSED, SERVFAIL, Told, Word, client, network_of, silent};
use super::*;

const LIMITS: Limits = Limits {
    questions: 8,
    waiters: 17,
    tcp: 2,
    window: 3,
    deadline: Duration::from_secs(2),
};

#[derive(Clone, Debug)]
enum Event {
    /// A label, who, and after how many ms the waiter gives up.
    Ask(u8, Asker, Option<u64>),
    /// A label that nobody waits for.
    Refresh(u8),
    /// Something comes for one of the attempts ever made.
    Hear(usize, Word),
    Pass(u64),
    /// An upstream is found dead, or alive.
    Flip(usize, bool),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        3 => Just(Word::Rcode(NOERROR)),
        2 => Just(Word::Rcode(SERVFAIL)),
        1 => Just(Word::Rcode(REFUSED)),
        1 => Just(Word::Headless(1)),
        1 => Just(Word::Truncated),
        1 => Just(Word::Malformed),
        1 => Just(Word::Reason(SERVFAIL, 22)),
        1 => Just(Word::Reason(SERVFAIL, 6)),
        2 => Just(Word::Unreachable),
        1 => Just(Word::Tcp(Some(NOERROR))),
        1 => Just(Word::Tcp(None)),
    ]
}

fn asker() -> impl Strategy<Value = Asker> {
    (0..3_u8, 0..10_u8).prop_map(|(prefix, standing)| Asker {
        is_sibling: standing < 2,
        is_marked: standing < 3,
        ..client(prefix)
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..16_u8, asker(), proptest::option::of(0..2500_u64))
            .prop_map(|(label, asker, ms)| Event::Ask(b'a' + label, asker, ms)),
        1 => (0..16_u8).prop_map(|label| Event::Refresh(b'a' + label)),
        4 => (0..1000_usize, word()).prop_map(|(which, word)| Event::Hear(which, word)),
        4 => (0..400_u64).prop_map(Event::Pass),
        1 => (0..5_usize, any::<bool>()).prop_map(|(position, up)| Event::Flip(position, up)),
    ]
}

proptest! {
    #[test]
    fn everybody_is_told_once_and_in_time(events in proptest::collection::vec(event(), 1..150)) {
        let scripts = (0..5).map(|_| silent()).collect();
        let mut network = network_of(LIMITS, &[(vec![0], 3, 2)], scripts);
        let mut attempts: Vec<Attempt> = Vec::new();
        // Who waits, since when, and when it gives up.
        let mut waiting: BTreeMap<u32, (Instant, Option<Instant>)> = BTreeMap::new();
        for (event, waiter) in events.into_iter().chain([Event::Pass(2_100)]).zip(0..) {
            let now = network.now;
            match event {
                Event::Ask(label, asker, give_up_ms) => {
                    let give_up_at = give_up_ms.map(|ms| now + Duration::from_millis(ms));
                    let asked = network.flights.ask(&key(label), asker, waiter, give_up_at, now);
                    if asked.is_ok() {
                        waiting.insert(waiter, (now, give_up_at));
                    }
                }
                Event::Refresh(label) => {
                    let _ = network.flights.refresh(&key(label), now);
                }
                Event::Hear(which, word) => {
                    if let Some(attempt) = attempts.get(which % attempts.len().max(1)) {
                        network.deliver(*attempt, now, word);
                    }
                }
                Event::Pass(ms) => network.pass_and_note(ms, &mut attempts),
                Event::Flip(position, up) => {
                    // An answer and a probe of the same moment cancel each other out.
                    network.pass_and_note(1, &mut attempts);
                    network.flip(position, up);
                }
            }
            network.note_attempts(&mut attempts);
            for (waiter, what, at) in network.told.drain(..) {
                let known = waiting.remove(&waiter);
                prop_assert!(known.is_some(), "{waiter} was told twice");
                let (asked, give_up_at) = known.unwrap();
                prop_assert!(at <= asked + LIMITS.deadline + wheel::TICK);
                if what == Told::NotYet {
                    prop_assert!(give_up_at.is_some_and(|due| due <= at));
                }
            }
            let (flights, now) = (&network.flights, network.now);
            prop_assert!(flights.under_way() <= LIMITS.questions);
            prop_assert!(flights.waiting() <= LIMITS.waiters);
            prop_assert_eq!(flights.waiting(), waiting.len());
            for (asked, give_up_at) in waiting.values() {
                prop_assert!(now < *asked + LIMITS.deadline + wheel::TICK);
                prop_assert!(give_up_at.is_none_or(|due| now < due.max(*asked) + wheel::TICK * 2));
            }
        }
        assert_idle(&mut network);
        let flights = &network.flights;
        prop_assert_eq!(flights.lanes[0].window.inside(), 0);
        prop_assert_eq!(flights.queue.len(), 0);
        prop_assert_eq!(flights.places.used(), 0);
        prop_assert_eq!(flights.questions_of_siblings, 0);
    }
}
