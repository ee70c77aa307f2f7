//! Hedges, fail-overs, verdicts and what is told about them.

use super::network::{
    NOERROR, Network, REFUSED, SERVFAIL, Script, Told, Word, always, client, key, named, network,
    silent, unique,
};
use super::trace::{Came, STEPS_MAX, TRACES_MAX, Why};
use super::*;

/// RCODE of a name that does not exist.
const NXDOMAIN: u8 = 3;
const YXDOMAIN: u8 = 6;

fn quiet(scripts: Vec<Script>) -> Network {
    network(Limits::default(), scripts)
}

/// A network whose first upstream has answered a hundred questions, after 10 or 30 ms each.
fn settled(first: Script, second: Script) -> Network {
    let mut first = first;
    let known: Script = Box::new(move |number, edns, ms| match number {
        1..=100 => vec![(if number % 2 == 0 { 10 } else { 30 }, Word::Rcode(NOERROR))],
        _ => first(number, edns, ms),
    });
    let mut network = quiet(vec![known, second]);
    for number in 0..100 {
        network
            .ask_for(&unique(number), client(1), 1000, None)
            .unwrap();
        network.pass(40);
    }
    network.told.clear();
    network.sent.clear();
    network
}

/// Which upstreams were asked, and after how many ms.
fn sent(network: &Network) -> Vec<(usize, u128)> {
    let sent = network.sent.iter();
    let first = sent.clone().map(|(at, _)| *at).min().unwrap();
    sent.map(|(at, attempt)| {
        let ms = at.duration_since(first).as_millis();
        (attempt.upstream.position(), ms)
    })
    .collect()
}

#[test]
fn a_slow_answer_is_hedged_when_it_takes_longer_than_usual() {
    let slow: Script = Box::new(|_, _, _| vec![(100, Word::Rcode(NOERROR))]);
    let mut network = settled(slow, always(Word::Rcode(NOERROR)));
    let usual = network
        .flights
        .upstreams
        .hedge_after(network.upstream(0))
        .as_millis();
    assert!((20..=60).contains(&usual), "{usual} ms");
    network.ask(b'a', 1).unwrap();
    network.pass(99);
    let (what, _) = network.told(1);
    assert_eq!(what, Told::Rcode(NOERROR));
    let sent = sent(&network);
    assert_eq!((sent[0], sent[1].0), ((0, 0), 1));
    assert!(
        (usual..=usual + TICK_MS + 1).contains(&sent[1].1),
        "{sent:?}"
    );
    let counters = network.flights.counters();
    assert_eq!(
        (counters.hedges.value(), counters.failovers.value()),
        (1, 0)
    );
}

/// Others are answered meanwhile, so that the upstream is not silent: it has lost this one.
#[test]
fn a_hedge_needs_budget_and_half_of_the_time_does_not() {
    let loses_one: Script = Box::new(|number, _, _| match number {
        101 => Vec::new(),
        _ => vec![(10, Word::Rcode(NOERROR))],
    });
    let mut network = settled(loses_one, always(Word::Rcode(NOERROR)));
    network.ask(b'a', 1).unwrap();
    for number in 0..100 {
        let name = unique(1000 + number);
        network.ask_for(&name, client(1), 5000, None).unwrap();
        while network.flights.lanes[0].budget.spend(network.now) {}
        network.pass(10);
        assert!(network.told.iter().all(|(waiter, ..)| *waiter != 1));
    }
    network.pass(50 + 10 + 5);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    let counters = network.flights.counters();
    assert_eq!(
        (counters.hedges.value(), counters.failovers.value()),
        (0, 0)
    );
    assert_eq!(
        (counters.hedges_denied.value(), counters.overtime.value()),
        (1, 1)
    );
}

#[test]
fn a_silent_upstream_is_failed_over_from_without_budget() {
    let mut network = settled(silent(), always(Word::Rcode(NOERROR)));
    while network.flights.lanes[0].budget.spend(network.now) {}
    network.ask(b'a', 1).unwrap();
    network.pass(500);
    let patience = network.upstreams.patience(network.upstream(0));
    let (what, _) = network.told(1);
    assert_eq!(what, Told::Rcode(NOERROR));
    let sent = sent(&network);
    assert_eq!((sent.len(), sent[1].0), (2, 1));
    let late = patience.as_millis();
    assert!(sent[1].1 <= late + 60, "{sent:?}, {late} ms");
    assert_eq!(network.flights.counters().failovers.value(), 1);
}

/// The first late question tells of the silence although another upstream has answered it.
#[test]
fn a_hedge_that_wins_does_not_hide_that_the_first_is_silent() {
    let mut network = settled(silent(), always(Word::Rcode(NOERROR)));
    network.ask(b'a', 1).unwrap();
    network.pass(60);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    network.pass(500);
    assert!(network.upstreams.is_silent(network.upstream(0)));
    assert_eq!(network.upstreams.status()[0].timeouts, 1);
    assert_eq!(network.flights.poll_timeout(), None);
}

#[test]
fn names_that_do_not_exist_end_a_question_at_once() {
    for rcode in [NOERROR, NXDOMAIN, YXDOMAIN] {
        let mut network = quiet(vec![always(Word::Rcode(rcode)), silent()]);
        network.ask(b'a', 1).unwrap();
        network.pass(10);
        assert_eq!(network.told(1), (Told::Rcode(rcode), 10));
        assert_eq!(network.asked, [1, 0]);
    }
}

