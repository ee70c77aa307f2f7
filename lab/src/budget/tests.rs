use super::*;

const GAP: Budget = line("x", Fault::Kill, "x", Limit::Gap(250.0), Limit::Gap(250.0));
const ZERO: Budget = line("x", Fault::Drain, "x", Limit::NoLoss, Limit::Free);

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
    assert!(holds(&[120.0, 250.0, 500.0]));
    assert!(!holds(&[120.0, 251.0, 300.0]), "median over");
    assert!(!holds(&[120.0, 130.0, 501.0]), "worst over twice");
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
    assert_eq!(line.limits(), "–, back ≤ 1.5 s");
}

#[test]
fn names_are_unique_and_every_line_has_its_limits_in_words() {
    for (index, budget) in TABLE.iter().enumerate() {
        assert!(TABLE[..index].iter().all(|b| b.name != budget.name));
        assert!(!budget.limits().is_empty());
    }
    let find = |name| TABLE.iter().find(|b| b.name == name).unwrap().limits();
    assert_eq!(find("a"), "gap ≤ 250 ms");
    assert_eq!(find("d1"), "cached 0 lost, new gap ≤ 1500 ms");
    assert_eq!(find("d2"), "cached 0 lost");
}
