//! What the lab prints: progress, complaints, and the table.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the only place of this program that prints"
)]

use std::process::ExitCode;

use anyhow::Result;

use crate::budget::{Budget, REPETITIONS, TABLE, WORST_FACTOR};
use crate::loss::{Loss, median, worst};
use crate::results::{Measured, Repetition, Results};
use crate::runner::Paths;

/// One line of progress.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// One line about something that went wrong.
pub(crate) fn complain(line: &str) {
    eprintln!("lab: {line}");
}

/// The `report` command: exit code 1 unless every drill was measured and holds its budget.
pub(crate) fn print(paths: &Paths) -> Result<ExitCode> {
    let results = Results::read(&paths.state)?;
    let (text, holds) = table(&results);
    println!("{text}");
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// One repetition in a few words.
pub(crate) fn summary(repetition: &Repetition) -> String {
    let stream = |name: &str, loss: Loss| {
        format!(
            "{name}: {} of {} lost, gap {:.0} ms",
            loss.lost, loss.sent, loss.gap_ms
        )
    };
    let mut parts = Vec::new();
    if repetition.new.sent > 0 {
        parts.push(stream("cached", repetition.cached));
        parts.push(stream("new", repetition.new));
        if repetition.third.sent > 0 {
            parts.push(stream("third", repetition.third));
        }
        parts.push(format!("sentinel {:.0} ms", repetition.sentinel_ms));
    }
    if let Some(back_ms) = repetition.back_ms {
        parts.push(format!("back after {:.1} s", back_ms / 1000.0));
    }
    if let Some(renewed_ms) = repetition.renewed_ms {
        parts.push(format!("new names well after {:.1} s", renewed_ms / 1000.0));
    }
    parts.extend(repetition.seen.iter().cloned());
    parts.extend(repetition.violations.iter().cloned());
    if parts.is_empty() {
        parts.push("nothing wrong".to_owned());
    }
    parts.join("; ")
}

fn table(results: &Results) -> (String, bool) {
    let mut lines = vec![
        format!(
            "Of all repetitions the median, and the worst in brackets; cached names / new names / what \
             the budget names beside them. The median of gaps and times has to keep the budget, and the \
             worst {WORST_FACTOR} times the budget; losses are judged in every repetition."
        ),
        String::new(),
        "| drill | fault | queries lost | longest gap, ms | back after, s | new names well after, s \
         | budget | verdict |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut holds = true;
    for budget in TABLE {
        let measured = results.drills.get(budget.name);
        if measured.is_none() && !budget.is_usual(REPETITIONS) {
            continue;
        }
        let wrong = budget.judge(measured);
        holds &= wrong.is_empty();
        lines.push(row(budget, measured, &wrong));
    }
    (lines.join("\n"), holds)
}

fn row(budget: &Budget, measured: Option<&Measured>, wrong: &[String]) -> String {
    let repetitions = measured.map_or(&[][..], |m| &m.repetitions);
    let streams = |value: fn(Loss) -> f64| {
        if repetitions.iter().all(|r| r.cached.sent == 0) {
            return "–".to_owned();
        }
        let of =
            |stream: fn(&Repetition) -> Loss| spread(repetitions.iter().map(|r| value(stream(r))));
        let mut text = format!("{} / {}", of(|r| r.cached), of(|r| r.new));
        if budget.third.is_some() {
            text.push_str(&format!(" / {}", of(|r| r.third)));
        }
        text
    };
    let verdict = if wrong.is_empty() {
        let seen: Vec<&str> = repetitions
            .iter()
            .flat_map(|r| r.seen.iter().map(String::as_str))
            .collect();
        match seen[..] {
            [] => "ok".to_owned(),
            _ => format!("ok ({})", seen.join("; ")),
        }
    } else {
        wrong.join("; ")
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {verdict} |",
        budget.name,
        budget.text,
        streams(|loss| f64::from(loss.lost)),
        streams(|loss| loss.gap_ms),
        seconds(repetitions.iter().filter_map(|r| r.back_ms)),
        seconds(repetitions.iter().filter_map(|r| r.renewed_ms)),
        budget.limits(),
    )
}

/// Milliseconds as seconds, with one digit; a dash of none.
fn seconds(times_ms: impl Iterator<Item = f64>) -> String {
    let times: Vec<f64> = times_ms.map(|ms| ms / 1000.0).collect();
    if times.is_empty() {
        return "–".to_owned();
    }
    format!("{:.1} ({:.1})", median(times.clone()), worst(times))
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    format!(
        "{:.0} ({:.0})",
        median(values.iter().copied()),
        worst(values)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repetition(lost: u32, gap_ms: f64) -> Repetition {
        let loss = Loss {
            sent: 400,
            lost,
            gap_ms,
        };
        Repetition {
            cached: loss,
            new: loss,
            third: loss,
            renewed_ms: Some(300.0),
            back_ms: Some(1500.0),
            ..Repetition::default()
        }
    }

    #[test]
    fn a_row_shows_median_worst_budget_and_verdict() {
        let mut results = Results::default();
        let measured = Measured {
            repetitions: vec![
                repetition(24, 120.0),
                repetition(22, 110.0),
                repetition(26, 130.0),
            ],
            not_measured: None,
        };
        results.drills.insert("a".to_owned(), measured);
        let (text, holds) = table(&results);
        assert!(!holds, "the other drills were not measured");
        assert!(
            text.contains(
                "| a | kill -9 of the serving node | 24 (26) / 24 (26) | 120 (130) / 120 (130) \
                 | 1.5 (1.5) | 0.3 (0.3) | gap ≤ 250 ms | ok |"
            ),
            "{text}"
        );
        assert!(text.contains(
            "| b | SIGSTOP of the serving node | – | – | – | – | gap ≤ 3500 ms | not measured |"
        ));
    }

    #[test]
    fn the_report_holds_only_when_every_line_does() {
        let mut results = Results::default();
        for budget in TABLE {
            let measured = Measured {
                repetitions: (0..3).map(|_| repetition(0, 5.0)).collect(),
                not_measured: None,
            };
            results.drills.insert(budget.name.to_owned(), measured);
        }
        assert!(table(&results).1);
        let b = results.drills.get_mut("b").unwrap();
        b.repetitions[0].cached.gap_ms = 7001.0;
        assert!(!table(&results).1);
    }
}
