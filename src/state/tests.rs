use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

fn drain(since_ms: u64, until_ms: Option<u64>) -> Drain {
    Drain {
        service: Some("resolver".into()),
        who: "ops".into(),
        reason: "new kernel".into(),
        since_ms,
        until_ms,
    }
}

fn state() -> State {
    State {
        version: VERSION,
        running: true,
        pid: 17,
        targets: vec![Target {
            service: "resolver".into(),
            family: "ipv4".into(),
            faults_ms: vec![NOW_MS - 5_000],
            promotions_ms: vec![NOW_MS - 4_000, NOW_MS - 3_000],
        }],
        drains: vec![drain(NOW_MS - HOUR_MS, Some(NOW_MS + HOUR_MS))],
    }
}

fn believed(drain: Drain, now_ms: u64) -> Option<Drain> {
    let state = State {
        drains: vec![drain],
        ..State::default()
    };
    state.plausible(now_ms).drains.pop()
}

#[test]
fn the_file_is_written_as_documented_and_read_back() {
    let json = String::from_utf8(state().to_json().unwrap()).unwrap();
    let expected = concat!(
        r#"{"version":1,"running":true,"pid":17,"#,
        r#""targets":[{"service":"resolver","family":"ipv4","faults_ms":[1799999995000],"#,
        r#""promotions_ms":[1799999996000,1799999997000]}],"#,
        r#""drains":[{"service":"resolver","who":"ops","reason":"new kernel","#,
        r#""since_ms":1799996400000,"until_ms":1800003600000}]}"#,
        "\n"
    );
    assert_eq!(json, expected);
    assert_eq!(State::from_json(json.as_bytes()).unwrap(), state());
    assert_eq!(state().plausible(NOW_MS), state());
}

#[test]
fn a_file_of_an_older_or_a_newer_version_is_read_as_far_as_it_is_known() {
    let older = State::from_json(b"{\"running\":true,\"drains\":[{\"who\":\"ops\"}]}").unwrap();
    assert!(older.running && older.drains[0].who == "ops");
    let newer = br#"{"version":2,"running":false,"moods":["good"],"targets":[{"service":"resolver","family":"ipv6","mood":1}]}"#;
    let newer = State::from_json(newer).unwrap();
    assert_eq!((newer.version, newer.targets.len()), (2, 1));
    assert_eq!(State::from_json(b"{}").unwrap(), State::default());
}

#[test]
fn what_is_torn_huge_or_garbage_is_refused() {
    let whole = state().to_json().unwrap();
    for length in 0..whole.len() - 2 {
        assert!(State::from_json(&whole[..length]).is_err(), "{length}");
    }
    for garbage in [&b"\0\0\0\0"[..], b"[]x", b"{\"running\":1}", b"\xff\xfe"] {
        State::from_json(garbage).unwrap_err();
    }
    let mut padded = whole.clone();
    padded.resize(OCTETS_MAX, b' ');
    assert_eq!(State::from_json(&padded).unwrap(), state());
    padded.push(b' ');
    assert!(matches!(
        State::from_json(&padded),
        Err(StateError::TooLarge)
    ));
}

#[test]
fn what_is_written_always_fits_and_drains_go_last() {
    let mut large = state();
    large.targets = vec![
        Target {
            faults_ms: vec![NOW_MS; 1000],
            promotions_ms: vec![NOW_MS; 4000],
            ..large.targets[0].clone()
        };
        10
    ];
    let written = State::from_json(&large.to_json().unwrap()).unwrap();
    assert_eq!(written.targets.len(), 10);
    assert_eq!(written.targets[0].faults_ms.len(), FAULTS_MAX);
    assert_eq!(written.targets[0].promotions_ms.len(), PROMOTIONS_MAX);
    large.targets = vec![large.targets[0].clone(); 200];
    let written = State::from_json(&large.to_json().unwrap()).unwrap();
    assert_eq!(
        (written.targets, &written.drains),
        (Vec::new(), &large.drains)
    );
    large.drains = vec![
        Drain {
            reason: "\u{1}".repeat(200),
            ..large.drains[0].clone()
        };
        250
    ];
    let written = State::from_json(&large.to_json().unwrap()).unwrap();
    assert_eq!(written.drains.len(), 250);
}

