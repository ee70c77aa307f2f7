//! Which upstreams are asked without EDNS, and for how long.

use super::super::fallback::{SILENCES, STRIKES, TRIALS};
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

#[test]
fn silence_alone_never_leads_to_plain_questions_for_good() {
    let mut world = world(false, false);
    world.dialect.unanswered(SILENCES - 1, world.now);
    assert_eq!(world.choose(Edns::With).edns, Edns::With);
    world.dialect.unanswered(1000, world.now);
    let trials: Vec<_> = (0..4).map(|_| world.choose(Edns::With).edns).collect();
    let every_second = [Edns::Without, Edns::With, Edns::Without, Edns::With];
    assert_eq!(trials, every_second);
    // It is back.
    let sent = Sent {
        edns: Edns::With,
        has_cookie: false,
        case: None,
    };
    world.judge_for(Edns::With, sent, &answer(SERVFAIL));
    for _ in 0..4 {
        assert_eq!(world.choose(Edns::With).edns, Edns::With);
    }
}

#[test]
fn silence_to_edns_beside_answers_without_is_believed() {
    let mut world = world(false, false);
    let plain = Sent {
        edns: Edns::Without,
        has_cookie: false,
        case: None,
    };
    world.dialect.unanswered(SILENCES, world.now);
    for _ in 0..TRIALS - 1 {
        world.judge_for(Edns::With, plain, &answer(0));
    }
    world.dialect.unanswered(TRIALS, world.now);
    assert_eq!(world.dialect.take_turned_off(), None);
    world.judge_for(Edns::With, plain, &answer(0));
    world.dialect.unanswered(0, world.now);
    assert_eq!(world.dialect.take_turned_off(), Some(Part::Edns));
    assert_eq!(world.choose(Edns::With).edns, Edns::Without);
    assert_eq!(world.choose(Edns::With).edns, Edns::Without);
}
