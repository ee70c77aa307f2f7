use super::super::client::PrefixLengths;
use super::super::shared::tests::start;
use super::*;

const ROOT: &[u8] = b"\x00";
const MS: Duration = Duration::from_millis(1);

fn key(host: &str, domain: &str) -> Key {
    let mut name = Vec::new();
    for label in [host, domain, "example"] {
        name.push(u8::try_from(label.len()).unwrap());
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    Key::new(&name, 1, 1, false, false).unwrap()
}

fn prefix(number: u8) -> Prefix {
    Prefix::of([10, 0, number, 1].into(), PrefixLengths::default())
}

/// Pairs with a question, as (place, good, failed).
fn pairs(quality: &Quality, zone: usize) -> Vec<(usize, u16, u16)> {
    let (mut pairs, mut times) = (vec![(0, 0); DOMAINS * PREFIXES], vec![0; TIMES]);
    quality.read(zone, &mut pairs, &mut times);
    let pairs = pairs.into_iter().enumerate();
    pairs
        .filter(|(_, pair)| *pair != (0, 0))
        .map(|(place, (good, failed))| (place, good, failed))
        .collect()
}

#[test]
fn workers_agree_on_who_is_who_and_are_added_up() {
    let quality = Quality::new([(ROOT, true)].into_iter(), start(), HashKey::numbered(1));
    let workers = [quality.join(), quality.join()];
    for (worker, took) in workers.iter().zip([Some(MS), None]) {
        for host in ["a", "b"] {
            let ended = Ended {
                key: &key(host, "d"),
                prefix: prefix(1),
                took,
            };
            quality.ended(worker, 0, ended, start());
        }
    }
    let [(_, good, failed)] = pairs(&quality, 0)[..] else {
        panic!("names of one domain are one pair");
    };
    assert_eq!((good, failed, quality.totals(0)), (2, 2, (2, 2)));
}

#[test]
fn an_answer_at_the_limit_is_in_time_and_a_later_one_is_not() {
    let quality = Quality::new([(ROOT, true)].into_iter(), start(), HashKey::numbered(1));
    let worker = quality.join();
    let end = |took| {
        let ended = Ended {
            key: &key("a", "d"),
            prefix: prefix(1),
            took: Some(took),
        };
        quality.ended(&worker, 0, ended, start());
        quality.totals(0)
    };
    assert_eq!(end(MS * 800), (1, 0));
    assert_eq!(end(MS * 801), (1, 1));
    quality.set_late_after(0, MS * 1500);
    assert_eq!(end(MS * 1500), (2, 1));
    assert_eq!(end(MS * 1501), (2, 2));
    let mut times = vec![0; TIMES];
    quality.read(0, &mut [], &mut times);
    assert_eq!(
        times.iter().sum::<u32>(),
        4,
        "late ones have their time too"
    );
}

#[test]
fn only_critical_zones_have_a_table_and_no_more_than_there_is_room_for() {
    let many = std::iter::repeat_n((ROOT, true), TABLES_MAX + 1);
    let quality = Quality::new(
        [(ROOT, false)].into_iter().chain(many),
        start(),
        HashKey::numbered(1),
    );
    let has_table = |zone| quality.has_table(zone);
    assert_eq!([0, 1, TABLES_MAX, TABLES_MAX + 1].map(has_table), {
        [false, true, true, false]
    });
    assert_eq!(quality.with_tables().count(), TABLES_MAX);
    let worker = quality.join();
    let ended = Ended {
        key: &key("a", "d"),
        prefix: prefix(1),
        took: None,
    };
    for zone in [0, 99] {
        quality.ended(&worker, zone, ended, start());
    }
    assert_eq!(
        (quality.totals(0), pairs(&quality, 0)),
        ((0, 1), Vec::new())
    );
    assert!(quality.failed_lately(0, start()).is_empty());
}

#[test]
fn failed_questions_are_kept_and_good_ones_are_not() {
    let quality = Quality::new([(ROOT, true)].into_iter(), start(), HashKey::numbered(1));
    let worker = quality.join();
    let begun = start();
    for (host, took, at_ms) in [
        ("a", Some(MS), 1),
        ("b", None, 2),
        ("c", Some(MS * 900), 99),
    ] {
        let ended = Ended {
            key: &key(host, host),
            prefix: prefix(1),
            took,
        };
        quality.ended(&worker, 0, ended, begun + MS * at_ms);
    }
    let kept = quality.failed_lately(0, begun + MS * 100);
    assert!(!kept.contains(&key("a", "a")) && kept.contains(&key("b", "b")));
}

#[test]
fn whoever_waits_hears_once_that_something_is_watched() {
    let quality = Quality::new([(ROOT, true)].into_iter(), start(), HashKey::numbered(1));
    let heard = || {
        let mut heard = std::pin::pin!(quality.changes().notified());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        Future::poll(heard.as_mut(), &mut cx).is_ready()
    };
    assert!(!heard() && !quality.is_watched(0));
    quality.watch(0, true);
    quality.watch(0, true);
    assert!(heard() && !heard() && quality.is_watched(0));
    quality.tell_witnesses(0, (8, 5));
    assert_eq!(quality.witnesses(0), (8, 5));
    quality.watch(0, false);
    assert!(heard() && !quality.is_watched(0));
    assert_eq!(
        (quality.witnesses(7), quality.is_watched(7)),
        ((0, 0), false)
    );
}
