//! Races in simulated time; random events are in `tests/properties.rs`.

use super::super::exchange::response::Response;
use super::super::upstream::{Asked, FailureKind};
use super::*;

mod fairness;
mod ills;
mod network;
mod properties;
mod quality;
mod siblings;
mod turns;
mod upkeep;

use network::{
    FORMERR, NOERROR, Network, REFUSED, SERVFAIL, Script, Told, Word, always, client, key, network,
    silent, unique,
};

const TICK_MS: u128 = wheel::TICK.as_millis();

fn quiet(scripts: Vec<Script>) -> Network {
    network(Limits::default(), scripts)
}

/// The state after everything has ended, and after the last unanswered datagram was late.
fn assert_idle(network: &mut Network) {
    assert_eq!(network.flights.under_way(), 0);
    network.pass(1300);
    assert_eq!(network.flights.under_way(), 0);
    assert_eq!(network.flights.waiting(), 0);
    assert_eq!(network.flights.poll_timeout(), None);
    for status in network.upstreams.status() {
        assert_eq!(status.in_flight, 0);
    }
}

#[test]
fn identical_questions_share_one_exchange() {
    let mut network = quiet(vec![always(Word::Rcode(NOERROR))]);
    network.ask(b'a', 1).unwrap();
    network.ask(b'A', 2).unwrap();
    network.ask(b'b', 3).unwrap();
    assert_eq!(network.flights.under_way(), 2);
    assert_eq!(network.flights.waiting(), 3);
    network.pass(10);
    let who: Vec<_> = network.told.iter().map(|(who, ..)| *who).collect();
    assert_eq!((who, network.asked[0]), (vec![1, 2, 3], 2));
    assert_idle(&mut network);
    network.ask(b'a', 4).unwrap();
    assert_eq!(network.asked[0], 3);
}

#[test]
fn the_last_place_is_given_and_one_more_is_not() {
    let limits = Limits {
        questions: 2,
        ..Limits::default()
    };
    let mut network = network(limits, vec![always(Word::Rcode(NOERROR))]);
    network.ask(b'a', 1).unwrap();
    network.ask(b'b', 2).unwrap();
    assert_eq!(network.ask(b'c', 3), Err(Failure::Saturated));
    network.ask(b'a', 4).unwrap();
    assert_eq!(network.upstreams.saturated(), 1);
    network.pass(10);
    network.ask(b'c', 5).unwrap();
}

#[test]
fn waiters_are_bounded_over_all_questions() {
    let limits = Limits {
        waiters: 3,
        ..Limits::default()
    };
    let mut network = network(limits, vec![always(Word::Rcode(NOERROR))]);
    network.ask(b'a', 1).unwrap();
    network.ask(b'a', 2).unwrap();
    network.ask(b'b', 3).unwrap();
    assert_eq!(network.ask(b'a', 4), Err(Failure::Saturated));
    assert_eq!(network.ask(b'c', 5), Err(Failure::Saturated));
    network.pass(10);
    assert_eq!(network.told.len(), 3);
    network.ask(b'c', 6).unwrap();
}

#[test]
fn a_silent_first_upstream_costs_one_question_its_patience_and_no_other() {
    let mut network = quiet(vec![silent(), always(Word::Rcode(NOERROR))]);
    network.ask(b'a', 1).unwrap();
    network.pass(400);
    let (what, at_ms) = network.told(1);
    assert_eq!(what, Told::Rcode(NOERROR));
    assert!((310..=310 + TICK_MS).contains(&at_ms), "{at_ms} ms");
    for waiter in 2..20 {
        let asked_ms = network.now.duration_since(network.start).as_millis();
        network.ask(b'a', waiter).unwrap();
        network.pass(10);
        assert_eq!(network.told(waiter), (Told::Rcode(NOERROR), asked_ms + 10));
    }
    assert_eq!(network.asked[0], 1);
    assert_eq!(network.upstreams.status()[0].timeouts, 1);
    assert_idle(&mut network);
}

