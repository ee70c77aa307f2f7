use proptest::prelude::*;

use super::*;

const APEX: &[u8] = b"\x04corp\x07example\x00";

fn number(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).unwrap()
}

#[test]
fn a_name_comes_back_while_it_is_out_and_only_then() {
    let watch = LoopWatch::default();
    let name = name(number(0x0123_4567_89AB_CDEF), APEX).unwrap();
    assert_eq!(
        name,
        b"\x100123456789abcdef\x0dsidestep-loop\x04corp\x07example\x00"
    );
    assert!(!watch.comes_back(&name));
    watch.begin(number(0x0123_4567_89AB_CDEF));
    assert!(watch.comes_back(&name));
    assert!(watch.comes_back(&name));
    assert!(watch.end());
    assert!(!watch.comes_back(&name));
    assert!(!watch.end());
    assert_eq!(watch.returned(), 2);
}

#[test]
fn a_sighting_is_not_carried_over_to_the_next_name() {
    let watch = LoopWatch::default();
    watch.begin(number(1));
    assert!(watch.comes_back(&name(number(1), APEX).unwrap()));
    watch.begin(number(2));
    assert!(!watch.comes_back(&name(number(1), APEX).unwrap()));
    assert!(!watch.end());
}

#[test]
fn other_names_are_left_alone() {
    let watch = LoopWatch::default();
    watch.begin(number(u64::MAX));
    for other in [
        &b"\x00"[..],
        b"",
        b"\x10",
        b"\x10ffffffffffffffff",
        b"\x10ffffffffffffffff\x00",
        b"\x10ffffffffffffffff\x0dsidestep-loo_\x00",
        b"\x10fffffffffffffffe\x0dsidestep-loop\x00",
        b"\x10fffffffffffffffg\x0dsidestep-loop\x00",
        b"\x0fffffffffffffffff\x0dsidestep-loop\x00",
    ] {
        assert!(!watch.comes_back(other), "{}", other.escape_ascii());
    }
    assert!(watch.comes_back(b"\x10ffffffffffffffff\x0dsidestep-loop\x00"));
}

/// RFC 1035 §2.3.4.
#[test]
fn an_apex_that_leaves_no_room_is_not_asked_for() {
    let apex = |octets: usize| {
        let mut apex = Vec::new();
        let mut left = octets - 1;
        while left > 0 {
            let label = left.min(64) - 1;
            apex.push(u8::try_from(label).unwrap());
            apex.extend(std::iter::repeat_n(b'a', label));
            left -= label + 1;
        }
        apex.push(0);
        apex
    };
    assert_eq!(name(number(1), &apex(224)).unwrap().len(), 255);
    assert_eq!(name(number(1), &apex(225)), None);
}

#[test]
fn a_loop_is_told_once_and_gone_after_some_quiet_rounds() {
    let mut sightings = Sightings::default();
    assert_eq!(sightings.handle_round(false), None);
    assert_eq!(sightings.handle_round(true), Some(Change::Found));
    assert_eq!(sightings.handle_round(true), None);
    for _ in 1..QUIET_ROUNDS {
        assert_eq!(sightings.handle_round(false), None);
        assert!(sightings.is_looping());
    }
    assert_eq!(sightings.handle_round(false), Some(Change::Gone));
    assert!(!sightings.is_looping());
    assert_eq!(sightings.handle_round(true), Some(Change::Found));
}

proptest! {
    #[test]
    fn no_name_makes_the_watch_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let watch = LoopWatch::default();
        watch.begin(number(1));
        let _ = watch.comes_back(&bytes);
    }

    #[test]
    fn every_number_is_read_as_it_was_written(value in 1_u64..) {
        prop_assert_eq!(number_in(&name(number(value), APEX).unwrap()), Some(value));
    }
}
