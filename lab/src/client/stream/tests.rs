use super::*;

/// Nothing is really sent here.
fn stream(names: Names) -> Stream {
    Stream::with(Ipv4Addr::LOCALHOST.into(), names, 0, Vec::new()).unwrap()
}

fn sent_at(stream: &Stream, index: usize, sent_ms: u64) {
    stream.slots[index]
        .sent_us
        .store(sent_ms * 1000, Ordering::Relaxed);
    stream.sent.store(index + 1, Ordering::Release);
}

fn answer(stream: &Stream, index: u16) -> message::Answer {
    message::Answer {
        id: index,
        question: message::question(&stream.name(index.into()), stream.qtype),
        rcode: 0,
        addresses: vec![stream.expected(index.into())],
        nsid: Some("node1".to_owned()),
        errors: Vec::new(),
        keepalive: None,
    }
}

#[test]
fn an_answer_is_good_for_a_second_after_sending() {
    let stream = stream(Names::Cached);
    sent_at(&stream, 0, 100);
    sent_at(&stream, 1, 100);
    stream.note(&answer(&stream, 0), Duration::from_millis(1100));
    stream.note(&answer(&stream, 1), Duration::from_millis(1101));
    assert_eq!(stream.slots[0].good(), Some(Origin::First));
    assert_eq!(stream.slots[1].good(), None);
}

#[test]
fn wrong_content_an_error_and_silence_are_losses() {
    let stream = stream(Names::New);
    for index in 0..4 {
        sent_at(&stream, index, 10);
    }
    let now = Duration::from_millis(11);
    stream.note(
        &message::Answer {
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            ..answer(&stream, 0)
        },
        now,
    );
    stream.note(
        &message::Answer {
            rcode: 2,
            ..answer(&stream, 1)
        },
        now,
    );
    stream.note(
        &message::Answer {
            question: answer(&stream, 3).question,
            ..answer(&stream, 2)
        },
        now,
    );
    let samples = stream.samples(Duration::ZERO);
    assert_eq!(samples.len(), 4);
    assert!(samples.iter().all(|sample| !sample.is_good));
}

#[test]
fn the_first_answer_counts() {
    let stream = stream(Names::Cached);
    sent_at(&stream, 0, 10);
    let servfail = message::Answer {
        rcode: 2,
        ..answer(&stream, 0)
    };
    stream.note(&servfail, Duration::from_millis(11));
    stream.note(&answer(&stream, 0), Duration::from_millis(12));
    assert_eq!(stream.slots[0].good(), None);
}

#[test]
fn a_stream_is_steady_when_its_latest_answers_are_all_by_that_node() {
    let stream = stream(Names::Cached);
    for index in 0..40 {
        sent_at(&stream, index.into(), 5 * u64::from(index));
        let mut answer = answer(&stream, index);
        if index < 10 {
            answer.nsid = Some("node2".to_owned());
        }
        // The latest are still under way.
        if index < 32 {
            stream.note(&answer, Duration::from_millis(5 * u64::from(index) + 1));
        }
    }
    let is_first = |origin| origin == Origin::First;
    assert!(stream.is_steady(is_first, 20));
    assert!(!stream.is_steady(is_first, 21), "node2 was before");
    assert!(stream.is_steady(|_| true, 21), "whoever it was");
    assert!(!stream.is_steady(|origin| origin == Origin::Second, 1));
    assert_eq!(
        stream.first_from(Origin::First, Duration::from_millis(20)),
        Some(Duration::from_millis(50))
    );
}

#[test]
fn outcomes_keep_time_and_origin() {
    for origin in [Origin::Bad, Origin::First, Origin::Second, Origin::Unknown] {
        let at = Duration::from_micros(123_456);
        assert_eq!(unpack(pack(at, origin)), Some((at, origin)));
        assert!(unpack(pack(Duration::ZERO, origin)).is_some());
    }
    assert_eq!(unpack(0), None);
}

#[test]
fn only_the_zone_may_be_told_and_only_at_once() {
    for (names, told_ms, expected) in [
        (Names::OfZone, 300, Some(Origin::Told)),
        (Names::OfZone, 301, None),
        (Names::New, 200, None),
    ] {
        let stream = stream(names);
        sent_at(&stream, 0, 100);
        let mut answer = answer(&stream, 0);
        answer.rcode = SERVFAIL;
        answer.addresses.clear();
        answer.errors.push(22);
        stream.note(&answer, Duration::from_millis(told_ms));
        assert_eq!(stream.slots[0].good(), expected, "{names:?} {told_ms}");
    }
}

#[test]
fn the_last_loss_is_the_last_query_without_a_good_answer() {
    let stream = stream(Names::New);
    for index in 0..4 {
        sent_at(&stream, index, 100 * u64::try_from(index).unwrap());
    }
    for index in [0, 1, 3] {
        stream.note(&answer(&stream, index), Duration::from_millis(300));
    }
    let last = |since_ms| stream.last_lost(Duration::from_millis(since_ms));
    assert_eq!(last(0), Some(Duration::from_millis(200)));
    assert_eq!(last(201), None);
}

#[test]
fn what_one_port_lost_is_not_covered_by_the_others() {
    let stream = stream(Names::Cached);
    for index in 0..48 {
        sent_at(&stream, index, 5 * u64::try_from(index).unwrap());
        if index != 17 {
            let at = Duration::from_millis(5 * u64::try_from(index).unwrap() + 1);
            stream.note(&answer(&stream, u16::try_from(index).unwrap()), at);
        }
    }
    let gap_ms = |samples: &[Sample]| crate::loss::Loss::of(samples).gap_ms;
    assert!((gap_ms(&stream.samples(Duration::ZERO)) - 10.0).abs() < 1e-9);
    let ports = stream.samples_by_port(Duration::ZERO);
    assert!((gap_ms(&ports[1]) - 160.0).abs() < 1e-9);
    assert!((gap_ms(&ports[2]) - 80.0).abs() < 1e-9);
}
