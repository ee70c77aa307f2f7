//! Answers that are fetched again with nobody waiting: popular ones before they expire, and expired
//! ones whose refresh has failed (RFC 8767 §5).

use super::*;

/// The answer of these tests lives so long; the last tenth is fetched early.
const LIFETIME: Duration = Duration::from_secs(60);
const LATE: Duration = Duration::from_secs(55);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A worker that knows an answer that has been asked for.
fn popular() -> (Worker, Buffers, Instant) {
    let (worker, now) = (worker(), start());
    keep(&worker, response(&key(), 0, 1), now);
    let mut buffers = Buffers::default();
    assert!(!asked(&worker, &mut buffers, now, true));
    (worker, buffers, now)
}

fn asked_with(
    worker: &Worker,
    buffers: &mut Buffers,
    now: Instant,
    (usable, begins): (bool, bool),
    flags: u16,
) -> bool {
    let (message, mut out) = (query(NAME, 1, 1, flags), Vec::new());
    let client = (CLIENT, Transport::Udp);
    let step = worker.answer_now(&message, client, now, |_| usable, buffers, &mut out);
    assert!(matches!(step, Step::Reply), "{step:?}");
    assert_eq!(Message::from_vec(&out).unwrap().answers.len(), 1);
    assert_eq!(buffers.key, key());
    let refreshed = worker.refresh(buffers, now, |_, _| usable, |_| begins);
    assert!(buffers.refresh.is_none());
    refreshed
}

/// Answered at once; whether it is fetched again.
fn asked(worker: &Worker, buffers: &mut Buffers, now: Instant, usable: bool) -> bool {
    asked_with(worker, buffers, now, (usable, true), 0x0100)
}

#[test]
fn a_popular_answer_is_fetched_again_once_before_it_expires() {
    let (worker, mut buffers, now) = popular();
    assert!(!asked(&worker, &mut buffers, now + seconds(54), true));
    assert!(asked(&worker, &mut buffers, now + LATE, true));
    assert!(!asked(&worker, &mut buffers, now + LATE, true));
    assert_eq!(worker.counters().prefetches.value(), 1);
    assert_eq!(worker.counters().cache_hits.value(), 4);

    // Its next life is another one.
    keep(&worker, response(&key(), 0, 1), now + LATE);
    let late = now + LATE + LATE;
    assert!(asked(&worker, &mut buffers, late, true));
}

#[test]
fn nothing_is_fetched_early_without_a_budget() {
    let (worker, mut buffers, now) = popular();
    let late = now + LATE;
    while buffers.budget.suffices(late) {
        buffers.budget.spend();
    }
    assert!(!asked(&worker, &mut buffers, late, true));
    let earned = late + Duration::from_millis(100);
    assert!(asked(&worker, &mut buffers, earned, true));
}

#[test]
fn nothing_is_fetched_early_while_no_upstream_is_usable() {
    let (worker, mut buffers, now) = popular();
    assert!(!asked(&worker, &mut buffers, now + LATE, false));
    assert!(asked(&worker, &mut buffers, now + LATE, true));
}

/// What has not begun is not counted, costs nothing, and is left to the next one.
#[test]
fn what_finds_no_room_has_not_been_fetched() {
    let (worker, mut buffers, now) = popular();
    let (late, rd) = (now + LATE, 0x0100);
    while buffers.budget.suffices(late) {
        buffers.budget.spend();
    }
    (0..10).for_each(|_| buffers.budget.note_miss());
    for _ in 0..3 {
        assert!(!asked_with(&worker, &mut buffers, late, (true, false), rd));
    }
    assert_eq!(worker.counters().prefetches.value(), 0);
    assert!(asked(&worker, &mut buffers, late, true));
    assert!(!buffers.budget.suffices(late));
    assert_eq!(worker.counters().prefetches.value(), 1);
}

