//! Which upstreams are asked without EDNS, and for how long.

use std::ops::Range;

use super::super::fallback::{SILENCES, SILENT_MAX, SILENT_TIME, STRIKES, TRIALS};
use super::*;

const SERVFAIL: u16 = 2;
const NOTIMP: u16 = 4;
const BADVERS: u16 = 16;

/// RFC 6891 §7: FORMERR and NOTIMP of servers without EDNS, BADVERS of others.
#[test]
fn an_upstream_that_chokes_on_edns_is_asked_without_for_a_time() {
    for rcode in [FORMERR, NOTIMP, BADVERS] {
        let mut world = world(false, false);
        world.choke(rcode);
        assert_eq!(world.dialect.take_turned_off(), Some(Part::Edns));
        assert_eq!(world.choose(Edns::With).edns, Edns::Without);
        world.now += OFF_TIME - MS;
        assert_eq!(world.choose(Edns::With).edns, Edns::Without);
        world.now += MS;
        assert_eq!(world.choose(Edns::With).edns, Edns::With);
    }
}

#[test]
fn the_cookie_is_left_out_before_edns_is() {
    let mut world = world(false, true);
    assert!(world.choose(Edns::With).has_cookie);
    world.choke(FORMERR);
    assert_eq!(world.dialect.take_turned_off(), Some(Part::CookieOption));
    let sent = world.choose(Edns::With);
    assert_eq!((sent.edns, sent.has_cookie), (Edns::With, false));
    assert!(world.dialect.options(sent).is_empty());
    world.choke(FORMERR);
    assert_eq!(world.choose(Edns::With).edns, Edns::Without);
}

/// Otherwise EDNS would go with the cookie, although it was never tried without.
#[test]
fn many_complaints_at_a_time_count_as_one() {
    let mut world = world(false, true);
    let sent = world.choose(Edns::With);
    for _ in 0..50 {
        world.judge_for(Edns::With, sent, &answer(FORMERR));
    }
    for _ in 0..50 {
        world.judge(Edns::Without, &answer(0));
    }
    assert_eq!(world.choose(Edns::With).edns, Edns::With);
}

#[test]
fn an_error_that_stays_without_edns_says_nothing_about_edns() {
    let mut world = world(false, false);
    for rcode in [FORMERR, SERVFAIL] {
        world.judge(Edns::With, &answer(FORMERR));
        world.judge(Edns::Without, &answer(rcode));
    }
    assert_eq!(world.choose(Edns::With).edns, Edns::With);
}

/// One name that leads to FORMERR must not take the signatures from everybody.
#[test]
fn where_edns_has_worked_one_complaint_is_not_enough() {
    let mut world = world(false, false);
    world.judge(Edns::With, &answer(0));
    for _ in 1..STRIKES {
        world.choke(FORMERR);
    }
    world.judge(Edns::With, &answer(3));
    for _ in 1..STRIKES {
        world.choke(FORMERR);
    }
    assert_eq!(world.choose(Edns::With).edns, Edns::With);
    world.choke(FORMERR);
    assert_eq!(world.choose(Edns::With).edns, Edns::Without);
}

#[test]
fn a_sibling_is_never_asked_without_its_mark() {
    let mut world = world(false, true);
    world.choke(FORMERR);
    world.choke(FORMERR);
    assert_eq!(world.choose(Edns::With).edns, Edns::Without);
    assert_eq!(world.choose(Edns::Sibling).edns, Edns::Sibling);
}

/// The questions with these fingerprints are asked: with OPT they get no answer, without OPT one with
/// this RCODE. How many were put without.
fn ask_all(world: &mut World, fingerprints: Range<u64>, plain: Option<u16>) -> usize {
    let mut trials = 0;
    for fingerprint in fingerprints {
        let sent = world.choose_for(Edns::With, fingerprint);
        if sent.edns != Edns::Without {
            world.dialect.unanswered(fingerprint, world.now);
            continue;
        }
        trials += 1;
        if let Some(rcode) = plain {
            world.judge_of((Edns::With, fingerprint), sent, &answer(rcode));
        }
    }
    trials
}

