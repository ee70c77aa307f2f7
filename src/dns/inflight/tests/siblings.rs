//! The last resort: other nodes of the service.

use super::network::{
    NOERROR, Network, SERVFAIL, Script, Told, Word, always, client, key, network_of, silent, unique,
};
use super::*;

/// Why a sibling cannot help: no reachable authority, network error. RFC 8914 §4.23 and §4.24.
const REASONS: [u8; 2] = [22, 23];

fn for_sibling() -> Asker {
    Asker {
        is_sibling: true,
        ..marked()
    }
}

/// A sibling that asks from an address that is not listed, or a client that plays one.
fn marked() -> Asker {
    Asker {
        is_marked: true,
        ..client(99)
    }
}

/// Two upstreams and siblings with these scripts.
fn node(siblings: Vec<Script>) -> Network {
    let count = siblings.len();
    let scripts = [silent(), silent()].into_iter().chain(siblings).collect();
    network_of(Limits::default(), &[(vec![0], 2, count)], scripts)
}

fn kill_upstreams(network: &mut Network) {
    for position in 0..2 {
        network.flip(position, false);
    }
}

fn asked_siblings(network: &Network) -> usize {
    network.asked[2..].iter().sum()
}

#[test]
fn siblings_are_asked_when_all_upstreams_are_dead_and_not_before() {
    let mut network = node(vec![
        always(Word::Rcode(NOERROR)),
        always(Word::Rcode(NOERROR)),
    ]);
    network.ask(b'a', 1).unwrap();
    network.pass(100);
    assert_eq!(asked_siblings(&network), 0);
    kill_upstreams(&mut network);
    // The question that is under way turns to a sibling, and so does a new one at once.
    let before = network.elapsed_ms();
    network.ask(b'b', 2).unwrap();
    network.pass(HOPE_CHECK.as_millis() as u64 + 20);
    assert_eq!(network.told(1).0, Told::Rcode(NOERROR));
    assert_eq!(
        network.told(2),
        (Told::Rcode(NOERROR), u128::from(before) + 10)
    );
    assert_eq!(asked_siblings(&network), 2);
    let edns: Vec<_> = network
        .sent
        .iter()
        .map(|(_, attempt)| attempt.edns)
        .collect();
    assert!(edns.ends_with(&[Edns::Sibling, Edns::Sibling]));
    assert!(!edns[..edns.len() - 2].contains(&Edns::Sibling));
    assert!(!network.flights.is_usable(&key(b'a')));
    assert_eq!(network.flights.counters().last_resort.value(), 2);
    assert_idle(&mut network);
}

#[test]
fn at_most_two_siblings_are_asked_once_each() {
    let mut network = node(vec![silent(), silent(), silent(), silent()]);
    kill_upstreams(&mut network);
    network.ask(b'a', 1).unwrap();
    network.pass(2100);
    assert_eq!(network.told(1).0, Told::Failed(Failure::TimedOut));
    assert_eq!(asked_siblings(&network), 2);
    assert!(network.asked.iter().all(|asked| *asked <= 1));
    assert_idle(&mut network);
}

#[test]
fn a_sibling_that_cannot_help_is_left_alone_and_the_next_one_is_asked() {
    for reason in REASONS {
        let refuses = || always(Word::Reason(SERVFAIL, reason));
        let mut network = node(vec![refuses(), refuses(), refuses()]);
        kill_upstreams(&mut network);
        network.ask(b'a', 1).unwrap();
        network.pass(30);
        assert_eq!(network.told(1), (Told::Failed(Failure::NoneUsable), 20));
        assert_eq!(asked_siblings(&network), 2);
        network.ask(b'b', 2).unwrap();
        network.pass(30);
        assert_eq!(network.told(2).0, Told::Failed(Failure::NoneUsable));
        assert_eq!(asked_siblings(&network), 3);
        // Nobody is left.
        assert_eq!(network.ask(b'c', 3), Err(Failure::NoneUsable));
        assert_idle(&mut network);
    }
}

#[test]
fn an_error_of_a_sibling_about_the_name_is_handed_on() {
    // EDE 0 is what a node says whose upstreams fail with this name.
    for word in [Word::Rcode(SERVFAIL), Word::Reason(SERVFAIL, 0)] {
        let mut network = node(vec![always(word)]);
        kill_upstreams(&mut network);
        network.ask(b'a', 1).unwrap();
        network.pass(30);
        assert_eq!(network.told(1).0, Told::Rcode(SERVFAIL));
        assert!(network.upstreams.is_up(network.upstream(2)));
    }
}

