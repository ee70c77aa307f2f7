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
            let step = Round { udp: ANSWERS[udp], tcp: ANSWERS.get(tcp).copied(), dropped };
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