#[test]
fn what_was_silent_with_edns_is_put_without_once_enough_was() {
    let mut world = world(false, false);
    assert_eq!(ask_all(&mut world, 0..SILENCES - 1, None), 0);
    assert_eq!(world.choose_for(Edns::With, 0).edns, Edns::With);
    assert_eq!(ask_all(&mut world, SILENCES - 1..SILENCES, None), 0);
    for fingerprint in 0..SILENCES {
        let sent = world.choose_for(Edns::With, fingerprint);
        assert_eq!(sent.edns, Edns::Without);
    }
    let other = world.choose_for(Edns::With, SILENCES);
    assert_eq!(other.edns, Edns::With);
    // It is back, if only with an error.
    world.judge_of((Edns::With, SILENCES), other, &answer(SERVFAIL));
    for fingerprint in 0..=SILENCES {
        let sent = world.choose_for(Edns::With, fingerprint);
        assert_eq!(sent.edns, Edns::With);
    }
}

#[test]
fn silence_to_edns_beside_good_answers_to_the_same_questions_without_is_believed() {
    let mut world = world(false, false);
    ask_all(&mut world, 0..SILENCES, Some(0));
    assert_eq!(ask_all(&mut world, 0..TRIALS - 1, Some(0)), 2);
    ask_all(&mut world, 100..200, Some(0));
    assert_eq!(world.dialect.take_turned_off(), None);
    assert_eq!(ask_all(&mut world, TRIALS - 1..TRIALS, Some(3)), 1);
    ask_all(&mut world, 200..201, Some(0));
    assert_eq!(world.dialect.take_turned_off(), Some(Part::Edns));
    assert_eq!(world.choose_for(Edns::With, 300).edns, Edns::Without);
}

/// Otherwise one name would do.
#[test]
fn a_question_that_was_answered_without_edns_is_no_second_trial() {
    let mut world = world(false, false);
    ask_all(&mut world, 0..SILENCES, Some(0));
    assert_eq!(ask_all(&mut world, 0..1, Some(0)), 1);
    for _ in 0..100 {
        assert_eq!(ask_all(&mut world, 0..1, Some(0)), 0);
    }
    assert_eq!(world.dialect.take_turned_off(), None);
}

/// A client that asks for names that nobody answers for, and for others in between, must not take the
/// signatures from all.
#[test]
fn dead_names_among_good_ones_do_not_turn_edns_off() {
    let mut world = world(false, false);
    ask_all(&mut world, 0..SILENCES, None);
    for round in 1..100 {
        // A dead one that is new, a dead one that is not, a good one.
        ask_all(&mut world, 100 * round..100 * round + 1, None);
        ask_all(&mut world, 0..1, None);
        let good = 100 * round + 50;
        let sent = world.choose_for(Edns::With, good);
        assert_eq!(sent.edns, Edns::With);
        world.judge_of((Edns::With, good), sent, &answer(0));
        ask_all(&mut world, 0..SILENCES, None);
    }
    assert_eq!(world.dialect.take_turned_off(), None);
}

/// An upstream that is silent while it looks for a dead name, and has given up on it when it is asked
/// again.
#[test]
fn errors_in_place_of_silence_say_nothing_about_edns() {
    let mut world = world(false, false);
    for _ in 0..10 {
        ask_all(&mut world, 0..20, Some(SERVFAIL));
    }
    assert_eq!(world.dialect.take_turned_off(), None);
    assert_eq!(world.choose_for(Edns::With, 99).edns, Edns::With);
}

#[test]
fn questions_that_are_not_asked_again_give_up_their_place_after_a_time() {
    let mut world = world(false, false);
    let places = u64::try_from(SILENT_MAX).unwrap();
    ask_all(&mut world, 0..places, None);
    world.now += SILENT_TIME - MS;
    ask_all(&mut world, 100..101, None);
    assert_eq!(world.choose_for(Edns::With, 100).edns, Edns::With);
    assert_eq!(world.choose_for(Edns::With, 0).edns, Edns::Without);
    world.now += MS;
    ask_all(&mut world, 100..101, None);
    assert_eq!(world.choose_for(Edns::With, 100).edns, Edns::Without);
}