#[test]
fn a_question_of_a_sibling_never_goes_to_a_sibling() {
    for asker in [for_sibling(), marked()] {
        let mut network = node(vec![always(Word::Rcode(NOERROR))]);
        network.ask_for(&key(b'a'), asker, 1, None).unwrap();
        network.pass(10);
        kill_upstreams(&mut network);
        let refused = network.ask_for(&key(b'b'), asker, 2, None);
        assert_eq!(refused, Err(Failure::NoneUsable));
        network.pass(100);
        assert_eq!(network.told(1).0, Told::Failed(Failure::NoneUsable));
        assert_eq!(asked_siblings(&network), 0);
        assert_idle(&mut network);
    }
}

/// A client and a sibling want the same: the client's question goes on, the sibling's must not.
#[test]
fn a_sibling_that_has_joined_is_told_at_once_when_a_question_goes_to_siblings() {
    let mut network = node(vec![silent()]);
    network.ask_for(&key(b'a'), for_sibling(), 1, None).unwrap();
    network.ask(b'a', 2).unwrap();
    network.pass(10);
    kill_upstreams(&mut network);
    network.pass(60);
    assert_eq!(network.told(1).0, Told::Failed(Failure::NoneUsable));
    assert_eq!(
        (asked_siblings(&network), network.flights.waiting()),
        (1, 1)
    );
    let refused = network.ask_for(&key(b'a'), for_sibling(), 3, None);
    assert_eq!(refused, Err(Failure::NoneUsable));
    network.pass(2000);
    assert_eq!(network.told(2).0, Told::Failed(Failure::TimedOut));
    assert_idle(&mut network);
}

/// Its turn comes when the upstreams are dead, but siblings are not: whoever waits then counts, and
/// not who asked first.
#[test]
fn a_client_that_has_joined_a_siblings_question_in_the_queue_gets_the_last_resort() {
    for (first, second) in [(for_sibling(), client(1)), (client(1), for_sibling())] {
        let limits = Limits {
            window: 1,
            ..Limits::default()
        };
        let scripts = vec![silent(), silent(), always(Word::Rcode(NOERROR))];
        let mut network = network_of(limits, &[(vec![0], 2, 1)], scripts);
        for number in 0.. {
            if network.flights.lanes[0].window.is_full() {
                break;
            }
            let name = unique(number);
            network.ask_for(&name, for_sibling(), 9, None).unwrap();
        }
        for (asker, waiter) in [(first, 1), (second, 2)] {
            network.ask_for(&key(b'a'), asker, waiter, None).unwrap();
        }
        assert_eq!(network.flights.counters().queued.value(), 1);
        kill_upstreams(&mut network);
        network.pass(HOPE_CHECK.as_millis() as u64 + 20);
        for (asker, waiter) in [(first, 1), (second, 2)] {
            let expected = if asker.is_sibling {
                Told::Failed(Failure::NoneUsable)
            } else {
                Told::Rcode(NOERROR)
            };
            assert_eq!(network.told(waiter).0, expected);
        }
        assert_idle(&mut network);
    }
}

/// Between a look at siblings and the next one other workers may lose them all.
#[test]
fn a_question_that_could_not_begin_leaves_nothing_behind() {
    let mut network = node(vec![silent()]);
    kill_upstreams(&mut network);
    let (now, sibling) = (network.now, network.upstream(2));
    let flights = &mut network.flights;
    let zone = flights.zone_of(&key(b'a'));
    let place = flights.table.take_vacant(&key(b'a'), zone, now);
    assert!(flights.table[place].admit_siblings(&[sibling], SIBLINGS_MAX, now));
    flights.abandon(place);
    assert!(!flights.table[place].has_started());

    // Another question is under way when upstreams are lost the next time.
    network.ask(b'b', 1).unwrap();
    network.flip(2, false);
    network.pass(HOPE_CHECK.as_millis() as u64 + 20);
    assert_eq!(network.told(1).0, Told::Failed(Failure::NoneUsable));
    assert_eq!(network.told.len(), 1);
    assert_idle(&mut network);
}

/// A fifth: just before, at and after.
#[test]
fn siblings_take_a_fifth_of_all_places() {
    let limits = Limits {
        questions: 20,
        ..Limits::default()
    };
    let mut network = network_of(limits, &[(vec![0], 1, 0)], vec![silent()]);
    for number in 0..4 {
        network
            .ask_for(&key(b'a' + number), for_sibling(), number.into(), None)
            .unwrap();
    }
    let refused = network.ask_for(&key(b'z'), for_sibling(), 9, None);
    assert_eq!(refused, Err(Failure::Saturated));
    network.ask(b'z', 10).unwrap();
    // The marker alone gives no share in it, and takes none.
    network.ask_for(&key(b'x'), marked(), 13, None).unwrap();
    // Joining takes no place.
    network
        .ask_for(&key(b'z'), for_sibling(), 11, None)
        .unwrap();
    network.pass(2100);
    assert_eq!(network.told.len(), 7);
    network
        .ask_for(&key(b'y'), for_sibling(), 12, None)
        .unwrap();
    network.pass(2100);
    assert_idle(&mut network);
}
