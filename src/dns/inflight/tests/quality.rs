//! What is counted of the questions of a zone, and what is not.

use super::network::{
    NOERROR, Network, REFUSED, SERVFAIL, Script, Word, always, client, network_of, silent, unique,
};
use super::*;

/// Totals of the root after one question of a client to upstreams (and siblings) with these scripts.
fn counted(upstreams: Vec<Script>, siblings: Vec<Script>, asker: Asker) -> (u64, u64) {
    let mut network = node(upstreams, siblings);
    let _ = network.ask_for(&unique(1), asker, 1, None);
    network.pass(5000);
    network.upstreams.quality().totals(0)
}

fn node(upstreams: Vec<Script>, siblings: Vec<Script>) -> Network {
    let counts = [(vec![0], upstreams.len(), siblings.len())];
    let scripts = upstreams.into_iter().chain(siblings).collect();
    network_of(Limits::default(), &counts, scripts)
}

#[test]
fn an_answer_in_time_is_good_and_anything_else_has_failed() {
    let of = |word| counted(vec![always(word)], Vec::new(), client(1));
    assert_eq!(of(Word::Rcode(NOERROR)), (1, 0));
    assert_eq!(of(Word::Rcode(3)), (1, 0), "NXDOMAIN is an answer");
    for word in [
        Word::Rcode(SERVFAIL),
        Word::Rcode(REFUSED),
        Word::Reason(SERVFAIL, 22),
        Word::Referral,
        Word::Malformed,
        Word::Unreachable,
    ] {
        assert_eq!(of(word), (0, 1), "{word:?}");
    }
    assert_eq!(counted(vec![silent()], Vec::new(), client(1)), (0, 1));
    let late: Script = Box::new(|_, _, _| vec![(900, Word::Rcode(NOERROR))]);
    assert_eq!(counted(vec![late], Vec::new(), client(1)), (0, 1));
}

/// RFC 8914 §4.7 to §4.13: such verdicts are about the name.
#[test]
fn a_verdict_of_dnssec_is_neither_good_nor_failed() {
    for (reason, expected) in [(5, (0, 1)), (6, (0, 0)), (12, (0, 0)), (13, (0, 1))] {
        let script = always(Word::Reason(SERVFAIL, reason));
        assert_eq!(
            counted(vec![script], Vec::new(), client(1)),
            expected,
            "{reason}"
        );
    }
}

#[test]
fn what_another_upstream_mends_is_good() {
    let scripts = vec![always(Word::Rcode(SERVFAIL)), always(Word::Rcode(NOERROR))];
    assert_eq!(counted(scripts, Vec::new(), client(1)), (1, 0));
}

#[test]
fn refreshes_and_questions_of_other_nodes_count_nowhere() {
    let of = |asker| counted(vec![always(Word::Rcode(SERVFAIL))], Vec::new(), asker);
    let sibling = Asker {
        is_sibling: true,
        is_marked: true,
        ..client(1)
    };
    assert_eq!((of(sibling), of(Asker::default())), ((0, 0), (0, 0)));
    let mut network = node(vec![always(Word::Rcode(SERVFAIL))], Vec::new());
    assert!(network.flights.refresh(&unique(1), network.now));
    network.pass(5000);
    assert_eq!(network.upstreams.quality().totals(0), (0, 0));
}

#[test]
fn without_usable_upstreams_every_question_has_failed_and_siblings_mend_nothing() {
    let mut network = node(vec![silent()], Vec::new());
    network.flip(0, false);
    let refused = network.ask_for(&unique(1), client(1), 1, None);
    assert_eq!(refused, Err(Failure::NoneUsable));
    assert_eq!(network.upstreams.quality().totals(0), (0, 1));
    let mut network = node(vec![silent()], vec![always(Word::Rcode(NOERROR))]);
    network.flip(0, false);
    network.ask_for(&unique(1), client(1), 1, None).unwrap();
    network.pass(5000);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    assert_eq!(network.upstreams.quality().totals(0), (0, 1));
}

/// A flood is no fault of the upstreams.
#[test]
fn what_is_shed_or_waits_for_its_turn_has_not_failed() {
    let limits = Limits {
        questions: 2,
        ..Limits::default()
    };
    let mut network = network_of(
        limits,
        &[(vec![0], 1, 0)],
        vec![always(Word::Rcode(NOERROR))],
    );
    network.ask_for(&unique(1), client(1), 1, None).unwrap();
    network.ask_for(&unique(2), client(1), 2, None).unwrap();
    let refused = network.ask_for(&unique(3), client(1), 3, None);
    assert_eq!(refused, Err(Failure::Saturated));
    network.pass(5000);
    assert_eq!(network.upstreams.quality().totals(0), (2, 0));
}
