//! Text scenarios on a virtual clock: a question, what the upstreams do, time that passes, and the
//! answer that the RFCs want. `tests/scenarios/README.md` says how to read and write them.
//!
//! `SCENARIO=words cargo test --test scenarios -- --nocapture` plays those whose file or title has
//! these words, and shows all messages.
#![expect(
    clippy::disallowed_methods,
    reason = "the virtual clock needs a starting point"
)]

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

mod runner;

use runner::text::Scenario;

/// There are at least so many.
const SCENARIOS_MIN: usize = 150;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"))
}

/// What is wrong with a scenario; `None`: nothing.
fn play(scenario: &Scenario, is_shown: bool) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| runner::stage::play(scenario, is_shown)));
    match played {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!(
                "{}:{}: panicked: {}",
                scenario.file,
                scenario.line,
                text.unwrap_or_default()
            ))
        }
    }
}

#[test]
fn every_scenario_plays_out_as_it_is_written() {
    let scenarios = runner::text::read_all(folder()).unwrap();
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let (mut report, mut awaiting) = (String::new(), String::new());
    let (mut failed, mut played) = (0, 0);
    for scenario in &scenarios {
        if !scenario.title.contains(&wanted) && !scenario.file.contains(&wanted) {
            continue;
        }
        let is_shown = !wanted.is_empty();
        let problem = play(scenario, is_shown);
        match (&scenario.awaits, problem) {
            (None, None) => played += 1,
            (None, Some(problem)) => {
                failed += 1;
                writeln!(report, "{problem}\n    in: {}\n", scenario.title).unwrap();
            }
            (Some(part), problem) => {
                let state = if problem.is_some() { "fails" } else { "PASSES" };
                let (file, line) = (&scenario.file, scenario.line);
                writeln!(
                    awaiting,
                    "{part}: {state}: {file}:{line}: {}",
                    scenario.title
                )
                .unwrap();
                for line in problem.iter().flat_map(|problem| problem.lines()) {
                    writeln!(awaiting, "    {line}").unwrap();
                }
            }
        }
    }
    let waiting = awaiting
        .lines()
        .filter(|line| !line.starts_with(' '))
        .count();
    println!("{played} scenarios played, {waiting} await a part:\n{awaiting}");
    assert!(failed == 0, "{failed} scenarios failed:\n\n{report}");
    assert!(
        waiting == 0,
        "{waiting} scenarios await a part:\n{awaiting}"
    );
    if wanted.is_empty() {
        assert!(
            scenarios.len() >= SCENARIOS_MIN,
            "{} scenarios",
            scenarios.len()
        );
    }
}

/// A title says what must stay true, once; and where it is written.
#[test]
fn every_scenario_has_a_title_of_its_own_and_a_source() {
    let scenarios = runner::text::read_all(folder()).unwrap();
    let mut titles = std::collections::HashSet::new();
    for scenario in &scenarios {
        let at = format!("{}:{}", scenario.file, scenario.line);
        assert!(
            titles.insert(&scenario.title),
            "{at}: the title is there twice"
        );
        let has_source = ["RFC ", "design", "own rule"]
            .iter()
            .any(|word| scenario.source.contains(word));
        assert!(has_source, "{at}: name the RFC and its section");
        assert!(scenario.asks(), "{at}: nothing is asked");
    }
}

/// A scenario that is wrong in one thing has to fail there; else the others would prove nothing.
#[test]
fn a_scenario_that_is_wrong_fails_at_its_wrong_line() {
    let upstream = "=== t\n    RFC\nupstream a\n    w. A -> answer \"192.0.2.1\", ttl 9, ede 17\n";
    let wrong = [
        "ask w. A\nexpect NXDOMAIN",
        "ask w. A\nexpect NOERROR, answer \"w. 8 A 192.0.2.1\"",
        "ask w. A\nexpect NOERROR, answer \"w. 9 A 192.0.2.2\"",
        "ask w. A\nexpect NOERROR, answer \"x. 9 A 192.0.2.1\"",
        "ask w. A\nexpect NOERROR, answer none",
        "ask w. A\nexpect NOERROR, answer \"w. 9 A *\", answer \"w. 9 A *\"",
        "ask w. A\nexpect NOERROR, authority \"w. 9 A *\"",
        "ask w. A\nexpect aa",
        "ask w. A\nexpect no ra",
        "ask w. A\nexpect opt",
        "ask w. A, edns\nexpect no opt",
        "ask w. A, edns\nexpect ede 3",
        "ask w. A, edns\nexpect no ede",
        "ask w. A\nexpect at once",
        "ask w. A\nexpect within 9ms",
        "ask w. A\nexpect after 11ms",
        "ask w. A\nexpect size <= 20",
        "ask w. A\nexpect no answer",
        "ask w. A, qr\nexpect NOERROR",
        "ask w. A\nexpect sing",
        "ask w. A, sing\nexpect NOERROR",
        "ask w. A",
        "expect NOERROR",
        "ask w. A\npass 1s\nexpect nothing yet",
        "ask w. A\nexpect NOERROR\nexpect-upstream a asked 2",
        "ask w. A\nexpect NOERROR\nexpect-upstream a saw do",
        "ask w. A\nexpect NOERROR\nexpect-upstream b asked 0",
        "ask 2 times every 1s w{n}. A\nexpect at least 51%, NOERROR, answers 1",
        "config dns.sing = true\nask w. A\nexpect NOERROR",
    ];
    let good = "ask w. A, edns\nexpect NOERROR, answer \"w. 9 A 192.0.2.1\", ede 17, within 10ms";
    for (text, is_good) in wrong
        .map(|text| (text, false))
        .into_iter()
        .chain([(good, true)])
    {
        let mut scenarios = Vec::new();
        runner::text::read("file", &format!("{upstream}{text}\n"), &mut scenarios).unwrap();
        let problem = play(&scenarios[0], false);
        assert_eq!(problem.is_none(), is_good, "{text}: {problem:?}");
        let place = problem.is_none_or(|problem| problem.starts_with("file:"));
        assert!(place, "{text}: no place is named");
    }
}
