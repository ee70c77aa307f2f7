use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dns::client::PrefixLengths;
use crate::dns::shared::tests::start;

const NONE: Option<NonZeroU32> = None;

/// No limits at all.
fn open() -> LimitSettings {
    LimitSettings {
        queries_per_second: NONE,
        responses_per_second: NONE,
        amplification: NONE,
        ..LimitSettings::default()
    }
}

fn one_worker(settings: &LimitSettings) -> Limiter {
    of_many(settings, 1)
}

fn of_many(settings: &LimitSettings, workers: usize) -> Limiter {
    Limiter::new(settings, NonZeroUsize::new(workers).unwrap(), start())
}

/// The prefix with this number.
fn client(number: u32) -> Prefix {
    let address = IpAddr::from(Ipv4Addr::from_bits(number << 8));
    Prefix::of(address, PrefixLengths::default())
}

/// A message about a name, with so many octets at least; `records` says whether it claims to have some.
fn message(name: &[u8], rcode: u8, records: u8, octets: usize) -> Vec<u8> {
    let mut message = vec![0, 1, 0x81, 0x80 | rcode, 0, 1, 0, records, 0, 0, 0, 0];
    message.extend_from_slice(name);
    message.extend_from_slice(&[0, 1, 0, 1]);
    message.resize(message.len().max(octets), 0);
    message
}

fn question() -> Vec<u8> {
    message(b"\x07example\x00", 0, 0, 0)
}

fn ask(limiter: &mut Limiter, client: Prefix, proof: Proof, now: Instant) -> Verdict {
    let seat = limiter.seat(client, now);
    limiter.judge(seat, proof, &question())
}

fn answer(limiter: &mut Limiter, client: Prefix, answer: &[u8], now: Instant) -> Verdict {
    let seat = limiter.seat(client, now);
    limiter.charge(seat, answer)
}

/// How many of `times` questions are served.
fn served(limiter: &mut Limiter, client: Prefix, times: usize, now: Instant) -> usize {
    let verdicts = (0..times).map(|_| ask(limiter, client, Proof::None, now));
    verdicts
        .filter(|verdict| *verdict == Verdict::Serve)
        .count()
}

#[test]
fn a_prefix_gets_a_second_of_questions_at_once_and_then_its_rate() {
    let settings = LimitSettings {
        queries_per_second: NonZeroU32::new(100),
        ..open()
    };
    let (mut limiter, now) = (one_worker(&settings), start());
    assert_eq!(served(&mut limiter, client(1), 100, now), 100);
    assert_eq!(served(&mut limiter, client(1), 100, now), 0);
    let nearly = now + Duration::from_micros(9_999);
    assert_eq!(served(&mut limiter, client(1), 1, nearly), 0);
    let later = now + Duration::from_millis(11);
    assert_eq!(served(&mut limiter, client(1), 2, later), 1);
    let later = now + Duration::from_secs(60);
    assert_eq!(served(&mut limiter, client(1), 200, later), 100);
}

#[test]
fn a_flood_from_one_prefix_leaves_another_untouched() {
    let settings = LimitSettings {
        queries_per_second: NonZeroU32::new(100),
        ..LimitSettings::default()
    };
    let (mut limiter, now) = (one_worker(&settings), start());
    for millisecond in 0..1000 {
        let now = now + Duration::from_millis(millisecond);
        served(&mut limiter, client(1), 50, now);
        if millisecond % 10 == 0 {
            assert_eq!(served(&mut limiter, client(2), 1, now), 1);
        }
    }
}

#[test]
fn every_nth_question_over_the_limit_gets_a_truncated_answer() {
    let (slip, drop) = (Verdict::Slip(Reason::Rate), Verdict::Drop(Reason::Rate));
    for (every, expected) in [
        (0, [drop, drop, drop, drop]),
        (1, [slip, slip, slip, slip]),
        (2, [drop, slip, drop, slip]),
        (3, [drop, drop, slip, drop]),
    ] {
        let settings = LimitSettings {
            queries_per_second: NonZeroU32::new(1),
            slip: every,
            ..LimitSettings::default()
        };
        let (mut limiter, now) = (one_worker(&settings), start());
        assert_eq!(served(&mut limiter, client(1), 1, now), 1);
        let verdicts = expected.map(|_| ask(&mut limiter, client(1), Proof::None, now));
        assert_eq!(verdicts, expected, "{every}");
    }
}

