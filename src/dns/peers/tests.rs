use proptest::prelude::*;

use super::*;
use crate::dns::answer::{self, Answer};
use crate::dns::code::Rcode;
use crate::dns::request::Request;

const NODE: u32 = 0x89AB_CDEF;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn board() -> Board {
    Board::new(&[ip("10.0.0.2"), ip("fd53::2")], 0).named(NODE)
}

fn key(name: &[u8], qtype: u16, qclass: u16) -> Key {
    Key::new(name, qtype, qclass, false, false).unwrap()
}

/// The answer to `question` with these records.
fn written(question: &Question, rcode: Rcode, sections: Option<Sections<'_>>) -> Vec<u8> {
    let message = question.message();
    let request = Request::parse(&message, &mut Key::empty()).unwrap();
    let answer = Answer {
        authoritative: true,
        sections,
        ..Answer::bare(rcode, None)
    };
    let mut out = Vec::new();
    assert!(!answer::write(&mut out, &request, 1232, b"node-1", &answer));
    out
}

fn told(board: &Board, client: &str) -> Option<Word> {
    let question = Question::new(7);
    let sections = board.answer(&question.key, ip(client))?;
    question.read(&written(&question, Rcode::NOERROR, Some(sections)))
}

/// RFC 1035 §4.1, RFC 6891 §6.1.2: the bytes on the wire.
#[test]
fn the_question_is_one_of_class_chaos_with_the_marker() {
    assert_eq!(
        Question::new(0x1234).message(),
        b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x04peer\x08sidestep\0\0\x10\0\x03\
          \0\0\x29\x04\xd0\0\0\0\0\0\x05\xfe\x1d\0\x01\x01"
    );
}

#[test]
fn words_are_written_like_this() {
    let nothing = Word::default().text();
    assert_eq!(nothing, "v=1 able=- heard=- preferred=-");
    let whole = Word {
        able: Some(true),
        heard: Some(false),
        preferred: Some(true),
        lowered: Some(0x10),
        node: Some(0xBC),
    };
    let text = "v=1 able=1 heard=0 preferred=1 low=00000010 n=000000bc";
    assert_eq!(whole.text(), text);
}

/// What nodes said before there was that word.
#[test]
fn an_older_node_does_not_say_whether_it_is_preferred() {
    let word = Word::parse(b"v=1 able=1 heard=0 n=000000bc");
    assert_eq!((word.able, word.preferred), (Some(true), None));
}

#[test]
fn siblings_are_told_whether_this_node_is_preferred() {
    let board = board();
    for preferred in [None, Some(false), Some(true)] {
        board.tell_preferred(preferred);
        for able in [None, Some(false), Some(true)] {
            board.tell_able(able);
            let word = told(&board, "10.0.0.2").unwrap();
            assert_eq!((word.able, word.preferred), (able, preferred));
            assert_eq!((word.heard, word.node), (None, Some(NODE)));
        }
    }
}

#[test]
fn siblings_are_told_which_services_are_not_preferred_as_long_as_there_is_room() {
    let board = board();
    let lowered = || told(&board, "10.0.0.2").unwrap().lowered;
    assert_eq!(lowered(), None);
    for _ in 0..2 {
        for set in 0..15 {
            board.tell_lowered(set);
            assert_eq!(lowered(), Some(set));
        }
    }
    board.tell_lowered(15);
    assert_eq!(lowered(), None);
    board.tell_lowered(3);
    assert_eq!(lowered(), Some(3));
}

#[test]
fn each_sibling_is_told_what_is_known_of_it() {
    let board = board();
    let word = |able, heard| {
        Some(Word {
            able,
            heard,
            preferred: None,
            lowered: None,
            node: Some(NODE),
        })
    };
    assert_eq!(told(&board, "10.0.0.2"), word(None, None));
    board.tell_able(Some(true));
    board.tell_heard(ip("::ffff:10.0.0.2"), Some(false));
    board.tell_heard(ip("10.0.0.9"), Some(true));
    assert_eq!(told(&board, "10.0.0.2"), word(Some(true), Some(false)));
    assert_eq!(told(&board, "fd53::2"), word(Some(true), None));
    board.tell_able(Some(false));
    board.tell_heard(ip("fd53::2"), Some(true));
    let mapped = told(&board, "::ffff:10.0.0.2");
    assert_eq!(mapped, word(Some(false), Some(false)));
    assert_eq!(told(&board, "fd53::2"), word(Some(false), Some(true)));
    assert_eq!(told(&board, "10.0.0.9"), None);
}