/// RFC 8914 §4.7 (DNSSEC Bogus) to §4.13 (NSEC Missing); just outside, an error is an error.
#[test]
fn a_verdict_of_dnssec_ends_a_question_and_other_reasons_do_not() {
    for reason in 4..=14 {
        let second = always(Word::Rcode(NOERROR));
        let mut network = quiet(vec![always(Word::Reason(SERVFAIL, reason)), second]);
        network.ask(b'a', 1).unwrap();
        network.pass(30);
        let is_verdict = (6..=12).contains(&reason);
        let expected = if is_verdict {
            (SERVFAIL, 10)
        } else {
            (NOERROR, 20)
        };
        assert_eq!(
            network.told(1),
            (Told::Rcode(expected.0), expected.1),
            "{reason}"
        );
    }
    // REFUSED is no verdict about a name.
    let mut network = quiet(vec![
        always(Word::Reason(REFUSED, 6)),
        always(Word::Rcode(NOERROR)),
    ]);
    network.ask(b'a', 1).unwrap();
    network.pass(30);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
}

/// RFC 9520 §3.2: such a failure is worth remembering, in contrast to one without any question.
#[test]
fn upstreams_that_give_nothing_usable_leave_a_question_unanswered() {
    for word in [
        Word::Headless(SERVFAIL),
        Word::Headless(REFUSED),
        Word::Malformed,
        Word::Tcp(None),
    ] {
        let mut network = quiet(vec![always(word), always(word)]);
        network.ask(b'a', 1).unwrap();
        network.pass(40);
        assert_eq!(
            network.told(1).0,
            Told::Failed(Failure::Unanswered),
            "{word:?}"
        );
        assert_idle(&mut network);
    }
    let mut network = quiet(Vec::new());
    assert_eq!(network.ask(b'a', 1), Err(Failure::NoneUsable));
}

/// One prefix and one domain never open a breaker, whatever they have answered: the evidence says
/// whose question it was.
#[test]
fn contradicted_errors_of_many_clients_and_domains_open_a_breaker_and_those_of_one_do_not() {
    for (is_one, is_up) in [(true, true), (false, false)] {
        let mut network = quiet(vec![
            always(Word::Rcode(SERVFAIL)),
            always(Word::Rcode(NOERROR)),
        ]);
        // Whoever is contradicted is asked last for 3 s: the evidence takes its time.
        for number in 0..2400_u32 {
            let (prefix, domain) = if is_one {
                (1, 1)
            } else {
                (number % 50, number % 40)
            };
            let name = named(&format!("n{number}"), &format!("d{domain}"));
            let asker = client(u8::try_from(prefix).unwrap());
            network.ask_for(&name, asker, number, None).unwrap();
            network.pass(5);
        }
        network.pass(100);
        assert_eq!(network.upstreams.is_up(network.upstream(0)), is_up);
        assert!(
            network
                .told
                .iter()
                .all(|(_, what, _)| *what == Told::Rcode(NOERROR))
        );
    }
}

#[test]
fn the_steps_of_a_question_can_be_seen() {
    let mut network = quiet(vec![silent(), always(Word::Truncated)]);
    network.flights.trace_next(&key(b'a'));
    network.ask(b'a', 1).unwrap();
    network.pass(1000);
    let trace = network.flights.take_trace().unwrap();
    assert!(network.flights.take_trace().is_none());
    assert_eq!(trace.key, key(b'a'));
    let steps: Vec<_> = trace
        .steps
        .iter()
        .map(|step| (step.upstream.position(), step.why))
        .collect();
    assert_eq!(steps, [(0, Why::First), (1, Why::FailOver), (1, Why::Tcp)]);
    let came: Vec<_> = trace.steps.iter().map(|step| step.came).collect();
    let answered = Came::Answered {
        rcode: 0,
        reason: None,
    };
    assert_eq!(came, [Came::Late, Came::Truncated, answered]);
    let text = trace.describe(&network.upstreams).to_string();
    assert!(
        text.starts_with("a. type 1 class 1: answered (rcode 0) after 3"),
        "{text}"
    );
    assert!(
        text.contains("192.0.2.2:53 over tcp: rcode 0 at 3"),
        "{text}"
    );
    // A second one is not kept unless somebody wants it, or it is slow or fails.
    network.ask(b'b', 2).unwrap();
    network.pass(100);
    assert_eq!(network.flights.recent_traces().count(), 0);
}

#[test]
fn the_last_failures_are_kept_and_no_more() {
    let mut network = quiet(vec![always(Word::Rcode(SERVFAIL))]);
    for number in 0..u64::try_from(TRACES_MAX).unwrap() + 5 {
        network
            .ask_for(&unique(number), client(1), 1, None)
            .unwrap();
        network.pass(20);
    }
    let kept: Vec<_> = network.flights.recent_traces().collect();
    assert_eq!(kept.len(), TRACES_MAX);
    assert_eq!(kept[0].key, unique(5));
    assert!(
        kept.iter()
            .all(|trace| trace.end == End::Answered(SERVFAIL.into()))
    );
    assert!(STEPS_MAX > kept[0].steps.count());
}

/// Waiters for one question are bounded: just before, at and after the limit.
#[test]
fn one_popular_name_does_not_take_all_waiters() {
    let limits = Limits {
        waiters: 4096,
        ..Limits::default()
    };
    let mut network = network(limits, vec![silent()]);
    for waiter in 0..256 {
        let asker = client(u8::try_from(waiter % 200).unwrap());
        network.ask_for(&key(b'a'), asker, waiter, None).unwrap();
    }
    let refused = network.ask_for(&key(b'a'), client(3), 256, None);
    assert_eq!(refused, Err(Failure::Saturated));
    network.ask_for(&key(b'b'), client(3), 257, None).unwrap();
    assert_eq!(network.flights.counters().waiters_refused.value(), 1);
    network.pass(2100);
    assert_eq!(network.told.len(), 257);
    assert_idle(&mut network);
}