#[test]
fn two_silent_upstreams_are_asked_twice_and_given_up_at_the_deadline() {
    let mut network = quiet(vec![silent(), silent()]);
    network.ask(b'a', 1).unwrap();
    network.pass(3000);
    let (what, at_ms) = network.told(1);
    assert_eq!(what, Told::Failed(Failure::TimedOut));
    assert!((2000..=2000 + TICK_MS).contains(&at_ms), "{at_ms} ms");
    assert_eq!(network.asked, [2, 2]);
    assert_idle(&mut network);
}

/// Measured elsewhere: one fast SERVFAIL defeated a healthy server. Not here.
#[test]
fn an_error_gives_way_to_the_answer_of_another_upstream() {
    for word in [
        Word::Rcode(SERVFAIL),
        Word::Rcode(REFUSED),
        Word::Headless(SERVFAIL),
        Word::Malformed,
        Word::Unreachable,
    ] {
        let mut network = quiet(vec![always(word), always(Word::Rcode(NOERROR))]);
        network.ask(b'a', 1).unwrap();
        network.pass(20);
        assert_eq!(network.told(1), (Told::Rcode(NOERROR), 20), "{word:?}");
        assert_eq!(network.asked, [1, 1]);
        assert_idle(&mut network);
    }
}

/// RFC 2308 §2.2: a server that does not resolve refers. Once such an answer ended the race, and its
/// client got SERVFAIL.
#[test]
fn an_answer_of_no_use_gives_way_to_that_of_another_upstream() {
    for word in [Word::Referral, Word::Unrelated, Word::AliasLoop] {
        let mut network = quiet(vec![always(word), always(Word::Rcode(NOERROR))]);
        for (waiter, label) in (b'a'..b'm').enumerate() {
            let asked_ms = u128::from(network.elapsed_ms());
            let waiter = u32::try_from(waiter).unwrap();
            network.ask(label, waiter).unwrap();
            network.pass(20);
            let (what, at_ms) = network.told(waiter);
            assert_eq!(what, Told::Rcode(NOERROR), "{word:?}");
            assert!(at_ms <= asked_ms + 20, "{word:?}");
        }
        let lame = network.upstream(0);
        let unusable = network.upstreams.failures(lame, FailureKind::Unusable);
        // After eight it is asked last.
        assert_eq!((unusable, network.asked[1]), (8, 12), "{word:?}");
        assert_idle(&mut network);
    }
}

#[test]
fn an_answer_of_no_use_is_told_only_when_there_is_not_even_an_error() {
    for (first, second, end) in [
        (Word::Referral, Word::AliasLoop, End::Unusable),
        (Word::Referral, Word::Rcode(REFUSED), End::Answered(5)),
        (Word::Rcode(SERVFAIL), Word::Referral, End::Answered(2)),
    ] {
        let mut network = quiet(vec![always(first), always(second)]);
        network.ask(b'a', 1).unwrap();
        network.pass(20);
        network.told(1);
        let ends: Vec<_> = network.flights.recent_traces().map(|one| one.end).collect();
        assert_eq!(ends, [end]);
        assert_idle(&mut network);
    }
}

/// A SERVFAIL may carry a reason, REFUSED is a claim about us.
#[test]
fn the_best_error_is_handed_on_when_nothing_better_comes() {
    for (first, second, told) in [
        (SERVFAIL, SERVFAIL, SERVFAIL),
        (REFUSED, SERVFAIL, SERVFAIL),
        (SERVFAIL, REFUSED, SERVFAIL),
        (REFUSED, REFUSED, REFUSED),
    ] {
        let mut network = quiet(vec![
            always(Word::Rcode(first)),
            always(Word::Rcode(second)),
        ]);
        network.ask(b'a', 1).unwrap();
        network.pass(20);
        assert_eq!(network.told(1), (Told::Rcode(told), 20));
        assert_idle(&mut network);
    }
}