#[test]
fn no_other_question_has_this_answer() {
    let board = board();
    for (name, qtype, qclass) in [
        (NAME, 16, class::IN),
        (NAME, 255, class::CH),
        (NAME, 1, class::CH),
        (b"\x08sidestep\x00", 16, class::CH),
        (b"\x01a\x04peer\x08sidestep\x00", 16, class::CH),
    ] {
        let key = key(name, qtype, qclass);
        assert!(board.answer(&key, ip("10.0.0.2")).is_none());
    }
}

/// A node of another version, or one that has another list, is there all the same.
#[test]
fn a_refusal_and_words_of_another_version_show_that_somebody_answers() {
    let question = Question::new(7);
    let unknown = Some(Word::default());
    let refused = written(&question, Rcode::REFUSED, None);
    assert_eq!(question.read(&refused), unknown);
    let empty = written(&question, Rcode::NOERROR, None);
    assert_eq!(question.read(&empty), unknown);
    for text in [
        &b"v=2 able=1 heard=1"[..],
        b"",
        b"able=1 v=1",
        b"v=10 able=1",
    ] {
        let text = text_answer(text);
        let message = written(&question, Rcode::NOERROR, Some(text.lend()));
        assert_eq!(question.read(&message), unknown);
    }
}

#[test]
fn what_is_not_known_is_passed_over_and_the_first_word_holds() {
    for (text, able, heard, node) in [
        (
            &b"v=1 load=7 able=1 able=0 heard=0 n=00000001 n=00000002"[..],
            Some(true),
            Some(false),
            Some(1),
        ),
        (b"v=1 able=2 heard= n=0000001", None, None, None),
        (b"v=1  able=01 heard=1\xFF n=+0000001", None, None, None),
        (b"v=1 n=0000000\xC3 n=FFFFFFFF", None, None, Some(u32::MAX)),
    ] {
        let word = Word {
            able,
            heard,
            preferred: None,
            lowered: None,
            node,
        };
        assert_eq!(Word::parse(text), word);
    }
}

/// RFC 5452 §9.1.
#[test]
fn what_belongs_to_another_question_is_no_answer() {
    let question = Question::new(7);
    let board = board();
    let sections = board.answer(&question.key, ip("10.0.0.2"));
    let good = written(&question, Rcode::NOERROR, sections);
    assert!(question.read(&good).is_some());
    assert_eq!(Question::new(8).read(&good), None);
    for length in 0..good.len() {
        assert_eq!(question.read(&good[..length]), None, "{length}");
    }
    assert_eq!(question.read(&question.message()), None);
}

#[test]
fn a_node_is_known_by_its_name_and_its_addresses() {
    let (one, other) = ([ip("10.0.0.1")], [ip("10.0.0.2")]);
    assert_eq!(
        node_number("a", &one),
        node_number("a", &[ip("::ffff:10.0.0.1")])
    );
    assert_ne!(node_number("a", &one), node_number("a", &other));
    assert_ne!(node_number("a", &one), node_number("b", &one));
    assert_ne!(node_number("a", &one), node_number("a", &[]));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        flags: [Option<bool>; 3],
        lowered: Option<u32>,
        node: Option<u32>,
    ) {
        let [able, heard, preferred] = flags;
        let word = Word { able, heard, preferred, lowered, node };
        prop_assert_eq!(Word::parse(word.text().as_bytes()), word);
        prop_assert!(word.text().len() <= 54);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Word::parse(&text);
        let _ = Word::parse(&[b"v=1 ", &text[..]].concat());
    }

    #[test]
    fn no_message_makes_the_reader_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..100),
        at in 0..100_usize,
        change: u8,
    ) {
        let question = Question::new(7);
        let mut message = written(&question, Rcode::NOERROR, Some(text_answer(&tail).lend()));
        let _ = question.read(&message);
        if let Some(octet) = message.get_mut(at) {
            *octet = change;
        }
        let _ = question.read(&message);
        let _ = question.read(&tail);
        message.truncate(33);
        message.extend_from_slice(&tail);
        let _ = question.read(&message);
    }
}