/// Forged questions cannot use up what a client with a cookie or on TCP has. RFC 7873 §5.2.5.
#[test]
fn who_has_proof_has_questions_of_its_own() {
    let settings = LimitSettings {
        queries_per_second: NonZeroU32::new(10),
        ..LimitSettings::default()
    };
    let (mut limiter, now) = (one_worker(&settings), start());
    served(&mut limiter, client(1), 1000, now);
    for _ in 0..5 {
        let verdict = ask(&mut limiter, client(1), Proof::Cookie, now);
        assert_eq!(verdict, Verdict::Serve);
        assert!(limiter.admits_stream(client(1), now));
    }
    assert!(!limiter.admits_stream(client(1), now));
    let verdict = ask(&mut limiter, client(1), Proof::Cookie, now);
    assert_ne!(verdict, Verdict::Serve);
    assert!(limiter.admits_stream(client(1), now + Duration::from_millis(100)));
}

#[test]
fn workers_share_questions_by_the_root_of_their_number_and_the_rest_by_their_number() {
    for (limit, workers, questions, answers) in [
        (20_000, 1, 20_000, 20_000),
        (20_000, 4, 10_000, 5_000),
        (20_000, 16, 5_000, 1_250),
        (500, 8, 176, 63),
        (1, 64, 1, 1),
    ] {
        let settings = LimitSettings {
            queries_per_second: NonZeroU32::new(limit),
            responses_per_second: NonZeroU32::new(limit),
            ..open()
        };
        let limiter = of_many(&settings, workers);
        assert_eq!(limiter.questions, Some(Rate::of_a_second(questions)));
        assert_eq!(limiter.answers, Some(Rate::of_a_second(answers)));
    }
}

/// At `limit` a second, sent in equal distances for so many seconds.
fn equal_answers(limiter: &mut Limiter, answers: &[Vec<u8>], per_second: u32, seconds: u32) -> u32 {
    let begin = start();
    let mut served = 0;
    for number in 0..per_second * seconds {
        let now = begin + Duration::from_secs(1) * number / per_second;
        let message = &answers[usize::try_from(number).unwrap() % answers.len()];
        served += u32::from(answer(limiter, client(1), message, now) == Verdict::Serve);
    }
    served
}

#[test]
fn equal_answers_are_sent_up_to_their_rate() {
    let settings = LimitSettings {
        responses_per_second: NonZeroU32::new(50),
        ..open()
    };
    let equal = [message(b"\x07example\x00", 0, 1, 100)];
    assert_eq!(
        equal_answers(&mut one_worker(&settings), &equal, 50, 10),
        500
    );
    // A second of them before anybody looks, another before the kind is over its limit.
    let served = equal_answers(&mut one_worker(&settings), &equal, 500, 10);
    assert!((500..=50 * 10 + 2 * 50).contains(&served), "{served}");
}

/// A forwarder that asks for new names while all upstreams are dead waits for none of them.
#[test]
fn small_errors_and_small_negative_answers_are_never_held_back() {
    let settings = LimitSettings {
        responses_per_second: NonZeroU32::new(50),
        ..LimitSettings::default()
    };
    for rcode in [0, 2, 3, 5] {
        let small = [message(b"\x07example\x00", rcode, 0, 0)];
        let served = equal_answers(&mut one_worker(&settings), &small, 5000, 2);
        assert_eq!(served, 10_000, "{rcode}");
    }
    let large = [message(b"\x07example\x00", 2, 0, 200)];
    let served = equal_answers(&mut one_worker(&settings), &large, 5000, 2);
    assert!(served <= 50 * 2 + 2 * 50, "{served}");
}

#[test]
fn equal_answers_over_their_rate_lead_to_tcp_while_octets_last() {
    for (slip, factor, over) in [
        (0, None, Verdict::Drop(Reason::Response)),
        (10, None, Verdict::Slip(Reason::Response)),
        (2, NonZeroU32::new(1), Verdict::Slip(Reason::Response)),
    ] {
        let settings = LimitSettings {
            responses_per_second: NonZeroU32::new(5),
            slip,
            amplification: factor,
            allowance_bytes: 0,
            ..open()
        };
        let (mut limiter, now) = (one_worker(&settings), start());
        let equal = message(b"\x07example\x00", 0, 1, 100);
        for _ in 0..10 {
            assert_eq!(answer(&mut limiter, client(1), &equal, now), Verdict::Serve);
        }
        for _ in 0..20 {
            assert_eq!(answer(&mut limiter, client(1), &equal, now), over, "{slip}");
        }
        if factor.is_none() {
            continue;
        }
        // Of 4096 octets 1000 went into answers, 500 into truncated ones: 103 of these are left.
        for number in 0..105 {
            let is_paid = number < 103;
            let over = if is_paid {
                over
            } else {
                Verdict::Drop(Reason::Response)
            };
            assert_eq!(
                answer(&mut limiter, client(1), &equal, now),
                over,
                "{number}"
            );
        }
        // A question pays for one.
        ask(&mut limiter, client(1), Proof::None, now);
        assert_eq!(answer(&mut limiter, client(1), &equal, now), over);
    }
}

