use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::health::machine::tests::start;

const ANSWERS: [Answer; 4] = [
    Answer::Right,
    Answer::Wrong,
    Answer::Refused,
    Answer::Silence,
];

fn judged(rounds: &mut Rounds, at_ms: u64, round: Round) -> (ProbeOutcome, Option<ProbeOutcome>) {
    let outcomes: Vec<_> = rounds.judge(at(at_ms), round).collect();
    let of = |wanted| {
        let mut outcomes = outcomes.iter();
        let found = outcomes.find(|(probe, _)| *probe == wanted);
        found.map(|(_, outcome)| *outcome)
    };
    (of(ProbeOf::Address).unwrap(), of(ProbeOf::Tcp))
}

fn at(ms: u64) -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(start) + Duration::from_millis(ms)
}

fn round(udp: Answer, tcp: Option<Answer>) -> Round {
    Round {
        udp,
        tcp,
        dropped: None,
        is_late: false,
        fresh: None,
    }
}

/// The whole table of the module, but for the lost datagrams.
#[test]
fn both_probes_of_a_round_are_judged_together() {
    use ProbeOutcome::{Bad, Good, Shed, Unanswered};
    for (udp, row) in [
        (
            Answer::Right,
            [(Good, Good), (Good, Bad), (Good, Bad), (Good, Shed)],
        ),
        (
            Answer::Wrong,
            [(Bad, Good), (Bad, Bad), (Bad, Bad), (Bad, Shed)],
        ),
        (
            Answer::Refused,
            [(Bad, Good), (Bad, Bad), (Bad, Bad), (Bad, Unanswered)],
        ),
        (
            Answer::Silence,
            [
                (Shed, Good),
                (Shed, Bad),
                (Unanswered, Bad),
                (Unanswered, Unanswered),
            ],
        ),
    ] {
        for (tcp, (of_udp, of_tcp)) in ANSWERS.into_iter().zip(row) {
            // Lost datagrams change nothing where TCP is asked.
            for lost in 0..2 {
                let mut rounds = Rounds::new(true);
                let first = Round {
                    dropped: Some(7),
                    ..round(udp, Some(tcp))
                };
                judged(&mut rounds, 0, first);
                let second = Round {
                    dropped: Some(7 + lost),
                    ..first
                };
                let found = judged(&mut rounds, 200, second);
                assert_eq!(found, (of_udp, Some(of_tcp)), "{udp:?} {tcp:?}");
            }
        }
    }
}

#[test]
fn without_tcp_lost_datagrams_explain_silence_for_ten_seconds_and_no_longer() {
    let mut rounds = Rounds::new(false);
    let silent = |dropped| Round {
        dropped: Some(dropped),
        ..round(Answer::Silence, None)
    };
    let mut of_udp = |at_ms, dropped| judged(&mut rounds, at_ms, silent(dropped)).0;
    assert_eq!(of_udp(0, 5), ProbeOutcome::Unanswered, "nothing to compare");
    assert_eq!(of_udp(200, 6), ProbeOutcome::Shed);
    assert_eq!(of_udp(400, 6), ProbeOutcome::Unanswered, "none lost");
    assert_eq!(of_udp(9_999, 7), ProbeOutcome::Shed);
    assert_eq!(of_udp(10_000, 8), ProbeOutcome::Unanswered);
    assert_eq!(of_udp(60_000, 9), ProbeOutcome::Unanswered);
    judged(&mut rounds, 60_200, round(Answer::Right, None));
    judged(&mut rounds, 60_400, silent(9));
    let (udp, _) = judged(&mut rounds, 60_600, silent(10));
    assert_eq!(udp, ProbeOutcome::Shed, "an answer starts the time anew");
}

/// Rounds in which TCP is answered and UDP is not, one each 200 ms from 0 ms to `end_ms`; what the last
/// of them counts as over UDP.
fn silent_until(end_ms: u64, of: impl Fn(u64) -> Round) -> ProbeOutcome {
    let mut rounds = Rounds::new(true);
    let outcomes = (0..=end_ms / 200).map(|n| judged(&mut rounds, 200 * n, of(200 * n)).0);
    outcomes.last().unwrap()
}

fn mute(dropped: Option<u64>) -> Round {
    Round {
        dropped,
        ..round(Answer::Silence, Some(Answer::Right))
    }
}

#[test]
fn silence_over_udp_that_no_load_explains_is_a_fault_after_ten_seconds() {
    use ProbeOutcome::{Bad, Shed};
    for (end_ms, expected) in [(9_800, Shed), (10_000, Bad), (60_000, Bad)] {
        assert_eq!(silent_until(end_ms, |_| mute(Some(7))), expected);
    }
    // One of several threads is dead: new ports lead to the others.
    let fresh = |_| Round {
        fresh: Some(Answer::Right),
        ..mute(Some(7))
    };
    assert_eq!(silent_until(10_000, fresh), Bad);
    let mut rounds = Rounds::new(true);
    for at_ms in [0, 9_900, 10_000] {
        judged(&mut rounds, at_ms, mute(Some(7)));
    }
    let again = judged(&mut rounds, 10_200, round(Answer::Right, None)).0;
    assert_eq!(again, ProbeOutcome::Good);
    let (udp, _) = judged(&mut rounds, 10_400, mute(Some(7)));
    assert_eq!(udp, Shed, "an answer starts the time anew");
}