/// RFC 1034 §4.3.1: who does not desire recursion causes none.
#[test]
fn nothing_is_fetched_early_without_recursion_desired() {
    let (worker, mut buffers, now) = popular();
    assert!(!asked_with(
        &worker,
        &mut buffers,
        now + LATE,
        (true, true),
        0
    ));
    assert!(asked(&worker, &mut buffers, now + LATE, true));
}

#[test]
fn nothing_is_fetched_early_where_that_is_switched_off() {
    let mut settings = settings();
    settings.prefetch = false;
    let now = start();
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), now));
    let worker = Worker::new(0, shared).unwrap();
    keep(&worker, response(&key(), 0, 1), now);
    let mut buffers = Buffers::default();
    for second in 0..60 {
        buffers.budget.note_miss();
        assert!(!asked(&worker, &mut buffers, now + seconds(second), true));
    }
}

/// One client waits for the failure; from then on nobody does until it is over, and the upstreams
/// are asked every two seconds.
#[test]
fn an_expired_answer_is_tried_again_behind_the_backs_of_clients() {
    let (worker, mut buffers, now) = popular();
    let failed = now + LIFETIME;
    keep(&worker, Told::Failed(Failure::TimedOut), failed);
    for (after_ms, expected) in [
        (0, false),
        (1999, false),
        (2000, true),
        (2000, false),
        (3999, false),
        (4000, true),
    ] {
        let now = failed + Duration::from_millis(after_ms);
        assert_eq!(asked(&worker, &mut buffers, now, true), expected);
    }
    // While there is nobody to ask, nobody is.
    assert!(!asked(&worker, &mut buffers, failed + seconds(20), false));
    assert!(asked(&worker, &mut buffers, failed + seconds(20), true));
    assert_eq!(worker.counters().rechecks.value(), 3);

    let answered = failed + seconds(21);
    keep(&worker, response(&key(), 3, 0), answered);
    let (step, _) = ask_at(&worker, &query(NAME, 1, 1, 0x0100), CLIENT, answered);
    assert!(
        matches!(step, Step::Miss(_)),
        "that there is no such name is news"
    );
}

/// RFC 8767 §5: after thirty seconds of silence a client waits again, for there may be something.
#[test]
fn a_client_waits_again_when_the_failure_is_long_ago() {
    let (worker, mut buffers, now) = popular();
    let failed = now + LIFETIME;
    keep(&worker, Told::Failed(Failure::TimedOut), failed);
    let message = query(NAME, 1, 1, 0x0100);
    let held = failed + Duration::from_millis(29_999);
    let (step, _) = ask_at(&worker, &message, CLIENT, held);
    assert!(matches!(step, Step::Reply));
    // That one has asked again; nobody else does for so long.
    keep(&worker, Told::Failed(Failure::TimedOut), held);
    let (step, _) = ask_at(&worker, &message, CLIENT, held + seconds(30));
    assert!(matches!(step, Step::Miss(_)));
    assert!(!asked(&worker, &mut buffers, held, true));
}

/// An outage has marked the answer; then upstreams are well again, but a flood of others leaves no
/// room for what no client waits for. A client's question has its turn in spite of that.
#[test]
fn tries_that_find_no_room_do_not_keep_an_expired_answer_in_use() {
    let (worker, mut buffers, now) = popular();
    let failed = now + LIFETIME;
    keep(&worker, Told::Failed(Failure::TimedOut), failed);
    for after_ms in (0..30_000).step_by(100) {
        let now = failed + Duration::from_millis(after_ms);
        // Some find out only when they have claimed it.
        let may = after_ms % 1000 == 0;
        assert!(!asked_with(
            &worker,
            &mut buffers,
            now,
            (may, false),
            0x0100
        ));
    }
    assert_eq!(worker.counters().rechecks.value(), 0);
    let message = query(NAME, 1, 1, 0x0100);
    let (step, _) = ask_at(&worker, &message, CLIENT, failed + seconds(30));
    assert!(matches!(step, Step::Miss(_)), "{step:?}");
}
