use super::super::record::{Answered, Times, label};
use super::*;

const MS: Duration = Duration::from_millis(1);

/// Everything goes as it should; each second is a phase of its own.
fn good() -> Record {
    let times = Times {
        silenced_one: SECOND,
        known_one: SECOND + 300 * MS,
        mended_one: SECOND * 5,
        silenced_all: SECOND * 10,
        known_all: [SECOND * 10 + 500 * MS; 3],
        mending_all: SECOND * 20 - 300 * MS,
        mended_all: SECOND * 20,
        over: SECOND * 30,
    };
    let mut asked = Vec::new();
    for node in 0..3 {
        for step in 0..300 {
            let sent = step * 100 * MS;
            let is_dark = (times.silenced_all..times.mended_all + SECOND).contains(&sent);
            let said = if is_dark { Said::Failing } else { Said::Right };
            for (is_cached, said) in [(true, Said::Right), (false, said)] {
                let after = MS * if sent < times.silenced_all { 40 } else { 3 };
                asked.push(Asked {
                    node,
                    is_cached,
                    sent,
                    answer: Some(Answered { after, said }),
                });
            }
        }
    }
    Record {
        times,
        asked,
        heard: Vec::new(),
        told: 0,
        sentinel: 6 * MS,
    }
}

fn question(at: Duration, from: usize, to: usize, name: &str) -> Heard {
    Heard {
        at,
        from,
        to,
        is_marked: true,
        name: Some(name.to_owned()),
    }
}

fn new_name(node: usize, index: usize) -> String {
    format!("{}.unique.lab.test", label(node, 0xABC, index))
}

/// What is over its limit.
fn over(record: &Record) -> Vec<&'static str> {
    let lines = judge(record).into_iter().flat_map(|(_, lines)| lines);
    lines
        .filter(|line| !line.holds())
        .map(|line| line.what)
        .collect()
}

/// The new name that was asked of a node at this time.
fn at(record: &mut Record, node: usize, is_cached: bool, sent: Duration) -> &mut Asked {
    let mut asked = record.asked.iter_mut();
    asked
        .find(|a| a.node == node && a.is_cached == is_cached && a.sent == sent)
        .unwrap()
}

#[test]
fn a_run_without_a_fault_is_within_the_budget() {
    assert_eq!(over(&good()), [""; 0]);
}

#[test]
fn two_questions_for_a_name_are_within_the_budget_and_three_are_not() {
    let mut record = good();
    let name = new_name(1, 7);
    let first = SECOND * 10 + 510 * MS;
    record.heard = vec![
        question(first, 1, 0, &name),
        question(first + MS, 1, 2, &name),
    ];
    record.told = 2;
    assert_eq!(over(&record), [""; 0]);
    record.heard.push(question(first + 2 * MS, 1, 0, &name));
    assert_eq!(
        over(&record),
        ["questions to siblings for one name, at most"]
    );
}

/// A sibling may have any of the names that a node is asked for, and there are four probes.
#[test]
fn a_question_for_each_name_in_any_later_second_is_within_the_budget_and_more_are_not() {
    let second_two = SECOND * 11 + 500 * MS;
    let mut record = good();
    record.heard = (0..120)
        .map(|n| question(second_two + n * 8 * MS, 0, 1, ""))
        .collect();
    // Another sibling has its own share, and so has the next second.
    record.heard.push(question(second_two + 999 * MS, 0, 2, ""));
    record.heard.push(question(second_two + SECOND, 0, 1, ""));
    assert_eq!(over(&record), [""; 0]);
    record
        .heard
        .insert(120, question(second_two + 999 * MS, 0, 1, ""));
    assert_eq!(
        over(&record),
        ["to one sibling in any later second, at most"]
    );
}

/// The second begins when the breakers open; the first question that a client asked shows that too.
#[test]
fn the_first_second_has_its_own_limit() {
    let mut record = good();
    let opened = SECOND * 10 + 200 * MS;
    record.heard = (0..20)
        .map(|n| question(opened + n * MS, 2, 0, &new_name(2, n as usize)))
        .collect();
    // How it is doing.
    record.heard.insert(0, question(opened - MS, 2, 0, ""));
    assert_eq!(record.opened(2), opened);
    assert_eq!(record.opened(1), SECOND * 10 + 500 * MS);
    assert_eq!(over(&record), [""; 0], "20 of 84");
    // Two for each of those that were asked before it knew, and in the second after.
    record.heard = (0..85)
        .map(|n| question(opened + n * MS, 2, 0, &new_name(2, n as usize)))
        .collect();
    assert_eq!(over(&record), ["questions to siblings in that second"]);
}

#[test]
fn a_name_that_a_third_node_hears_of_is_a_loop() {
    let mut record = good();
    record.heard = vec![question(SECOND * 2, 1, 2, &new_name(0, 3))];
    record.told = 1;
    assert_eq!(
        over(&record),
        ["questions of siblings passed on to a third"]
    );
}

/// The first node to have its upstreams back answers for its siblings before they have theirs.
#[test]
fn while_upstreams_come_back_a_new_name_may_be_answered_well_and_before_it_may_not() {
    let right = Some(Answered {
        after: 5 * MS,
        said: Said::Right,
    });
    let mut record = good();
    let mending = record.times.mending_all;
    at(&mut record, 1, false, mending).answer = right;
    assert_eq!(over(&record), [""; 0]);
    at(&mut record, 1, false, mending - 100 * MS).answer = right;
    assert_eq!(
        over(&record),
        ["of these not answered by SERVFAIL with a reason"]
    );
}

#[test]
fn what_nobody_heard_or_nobody_marked_is_found() {
    let mut record = good();
    record.told = 1;
    record.heard = vec![question(SECOND * 12, 0, 1, "")];
    record.heard[0].is_marked = false;
    assert_eq!(
        over(&record),
        [
            "questions between nodes without the marker",
            "questions that a node counted and nobody heard"
        ]
    );
}

#[test]
fn slow_lost_and_wrong_answers_are_over_budget_where_they_should_be() {
    let mut record = good();
    at(&mut record, 0, true, SECOND * 9).answer = None;
    assert_eq!(
        over(&record),
        ["of these not answered well", "longest wait for one"]
    );

    let mut record = good();
    at(&mut record, 0, false, SECOND * 2).answer = None;
    assert_eq!(
        over(&record),
        [
            "of these not answered well",
            "longest wait, asked at any time",
            "longest wait, asked after it knew"
        ]
    );
    at(&mut record, 0, false, SECOND * 2).answer = Some(Answered {
        after: 250 * MS,
        said: Said::Right,
    });
    assert_eq!(over(&record), [""; 0]);

    let mut record = good();
    at(&mut record, 1, false, SECOND * 15).answer = Some(Answered {
        after: 51 * MS,
        said: Said::Wrong,
    });
    assert_eq!(
        over(&record),
        [
            "longest wait, asked afterwards",
            "of these not answered by SERVFAIL with a reason"
        ]
    );

    let mut record = good();
    let bad = Answered {
        after: MS,
        said: Said::Failing,
    };
    at(&mut record, 2, false, SECOND * 21).answer = Some(bad);
    assert_eq!(over(&record), [""; 0]);
    at(&mut record, 2, false, SECOND * 21 + 100 * MS).answer = Some(bad);
    assert_eq!(over(&record), ["until the last one not answered well"]);
}