#[test]
fn different_answers_are_no_repetition_and_names_of_chance_are_one() {
    let settings = LimitSettings {
        responses_per_second: NonZeroU32::new(50),
        ..open()
    };
    let names: Vec<[u8; 15]> = (b'a'..=b'z')
        .map(|letter| {
            let mut name = *b"\x01?\x07example\x03org\x00";
            name[1] = letter;
            name
        })
        .collect();
    let found: Vec<_> = names.iter().map(|name| message(name, 0, 1, 0)).collect();
    assert_eq!(
        equal_answers(&mut one_worker(&settings), &found, 500, 5),
        2500
    );
    let not_found: Vec<_> = names.iter().map(|name| message(name, 3, 0, 100)).collect();
    let served = equal_answers(&mut one_worker(&settings), &not_found, 500, 5);
    assert!(served <= 50 * 5 + 2 * 50, "{served}");
}

#[test]
fn octets_out_are_bound_by_octets_in_and_the_allowance() {
    let settings = LimitSettings {
        amplification: NonZeroU32::new(3),
        allowance_bytes: 10_000,
        ..open()
    };
    let (mut limiter, now) = (one_worker(&settings), start());
    let long = message(b"\x07example\x00", 0, 1, 1000);
    for _ in 0..10 {
        assert_eq!(answer(&mut limiter, client(1), &long, now), Verdict::Serve);
    }
    // Nothing is left, not even for a truncated answer.
    let drop = Verdict::Drop(Reason::Amplification);
    assert_eq!(answer(&mut limiter, client(1), &long, now), drop);
    // A question pays for one, as every factor is at least 1.
    assert_eq!(
        ask(&mut limiter, client(1), Proof::None, now),
        Verdict::Serve
    );
    let slip = Verdict::Slip(Reason::Amplification);
    assert_eq!(answer(&mut limiter, client(1), &long, now), slip);
    assert_eq!(answer(&mut limiter, client(2), &long, now), Verdict::Serve);
    // 25 octets for the truncated answer, 2 × 25 are left of the question: 950 come in 95 ms.
    let nearly = now + Duration::from_micros(94_999);
    assert_eq!(answer(&mut limiter, client(1), &long, nearly), slip);
    let later = nearly + Duration::from_micros(2_501);
    assert_eq!(
        answer(&mut limiter, client(1), &long, later),
        Verdict::Serve
    );
}

#[test]
fn strangers_are_refused_ten_times_a_second_and_then_ignored() {
    let (mut limiter, now) = (one_worker(&open()), start());
    for number in 0..15 {
        assert_eq!(limiter.refuses_aloud(client(1), now), number < 10);
    }
    assert!(limiter.refuses_aloud(client(2), now));
    let nearly = now + Duration::from_micros(99_999);
    assert!(!limiter.refuses_aloud(client(1), nearly));
    assert!(limiter.refuses_aloud(client(1), now + Duration::from_millis(100)));
    let mut one_of_many = of_many(&open(), 64);
    assert!(one_of_many.refuses_aloud(client(1), now));
    assert!(!one_of_many.refuses_aloud(client(1), now));
}

#[test]
fn without_limits_everything_is_served() {
    let (mut limiter, now) = (one_worker(&open()), start());
    let long = message(b"\x07example\x00", 0, 1, 1232);
    assert_eq!(served(&mut limiter, client(1), 100_000, now), 100_000);
    for _ in 0..100_000 {
        assert_eq!(answer(&mut limiter, client(1), &long, now), Verdict::Serve);
    }
    assert!(limiter.admits_stream(client(1), now));
}

