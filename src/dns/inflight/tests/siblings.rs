//! The last resort: other nodes of the service.

use super::super::super::upstream::RATION_BURST;
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

/// RFC 9520 §3.2: that nobody has the name is worth remembering.
#[test]
fn two_siblings_that_cannot_help_are_asked_for_a_name_and_for_the_next_one_too() {
    for reason in REASONS {
        let refuses = || always(Word::Reason(SERVFAIL, reason));
        let mut network = node(vec![refuses(), refuses(), refuses()]);
        kill_upstreams(&mut network);
        for number in 1..=20_u32 {
            let asked = network.elapsed_ms();
            network
                .ask_for(&unique(number.into()), client(1), number, None)
                .unwrap();
            network.pass(30);
            let at = u128::from(asked) + 20;
            assert_eq!(
                network.told(number),
                (Told::Failed(Failure::Unanswered), at)
            );
            assert_eq!(asked_siblings(&network), 2 * number as usize);
        }
        assert!((2..5).all(|position| network.upstreams.is_dry(network.upstream(position))));
        assert_idle(&mut network);
    }
}

/// What clients want that come from another site whose upstreams are dead too.
#[test]
fn a_sibling_that_cannot_help_with_one_name_is_asked_for_those_that_it_has() {
    let refuses = || always(Word::Reason(SERVFAIL, 22));
    // The first that it is asked it has not, all others it has.
    let has_more: Script = Box::new(|number, _, _| {
        vec![if number == 1 {
            (10, Word::Reason(SERVFAIL, 22))
        } else {
            (10, Word::Rcode(NOERROR))
        }]
    });
    let mut network = node(vec![refuses(), has_more]);
    kill_upstreams(&mut network);
    network.ask(b'a', 1).unwrap();
    network.pass(30);
    assert_eq!(network.told(1).0, Told::Failed(Failure::Unanswered));
    for number in 2..100_u32 {
        network
            .ask_for(&unique(number.into()), client(1), number, None)
            .unwrap();
        network.pass(30);
        assert_eq!(network.told(number).0, Told::Rcode(NOERROR));
    }
    assert_idle(&mut network);
}

#[test]
fn when_the_rations_are_spent_new_names_fail_at_once_and_those_under_way_are_joined() {
    let mut network = node(vec![silent(), always(Word::Reason(SERVFAIL, 22))]);
    kill_upstreams(&mut network);
    let spend = |network: &Network, position: usize| {
        network
            .upstreams
            .sibling_refused(network.upstream(position));
        for _ in 0..RATION_BURST {
            let sibling = network.upstream(position);
            network.upstreams.take_share(sibling, network.now);
        }
    };
    spend(&network, 3);
    // The second sibling is not asked.
    network.ask(b'a', 1).unwrap();
    spend(&network, 2);
    assert_eq!(network.ask(b'b', 2), Err(Failure::NoneUsable));
    network.ask(b'a', 3).unwrap();
    assert_eq!(asked_siblings(&network), 1);
    network.pass(500);
    // By then there is room again.
    network.ask(b'b', 4).unwrap();
    network.pass(2100);
    let denied: u64 = network
        .upstreams
        .status()
        .iter()
        .map(|one| one.denied)
        .sum();
    assert_eq!(denied, 2, "one question, two siblings");
    assert_eq!(network.told(1).0, Told::Failed(Failure::TimedOut));
    assert_idle(&mut network);
}

/// Between the look at a ration and the question another worker may have spent the rest.
#[test]
fn a_sibling_whose_ration_is_spent_meanwhile_is_passed_over_and_the_question_ends() {
    let mut network = node(vec![
        always(Word::Reason(SERVFAIL, 22)),
        always(Word::Reason(SERVFAIL, 22)),
    ]);
    kill_upstreams(&mut network);
    network.ask(b'a', 1).unwrap();
    for position in 2..4 {
        network
            .upstreams
            .sibling_refused(network.upstream(position));
        for _ in 0..RATION_BURST {
            let sibling = network.upstream(position);
            network.upstreams.take_share(sibling, network.now);
        }
    }
    network.now += Duration::from_micros(10);
    network.pass(0);
    assert_eq!(asked_siblings(&network), 1);
    assert!(network.now < network.start + Duration::from_millis(1));
    network.pass(2100);
    assert_eq!(network.told(1).0, Told::Failed(Failure::Unanswered));
    assert_idle(&mut network);
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
