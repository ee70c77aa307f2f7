use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use proptest::prelude::*;

use super::*;
use crate::dns::identity::ProbeName;
use crate::dns::peers::{Question, Word};
use crate::dns::request::Transport;
use crate::dns::serve::tests::{CLIENT, STRANGER, query, rcode};
use crate::dns::serve::{Buffers, Step};
use crate::dns::shared::Shared;
use crate::dns::shared::tests::{settings, start};

const NAME: &[u8] = b"\x04peer\x08sidestep\x00";
const MARKED: &[u8] = b"\xFE\x1D\x00\x01\x01";

/// A worker with one sibling.
fn worker() -> Worker {
    let shared = Shared::new(&settings(), ProbeName::new([7; 16]), start());
    let shared = shared.with_siblings([STRANGER]).with_node(5);
    Worker::new(0, Arc::new(shared)).unwrap()
}

fn asking(qtype: u16, qclass: u16, options: &[u8]) -> Vec<u8> {
    let mut message = query(NAME, qtype, qclass, 0x0100);
    message.pop();
    message.push(u8::try_from(options.len()).unwrap());
    message.extend_from_slice(options);
    message
}

fn ask(worker: &Worker, message: &[u8], client: IpAddr) -> (Step, Vec<u8>) {
    let (mut buffers, mut out) = (Buffers::default(), Vec::new());
    let client = (client, Transport::Udp);
    let step = worker.answer_now(message, client, start(), |_| true, &mut buffers, &mut out);
    (step, out)
}

#[test]
fn a_sibling_is_told_how_this_node_is_and_no_counter_of_clients_sees_it() {
    let worker = worker();
    worker.shared().peers().tell_able(Some(true));
    worker.shared().peers().tell_preferred(Some(true));
    worker.shared().peers().tell_heard(STRANGER, Some(false));
    let question = Question::new(99);
    let (step, out) = ask(&worker, &question.message(), STRANGER);
    assert!(matches!(step, Step::ProbeReply), "{step:?}");
    let word = Word {
        able: Some(true),
        heard: Some(false),
        preferred: Some(true),
        lowered: None,
        node: Some(5),
    };
    assert_eq!(question.read(&out), Some(word));
    let counters = worker.counters();
    assert_eq!(counters.peer_questions.value(), 1);
    assert_eq!(counters.queries_value(), 0);
    assert_eq!(counters.responses_value(), 0);
    assert_eq!(counters.sibling_queries.value(), 0);
    assert_eq!(counters.probes.value(), 0);
}

/// To everybody else it is an unknown name of class CH. RFC 4892 §2.
#[test]
fn nobody_else_is_told_and_a_refusal_is_worth_nothing_to_a_forger() {
    let worker = worker();
    let marked = Question::new(99).message();
    let unmarked = asking(16, 3, b"");
    for (message, client) in [
        (&marked, CLIENT),
        (&unmarked, CLIENT),
        (&unmarked, STRANGER),
    ] {
        let (step, out) = ask(&worker, message, client);
        assert!(matches!(step, Step::Reply), "{step:?}");
        let answer = Message::from_vec(&out).unwrap();
        assert_eq!(rcode(&answer), ResponseCode::Refused);
        assert!(answer.answers.is_empty());
        // The reason: RFC 8914 §2.
        assert!(out.len() <= message.len() + 6);
    }
    assert_eq!(worker.counters().peer_questions.value(), 0);
}

/// RFC 6891 §6.1.3: what its options mean is not known, the marker included.
#[test]
fn in_another_version_of_edns_nobody_is_a_sibling() {
    let worker = worker();
    let mut message = asking(16, 3, MARKED);
    let version = message.len() - MARKED.len() - 5;
    message[version] = 1;
    let (step, out) = ask(&worker, &message, STRANGER);
    assert!(matches!(step, Step::Reply), "{step:?}");
    let answer = Message::from_vec(&out).unwrap();
    assert_eq!(rcode(&answer), ResponseCode::Refused);
}

proptest! {
    /// No question of that class is passed on, whoever asks and however it is marked.
    #[test]
    fn what_is_asked_of_this_node_goes_nowhere(
        qtype: u16,
        is_sibling: bool,
        options in prop_oneof![
            Just(MARKED.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
        ],
    ) {
        let worker = worker();
        let client = if is_sibling { STRANGER } else { CLIENT };
        let (step, _) = ask(&worker, &asking(qtype, 3, &options), client);
        prop_assert!(!matches!(step, Step::Miss(_)));
    }
}