#[test]
fn an_error_beside_silence_is_handed_on_at_the_deadline() {
    let mut network = quiet(vec![always(Word::Rcode(SERVFAIL)), silent()]);
    network.ask(b'a', 1).unwrap();
    network.pass(2100);
    let (what, at_ms) = network.told(1);
    assert_eq!(what, Told::Rcode(SERVFAIL));
    assert!((2000..=2000 + TICK_MS).contains(&at_ms), "{at_ms} ms");
    assert_eq!(network.asked, [1, 2]);
}

#[test]
fn one_lost_datagram_is_made_good_by_a_repetition() {
    let mut network = quiet(vec![Box::new(|number, _, _| match number {
        1 => Vec::new(),
        _ => vec![(10, Word::Rcode(NOERROR))],
    })]);
    network.ask(b'a', 1).unwrap();
    network.pass(400);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    assert_eq!(network.asked, [2]);
    assert_idle(&mut network);
}

#[test]
fn late_and_doubled_answers_end_nothing_twice() {
    let slow = Box::new(|_, _, _| {
        vec![
            (350, Word::Rcode(SERVFAIL)),
            (350, Word::Rcode(NOERROR)),
            (350, Word::Truncated),
        ]
    });
    let mut network = quiet(vec![slow, always(Word::Rcode(NOERROR))]);
    network.ask(b'a', 1).unwrap();
    network.pass(320);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    // The place of the first question has another one while its late answers come.
    network
        .upstreams
        .overdue(network.upstream(1), Asked::Question, network.now);
    network.ask(b'b', 2).unwrap();
    network.pass(1000);
    assert_eq!(network.told.len(), 2);
    assert_eq!(network.ended, 2);
    assert_idle(&mut network);
}

/// The id of a question names nothing any more when it has ended, whoever has its place.
#[test]
fn an_answer_to_an_ended_question_never_ends_another() {
    let mut network = quiet(vec![silent()]);
    network
        .flights
        .ask(&key(b'a'), Asker::default(), 1, None, network.now)
        .unwrap();
    let Some(Command::Send(old)) = network.flights.poll_command() else {
        panic!("nothing sent");
    };
    network.pass(2100);
    network.ask(b'b', 2).unwrap();
    assert!(network.flights.question(old.flight).is_none());
    for word in [
        Word::Rcode(NOERROR),
        Word::Unreachable,
        Word::Tcp(Some(NOERROR)),
        Word::Tcp(None),
    ] {
        let sent = network.now;
        network.deliver(old, sent, word);
    }
    network.with_flights(|flights, now, done| {
        let read = Response::Complete {
            rcode: 0,
            length: 12,
            reason: None,
        };
        flights.handle_reply(old, &mut [0; 12], read, now, done);
        let reply = Reply {
            message: &mut [0; 12],
            rcode: 0,
            reason: None,
        };
        flights.handle_tcp(old, Some(reply), now, done);
        flights.handle_failure(old, now, done);
    });
    assert_eq!(network.told.len(), 1);
    assert_eq!(network.flights.under_way(), 1);
}

/// RFC 6891 §7.
#[test]
fn an_upstream_that_chokes_on_edns_is_asked_again_without() {
    for choke in [Word::Rcode(FORMERR), Word::Headless(FORMERR)] {
        let mut network = quiet(vec![Box::new(move |_, edns, _| {
            let with = edns == Edns::With;
            vec![(10, if with { choke } else { Word::Rcode(NOERROR) })]
        })]);
        network.ask(b'a', 1).unwrap();
        network.pass(20);
        assert_eq!(network.told(1), (Told::Rcode(NOERROR), 20));
        assert_eq!(network.upstreams.status()[0].queries, 1);
        assert_idle(&mut network);
    }
}

/// RFC 7766 §5.
#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let mut network = quiet(vec![always(Word::Truncated)]);
    network.ask(b'a', 1).unwrap();
    network.pass(30);
    assert_eq!(network.told(1), (Told::Rcode(NOERROR), 30));
    assert_idle(&mut network);
}

