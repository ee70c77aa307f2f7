use super::*;

const GAP: Budget = line("x", Fault::Kill, "x", Limit::Gap(250.0), Limit::Gap(250.0));
const ZERO: Budget = line("x", Fault::Stop, "x", Limit::NoLoss, Limit::Free);

fn measured(gaps_ms: &[f64], lost: u32) -> Measured {
    let loss = |gap_ms| Loss {
        sent: 100,
        lost,
        gap_ms,
    };
    Measured {
        repetitions: gaps_ms
            .iter()
            .map(|gap_ms| Repetition {
                cached: loss(*gap_ms),
                new: loss(5.0),
                ..Repetition::default()
            })
            .collect(),
        not_measured: None,
    }
}

#[test]
fn the_median_holds_the_budget_and_the_worst_twice_the_budget() {
    let holds = |gaps: &[f64]| GAP.judge(Some(&measured(gaps, 20))).is_empty();
    assert!(holds(&[120.0, 250.0, 250.0]));
    assert!(holds(&[500.0, 250.0, 250.0]), "both at the limit");
    assert!(!holds(&[120.0, 250.1, 251.0]), "median just over");
    assert!(!holds(&[500.1, 130.0, 120.0]), "one just over");
    assert!(holds(&[499.9, 249.9, 499.9, 120.0, 120.0]));
    assert!(!holds(&[120.0, 120.0, 250.1, 250.1]), "the worse of two");
}

#[test]
fn what_is_done_once_holds_the_budget_itself() {
    let once = line("x", Fault::Kill, "x", Limit::Gap(250.0), Limit::Free)
        .once()
        .back_within(1500.0);
    let judge = |gap_ms, back_ms| {
        let mut measured = measured(&[gap_ms], 20);
        measured.repetitions[0].back_ms = Some(back_ms);
        once.judge(Some(&measured)).is_empty()
    };
    assert!(judge(250.0, 1500.0));
    assert!(!judge(250.1, 1500.0));
    assert!(!judge(250.0, 1500.1));
}

#[test]
fn a_single_loss_breaks_a_zero_loss_drill() {
    assert!(ZERO.judge(Some(&measured(&[5.0, 5.0, 5.0], 0))).is_empty());
    let mut one = measured(&[5.0, 5.0, 5.0], 0);
    one.repetitions[1].cached.lost = 1;
    assert_eq!(ZERO.judge(Some(&one)), ["over budget: cached: 1 lost"]);
    let mut free = measured(&[5.0, 5.0, 5.0], 0);
    free.repetitions[0].new.lost = 50;
    assert!(ZERO.judge(Some(&free)).is_empty(), "new names are free");
}

#[test]
fn what_was_not_measured_fails() {
    assert_eq!(GAP.judge(None), ["not measured"]);
    assert!(!GAP.judge(Some(&Measured::default())).is_empty());
    assert_eq!(
        GAP.judge(Some(&measured(&[5.0, 5.0], 0))),
        ["not measured: 2 of 3 repetitions"]
    );
    let mut some = measured(&[5.0], 0);
    some.not_measured = Some("the machine stood still".to_owned());
    assert_eq!(
        GAP.judge(Some(&some)),
        ["not measured: the machine stood still"]
    );
    let mut silent = measured(&[0.0, 0.0, 0.0], 0);
    silent.repetitions[0].cached.sent = 0;
    assert!(!ZERO.judge(Some(&silent)).is_empty(), "no query was sent");
    assert!(!GAP.judge(Some(&silent)).is_empty(), "no query was sent");
}

#[test]
fn a_violation_fails_whatever_the_numbers_say() {
    let mut found = measured(&[5.0, 5.0, 5.0], 0);
    found.repetitions[0]
        .violations
        .push("site1 withdrew".to_owned());
    assert_eq!(GAP.judge(Some(&found)), ["site1 withdrew"]);
}

#[test]
fn traffic_that_is_late_to_come_back_is_over_budget() {
    let line = line("x", Fault::Silent, "x", Limit::Free, Limit::Free).back_within(1500.0);
    let judge = |back_ms: [Option<f64>; 3]| {
        let mut measured = measured(&[5.0; 3], 0);
        for (repetition, back_ms) in measured.repetitions.iter_mut().zip(back_ms) {
            repetition.back_ms = back_ms;
        }
        line.judge(Some(&measured)).is_empty()
    };
    assert!(judge([Some(900.0), Some(1500.0), Some(3000.0)]));
    assert!(
        !judge([Some(900.0), Some(1501.0), Some(1600.0)]),
        "median over"
    );
    assert!(
        !judge([Some(900.0), Some(900.0), Some(3001.0)]),
        "worst over twice"
    );
    assert!(!judge([Some(900.0), Some(900.0), None]), "never back");
    assert_eq!(line.limits(), "back ≤ 1.5 s");
}

#[test]
fn new_names_that_are_late_to_be_answered_again_are_over_budget() {
    let line = line("x", Fault::AllUpstreams, "x", Limit::Free, Limit::Free).renewed_within(1000.0);
    let judge = |renewed_ms: f64| {
        let mut measured = measured(&[5.0; 3], 0);
        for repetition in &mut measured.repetitions {
            repetition.renewed_ms = Some(renewed_ms);
        }
        line.judge(Some(&measured))
    };
    assert!(judge(1000.0).is_empty());
    assert_eq!(
        judge(1001.0),
        ["over budget: new names after 1001 ms, worst 1001 ms"]
    );
}

#[test]
fn the_third_stream_has_a_limit_of_its_own() {
    let line = line("x", Fault::Drain, "x", Limit::NoLoss, Limit::Free)
        .and(Third::Tcp, Limit::NoLoss)
        .demanding("y");
    assert_eq!(line.limits(), "cached 0 lost, TCP 0 lost, y");
    let mut measured = measured(&[5.0; 3], 0);
    assert_eq!(
        line.judge(Some(&measured)),
        ["over budget: TCP: 0 lost"],
        "no query was sent"
    );
    for repetition in &mut measured.repetitions {
        repetition.third.sent = 100;
    }
    assert!(line.judge(Some(&measured)).is_empty());
    measured.repetitions[2].third.lost = 2;
    assert_eq!(line.judge(Some(&measured)), ["over budget: TCP: 2 lost"]);
}

#[test]
fn a_long_drill_is_done_once() {
    let line = line("x", Fault::Flood, "x", Limit::Free, Limit::Free).once();
    assert!(line.judge(Some(&measured(&[5.0], 0))).is_empty());
    assert_eq!(line.repetitions(10), 1);
    assert_eq!(GAP.repetitions(10), 10);
}

#[test]
fn a_rare_drill_takes_more_repetitions_than_usual() {
    let rare = line("x", Fault::Kill, "x", Limit::Free, Limit::Free).rare();
    assert!(!rare.is_usual(REPETITIONS) && rare.is_usual(REPETITIONS + 1));
    assert!(GAP.is_usual(REPETITIONS));
}

#[test]
fn names_are_unique_and_every_line_has_its_limits_in_words() {
    for (index, budget) in TABLE.iter().enumerate() {
        assert!(TABLE[..index].iter().all(|b| b.name != budget.name));
        assert!(!budget.limits().is_empty());
    }
    let find = |name| TABLE.iter().find(|b| b.name == name).unwrap().limits();
    assert_eq!(find("a"), "gap ≤ 250 ms");
    assert_eq!(find("d1"), "cached 0 lost, new gap ≤ 700 ms");
    assert_eq!(
        find("d2"),
        "cached 0 lost, new names well after ≤ 1.0 s, no withdrawal"
    );
    assert_eq!(find("metrics"), "–");
}