#[test]
fn a_time_that_is_still_to_come_counts_as_now() {
    let mut early = state();
    early.targets[0].faults_ms = vec![NOW_MS + 1, NOW_MS - 1];
    let early = early.plausible(NOW_MS);
    assert_eq!(early.targets[0].faults_ms, [NOW_MS - 1, NOW_MS]);
}

#[test]
fn faults_of_another_day_are_forgotten() {
    let mut old = state();
    old.targets[0].faults_ms = vec![0, NOW_MS - MEMORY_MS - 1, NOW_MS - MEMORY_MS];
    let old = old.plausible(NOW_MS);
    assert_eq!(old.targets[0].faults_ms, [NOW_MS - MEMORY_MS]);
}

#[test]
fn a_drain_is_over_at_its_end_and_not_before() {
    let timed = drain(NOW_MS - HOUR_MS, Some(NOW_MS));
    assert_eq!(believed(timed.clone(), NOW_MS), None);
    assert_eq!(believed(timed.clone(), NOW_MS - 1), Some(timed));
    let endless = drain(0, None);
    assert_eq!(believed(endless.clone(), NOW_MS), Some(endless));
}

/// The clock stood wrong when the drain began, or stands wrong now.
#[test]
fn a_drain_never_lasts_longer_than_it_was_asked_for() {
    let timed = drain(NOW_MS, Some(NOW_MS + HOUR_MS));
    let back = believed(timed, NOW_MS - 5 * HOUR_MS).unwrap();
    assert_eq!(back.since_ms, NOW_MS - 5 * HOUR_MS);
    assert_eq!(back.until_ms, Some(NOW_MS - 4 * HOUR_MS));
    let absurd = drain(NOW_MS - HOUR_MS, Some(u64::MAX));
    let until_ms = believed(absurd, NOW_MS).unwrap().until_ms;
    assert_eq!(until_ms, Some(NOW_MS + DRAIN_MS_MAX));
    let reversed = drain(NOW_MS - 5, Some(NOW_MS - 10));
    assert_eq!(believed(reversed, NOW_MS).unwrap().until_ms, None);
}

#[test]
fn texts_from_the_file_command_nobody() {
    let mut hostile = drain(0, None);
    hostile.who = "\u{1b}[2J".repeat(100);
    hostile.reason = "a\nb".to_owned();
    let believed = believed(hostile, NOW_MS).unwrap();
    assert_eq!(believed.reason, "a\u{fffd}b");
    assert_eq!(believed.who.chars().count(), TEXT_CHARS_MAX);
    assert!(!believed.who.contains(char::is_control));
}

fn times() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(any::<u64>(), 0..400)
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = State::from_json(&octets);
    }

    #[test]
    fn no_change_of_a_file_makes_the_reader_panic(
        place in any::<proptest::sample::Index>(),
        octet in any::<u8>(),
        now_ms in any::<u64>(),
    ) {
        let mut json = state().to_json().unwrap();
        let place = place.index(json.len());
        json[place] = octet;
        if let Ok(read) = State::from_json(&json) {
            let _ = read.plausible(now_ms);
        }
    }

    #[test]
    fn what_is_believed_lies_in_the_past_and_ends_within_thirty_days(
        faults_ms in times(),
        promotions_ms in times(),
        since_ms in any::<u64>(),
        until_ms in any::<Option<u64>>(),
        now_ms in any::<u64>(),
    ) {
        let mut any = state();
        any.targets[0].faults_ms = faults_ms;
        any.targets[0].promotions_ms = promotions_ms;
        any.drains = vec![drain(since_ms, until_ms)];
        let believed = any.plausible(now_ms);
        let target = &believed.targets[0];
        for times in [&target.faults_ms, &target.promotions_ms] {
            prop_assert!(times.is_sorted() && times.len() <= PROMOTIONS_MAX);
            prop_assert!(times.iter().all(|at| *at <= now_ms && now_ms - at <= MEMORY_MS));
        }
        for drain in &believed.drains {
            prop_assert!(drain.since_ms <= now_ms);
            if let Some(until_ms) = drain.until_ms {
                prop_assert!(until_ms > now_ms && until_ms - now_ms <= DRAIN_MS_MAX);
            }
        }
        prop_assert_eq!(believed.clone().plausible(now_ms), believed, "once is enough");
    }
}