/// Whoever truncates is not silent: once such questions waited for half of the deadline.
#[test]
fn an_upstream_that_truncates_and_hangs_over_tcp_costs_its_patience_and_then_nothing() {
    let mut network = quiet(vec![always(Word::Truncated), always(Word::Rcode(NOERROR))]);
    network.is_tcp_hung = true;
    let ask = |network: &mut Network, waiter: u32| {
        let key = unique(waiter.into());
        network.ask_for(&key, client(7), waiter, None).unwrap();
    };
    // More than the budget would pay for.
    (0..40).for_each(|waiter| ask(&mut network, waiter));
    network.pass(430);
    for waiter in 0..40 {
        let (what, at_ms) = network.told(waiter);
        assert_eq!(what, Told::Rcode(NOERROR));
        assert!(at_ms <= 420 + TICK_MS, "{at_ms} ms");
    }
    for waiter in 40..140 {
        ask(&mut network, waiter);
        network.pass(20);
        assert_eq!(network.told(waiter).0, Told::Rcode(NOERROR));
    }
    // Beside the others TCP is asked all the time, and its first answer ends the suspicion.
    let lame = network.upstream(0).position();
    assert!(network.flights.streams[lame].is_suspected);
    network.is_tcp_hung = false;
    network
        .upstreams
        .overdue(network.upstream(1), Asked::Question, network.now);
    ask(&mut network, 200);
    network.pass(100);
    assert!(!network.flights.streams[lame].is_suspected);
}

/// RFC 8767 §5: the client gets an expired answer, the cache still gets the new one.
#[test]
fn who_gives_up_hears_so_in_time_and_the_question_goes_on() {
    let mut network = quiet(vec![Box::new(|_, _, _| vec![(500, Word::Rcode(NOERROR))])]);
    network.ask_until(b'a', 1, Some(200)).unwrap();
    network.ask(b'a', 2).unwrap();
    network.ask_until(b'a', 3, Some(100)).unwrap();
    network.ask_until(b'a', 4, Some(5000)).unwrap();
    network.pass(450);
    for (waiter, due_ms) in [(3, 100), (1, 200)] {
        let (what, at_ms) = network.told(waiter);
        assert_eq!(what, Told::NotYet);
        assert!((due_ms..=due_ms + TICK_MS).contains(&at_ms), "{at_ms} ms");
    }
    assert_eq!((network.flights.waiting(), network.ended), (2, 0));
    network.pass(50);
    assert_eq!(network.told(2).0, Told::Rcode(NOERROR));
    assert_eq!(network.told(4).0, Told::Rcode(NOERROR));
    assert_eq!(network.ended, 1);
    assert_idle(&mut network);
}

#[test]
fn a_question_that_all_have_given_up_still_has_its_outcome_told() {
    let mut network = quiet(vec![Box::new(|_, _, _| vec![(250, Word::Rcode(NOERROR))])]);
    network.ask_until(b'a', 1, Some(100)).unwrap();
    network.pass(200);
    assert_eq!(
        (network.flights.waiting(), network.flights.under_way()),
        (0, 1)
    );
    network.pass(50);
    assert_eq!((network.told.len(), network.ended), (1, 1));
    assert_idle(&mut network);
}

#[test]
fn a_question_waits_no_longer_once_all_upstreams_are_found_dead() {
    let mut network = quiet(vec![silent(), silent()]);
    network.ask(b'a', 1).unwrap();
    network.pass(400);
    for position in 0..2 {
        for _ in 0..crate::dns::upstream::MISSES_TO_GO_DOWN {
            let index = network.upstream(position);
            network
                .upstreams
                .probe_missed(index, network.now, network.now);
        }
    }
    network.pass(HOPE_CHECK.as_millis() as u64 + 5);
    assert_eq!(network.told(1).0, Told::Failed(Failure::NoneUsable));
    assert!(!network.flights.is_usable(&key(b'a')));
    assert_eq!(network.ask(b'b', 2), Err(Failure::NoneUsable));
    assert_idle(&mut network);
}