/// A million forged prefixes at 200,000 questions a second, far more than the table has places.
#[test]
fn a_flood_from_everywhere_locks_nobody_out_and_hides_nobody() {
    let settings = LimitSettings {
        queries_per_second: NonZeroU32::new(1000),
        ..LimitSettings::default()
    };
    let (mut limiter, begin) = (one_worker(&settings), start());
    let (steady, rare, greedy) = (client(1), client(2), client(3));
    let (mut steady_forgotten, mut rare_forgotten, mut greedy_served) = (0, 0, 0);
    for number in 1..=1_000_000_u32 {
        let now = begin + Duration::from_micros(5) * number;
        let is_forgotten =
            |limiter: &Limiter, client: Prefix| u32::from(!limiter.clients.knows(client.bits()));
        // 400 questions a second: more often than the flood goes round a set.
        if number % 500 == 0 {
            steady_forgotten += is_forgotten(&limiter, steady);
            assert_eq!(served(&mut limiter, steady, 1, now), 1);
        }
        // One a second: forgotten each time, and served all the same.
        if number % 200_000 == 0 {
            rare_forgotten += is_forgotten(&limiter, rare);
            assert_eq!(served(&mut limiter, rare, 1, now), 1);
        }
        // 20,000 a second, of which 1,000 are to be served.
        if number % 10 == 0 {
            greedy_served += served(&mut limiter, greedy, 1, now);
        }
        assert_eq!(served(&mut limiter, client(100 + number), 1, now), 1);
    }
    assert_eq!((rare_forgotten, limiter.clients.places()), (5, CLIENTS));
    // The first time, of 2,000.
    assert!(steady_forgotten <= 5, "{steady_forgotten}");
    assert!((5_000..=6_100).contains(&greedy_served), "{greedy_served}");
    assert!(limiter.evictions() > 900_000);
}

/// What a limiter lets out, by client: octets in and out.
fn totals(limiter: &mut Limiter, events: &[(u32, u16, bool, u16)]) -> (Vec<[u64; 2]>, Duration) {
    let begin = start();
    let mut totals = vec![[0; 2]; 1000];
    let mut elapsed = Duration::ZERO;
    for &(number, pause_us, is_question, octets) in events {
        elapsed += Duration::from_micros(pause_us.into());
        let seat = limiter.seat(client(number), begin + elapsed);
        let message = message(b"\x07example\x00", 0, 1, octets.into());
        let [octets_in, octets_out] = &mut totals[usize::try_from(number).unwrap()];
        let verdict = if is_question {
            *octets_in += u64::try_from(message.len()).unwrap();
            limiter.judge(seat, Proof::None, &message)
        } else {
            limiter.charge(seat, &message)
        };
        let sent = match verdict {
            Verdict::Serve if is_question => 0,
            Verdict::Serve => message.len(),
            Verdict::Slip(_) => {
                let mut out = Vec::new();
                assert!(write_short(&mut out, &message));
                out.len()
            }
            Verdict::Drop(_) => 0,
        };
        *octets_out += u64::try_from(sent).unwrap();
    }
    (totals, elapsed)
}

fn events(clients: u32) -> impl Strategy<Value = Vec<(u32, u16, bool, u16)>> {
    let event = (0..clients, any::<u16>(), any::<bool>(), 0..2000_u16);
    proptest::collection::vec(event, 0..400)
}

proptest! {
    #[test]
    fn no_sequence_makes_a_prefix_get_more_octets_than_its_questions_and_the_allowance_pay(
        events in events(5),
        factor in 1..5_u32,
        allowance_bytes in 0..100_000_u64,
        workers in 1..9_usize,
        slip in 0..3_u32,
        limit in 1..100_u32,
    ) {
        let settings = LimitSettings {
            queries_per_second: NonZeroU32::new(limit),
            responses_per_second: NonZeroU32::new(limit),
            slip,
            amplification: NonZeroU32::new(factor),
            allowance_bytes,
            ..LimitSettings::default()
        };
        let (totals, elapsed) = totals(&mut of_many(&settings, workers), &events);
        let share = allowance_bytes / u64::try_from(workers).unwrap();
        let allowed = (u128::from(share) * elapsed.as_micros()).div_ceil(1_000_000);
        for [octets_in, octets_out] in totals {
            let bound = u128::from(octets_in * u64::from(factor) + share.max(OCTETS_MIN)) + allowed;
            prop_assert!(u128::from(octets_out) <= bound);
        }
    }

    /// Pushing others out of the table and coming back is no way to a new burst.
    #[test]
    fn all_prefixes_of_a_full_table_together_get_what_its_places_have(
        events in events(1000),
        allowance_bytes in 0..100_000_u64,
    ) {
        let settings = LimitSettings { allowance_bytes, ..LimitSettings::default() };
        let mut limiter = Limiter::with_room(&settings, NonZeroUsize::MIN, start(), 1);
        let places = u64::try_from(limiter.clients.places()).unwrap();
        let (totals, elapsed) = totals(&mut limiter, &events);
        let sum = |index: usize| totals.iter().map(|total| total[index]).sum::<u64>();
        let a_second = u128::from(allowance_bytes * places);
        let allowed = (a_second * elapsed.as_micros()).div_ceil(1_000_000);
        let bursts = allowance_bytes.max(OCTETS_MIN) * places;
        prop_assert!(u128::from(sum(1)) <= u128::from(sum(0) * 3 + bursts) + allowed);
    }
}