#[test]
fn a_sign_of_load_explains_silence_for_ten_seconds_more() {
    use ProbeOutcome::{Bad, Shed};
    let late_at = |late_ms| {
        move |at_ms| Round {
            is_late: at_ms == late_ms,
            ..mute(Some(7))
        }
    };
    let lost_at = |lost_ms| move |at_ms| mute(Some(u64::from(at_ms >= lost_ms)));
    let unknown_at = |unknown_ms| move |at_ms| mute((at_ms != unknown_ms).then_some(7));
    for (end_ms, expected) in [(14_800, Shed), (15_000, Bad)] {
        assert_eq!(silent_until(end_ms, late_at(5_000)), expected);
        assert_eq!(silent_until(end_ms, lost_at(5_000)), expected);
        assert_eq!(silent_until(end_ms, unknown_at(5_000)), expected);
    }
}

#[test]
fn no_load_explains_that_nothing_is_answered_for_a_minute() {
    use ProbeOutcome::{Bad, Shed};
    let losing = |at_ms| mute(Some(at_ms));
    let unknown = |_| mute(None);
    for (end_ms, expected) in [(59_800, Shed), (60_000, Bad)] {
        assert_eq!(silent_until(end_ms, losing), expected);
        assert_eq!(silent_until(end_ms, unknown), expected);
    }
    // One question in a minute is enough, late or from another port.
    for lively in [
        Round {
            is_late: true,
            ..mute(None)
        },
        Round {
            fresh: Some(Answer::Right),
            ..mute(None)
        },
    ] {
        let of = |at_ms| match at_ms % 59_000 {
            0 => lively,
            _ => unknown(at_ms),
        };
        assert_eq!(silent_until(600_000, of), Shed);
    }
}

#[test]
fn new_ports_are_asked_from_after_ten_seconds_of_silence_where_tcp_is_served() {
    for is_tcp_served in [true, false] {
        let mut rounds = Rounds::new(is_tcp_served);
        judged(&mut rounds, 0, mute(Some(7)));
        assert!(!rounds.wants_fresh(at(9_999)));
        assert_eq!(rounds.wants_fresh(at(10_000)), is_tcp_served);
        judged(&mut rounds, 10_000, round(Answer::Right, None));
        assert!(!rounds.wants_fresh(at(30_000)));
    }
}

#[test]
fn tcp_is_asked_once_a_second_while_all_is_well_and_each_round_while_it_is_not() {
    let mut rounds = Rounds::new(true);
    let good = round(Answer::Right, Some(Answer::Right));
    for number in 0..u64::from(CALM_ROUNDS) {
        assert!(rounds.wants_tcp(at(200 * number)));
        judged(&mut rounds, 200 * number, good);
    }
    let last = 200 * u64::from(CALM_ROUNDS - 1);
    assert!(!rounds.wants_tcp(at(last + 999)));
    assert!(rounds.wants_tcp(at(last + 1_000)));
    judged(
        &mut rounds,
        last + 200,
        round(Answer::Silence, Some(Answer::Right)),
    );
    assert!(rounds.wants_tcp(at(last + 201)));
    assert!(!Rounds::new(false).wants_tcp(at(0)));
}

/// Who takes the results in order knows then that an answer over TCP is none any more.
#[test]
fn silence_over_tcp_is_told_first_when_it_is_new() {
    let mut rounds = Rounds::new(true);
    let both_silent = round(Answer::Silence, Some(Answer::Silence));
    rounds
        .judge(at(0), round(Answer::Right, Some(Answer::Right)))
        .for_each(drop);
    let new: Vec<_> = rounds.judge(at(200), both_silent).collect();
    let expected = [
        (ProbeOf::Tcp, ProbeOutcome::Shed),
        (ProbeOf::Address, ProbeOutcome::Unanswered),
    ];
    assert_eq!(new, expected);
    let old: Vec<_> = rounds.judge(at(400), both_silent).collect();
    let expected = [
        (ProbeOf::Address, ProbeOutcome::Unanswered),
        (ProbeOf::Tcp, ProbeOutcome::Unanswered),
    ];
    assert_eq!(old, expected);
}

proptest! {
    /// What a flood alone can make (silence over UDP, while TCP is answered) is never evidence
    /// against the program, and what a wedged program does always is.
    #[test]
    fn an_answer_over_tcp_excuses_silence_and_silence_over_both_is_never_excused(
        steps in proptest::collection::vec((0..4_usize, 0..5_usize, any::<Option<u64>>()), 1..50),
    ) {
        let mut rounds = Rounds::new(true);
        let mut was_right = false;
        for (number, (udp, tcp, dropped)) in steps.into_iter().enumerate() {
            let asked = round(ANSWERS[udp], ANSWERS.get(tcp).copied());
            let step = Round { dropped, ..asked };
            let (of_udp, of_tcp) = judged(&mut rounds, 200 * number as u64, step);
            match (step.udp, step.tcp) {
                (Answer::Silence, Some(Answer::Right)) => {
                    prop_assert_eq!(of_udp, ProbeOutcome::Shed);
                }
                (Answer::Silence, Some(Answer::Silence)) => {
                    prop_assert_eq!(of_udp, ProbeOutcome::Unanswered);
                    let first = match was_right {
                        true => ProbeOutcome::Shed,
                        false => ProbeOutcome::Unanswered,
                    };
                    prop_assert_eq!(of_tcp, Some(first));
                }
                _ => prop_assert_eq!(of_udp == ProbeOutcome::Good, step.udp == Answer::Right),
            }
            was_right = step.tcp.map_or(was_right, |tcp| tcp == Answer::Right);
        }
    }
}
