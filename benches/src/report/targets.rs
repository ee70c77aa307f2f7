//! What Sidestep wants to reach, and whether it did.

use serde::Serialize;

use super::results::Results;
use super::statistics::Spread;
use super::summary::{Summary, full};
use crate::subject::PEERS;

/// One line.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) figure: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Ok,
    Missed,
    NotMeasured,
}

impl Target {
    /// A figure with what it may be at most.
    fn at_most(
        figure: &'static str,
        limit: (&'static str, f64),
        measured: Option<f64>,
        unit: &str,
    ) -> Self {
        let verdict = match measured {
            None => Verdict::NotMeasured,
            Some(value) if value <= limit.1 => Verdict::Ok,
            Some(_) => Verdict::Missed,
        };
        Self {
            figure,
            limit: limit.0,
            measured: measured.map_or("–".to_owned(), |value| format!("{value:.2}{unit}")),
            verdict,
        }
    }

    /// Sidestep's cost in a scenario against the cheapest peer's.
    fn below_peers(figure: &'static str, summary: &Summary, load: &str) -> Self {
        let against = |peer: &&'static str| {
            let ratio = summary.line(load, peer)?.sidestep?.median;
            Some((*peer, ratio))
        };
        let nearest = PEERS.iter().filter_map(against);
        let nearest = nearest.max_by(|a, b| a.1.total_cmp(&b.1));
        let limit = "below every peer";
        let Some((peer, ratio)) = nearest else {
            return Self::at_most(figure, (limit, 0.0), None, "");
        };
        Self {
            figure,
            limit,
            measured: format!("{ratio:.2} × {peer}"),
            verdict: if ratio < 1.0 {
                Verdict::Ok
            } else {
                Verdict::Missed
            },
        }
    }
}

/// Every target against what was measured.
pub(crate) fn judge(results: &Results, summary: &Summary) -> Vec<Target> {
    let ratio = |load, entrant: &str| {
        let ratio = summary.line(load, entrant)?.ratio?;
        Some(ratio.median)
    };
    let own = "sidestep";
    let mut targets = vec![
        Target::at_most(
            "UDP hit ÷ bare loop",
            ("1.12", 1.12),
            ratio("udp-hit", own),
            "",
        ),
        Target::below_peers("UDP hit", summary, "udp-hit"),
        Target::below_peers("UDP hit at 20,000/s", summary, "udp-hit-20k"),
        Target::at_most(
            "UDP hit at 20,000/s: p99 ÷ bare loop's",
            ("2", 2.0),
            tail_at_rate(results),
            "",
        ),
        Target::at_most("miss ÷ bare relay", ("1.5", 1.5), ratio("miss", own), ""),
        Target::below_peers("miss", summary, "miss"),
        Target::at_most(
            "TCP hit ÷ bare TCP loop",
            ("1.25", 1.25),
            ratio("tcp-hit", own),
            "",
        ),
        Target::below_peers("TCP hit", summary, "tcp-hit"),
        Target::below_peers("TCP hit, pipelined", summary, "tcp-pipelined"),
        Target::below_peers("90/10 mix", summary, "mix"),
    ];
    for (figure, load) in [
        ("UDP hit, cache full ÷ with room", "udp-hit-full"),
        ("miss, cache full ÷ with room", "miss-full"),
    ] {
        let measured = ratio(load, &full(own));
        targets.push(Target::at_most(figure, ("1.1", 1.1), measured, ""));
    }
    targets.extend(of_process(results));
    targets
}

fn of_process(results: &Results) -> Vec<Target> {
    let memory = results.memory.get("sidestep");
    let lost = |filled: &super::Filled| Some(f64::from(filled.asked) - filled.kept? as f64);
    let dead = &results.dead_upstreams;
    let dead_lost: u64 = dead.iter().map(|round| round.dead.lost).sum();
    let ratios = dead
        .iter()
        .map(|r| r.dead.p99_us / r.quiet.p99_us.max(1e-9));
    let tail = Spread::of(ratios).map(|s| s.median);
    let starts = results.start_ms.get("sidestep");
    let start = Spread::of(starts.into_iter().flatten().copied()).map(|s| s.median);
    vec![
        Target::at_most(
            "memory per cached A answer",
            ("130 octets", 130.0),
            memory.map(super::Filled::octets_per_entry),
            " octets",
        ),
        Target::at_most(
            "of them not answered with the upstream silent",
            ("0", 0.0),
            memory.and_then(lost),
            "",
        ),
        Target::at_most(
            "growth from empty to full ÷ octets reported",
            ("1.10", 1.10),
            results
                .resident
                .as_ref()
                .and_then(super::Filled::against_reported),
            "",
        ),
        Target::at_most(
            "hits lost while upstreams are dead",
            ("0", 0.0),
            (!dead.is_empty()).then_some(dead_lost as f64),
            "",
        ),
        Target::at_most("their p99 ÷ quiet", ("2", 2.0), tail, ""),
        Target::at_most("start to first answer", ("20 ms", 20.0), start, " ms"),
        Target::at_most(
            "look-ups: two threads ÷ one, ns each",
            ("1.3", 1.3),
            Spread::of(results.lookups.iter().copied()).map(|s| s.median),
            "",
        ),
    ]
}

/// Median over the rounds of Sidestep's p99 ÷ the bare loop's.
fn tail_at_rate(results: &Results) -> Option<f64> {
    let rounds = results.loads.get("udp-hit-20k")?;
    let ratio = |round: &super::Round| {
        let bare = round.get("limit-udp")?.p99_us;
        (bare > 0.0).then_some(round.get("sidestep")?.p99_us / bare)
    };
    Spread::of(rounds.iter().filter_map(ratio)).map(|s| s.median)
}

/// The targets as a Markdown table.
pub(crate) fn table(targets: &[Target]) -> String {
    let mut text =
        "### Targets\n\n| figure | at most | measured | |\n|---|---|---|---|\n".to_owned();
    for target in targets {
        let verdict = match target.verdict {
            Verdict::Ok => "ok",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "not measured",
        };
        let Target {
            figure,
            limit,
            measured,
            ..
        } = target;
        text.push_str(&format!(
            "| {figure} | {limit} | {measured} | {verdict} |\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results::{Dead, Filled};
    use super::super::summary::tests::{rounds, turn};
    use super::*;

    fn judged(results: &Results) -> Vec<(String, Verdict)> {
        let targets = judge(results, &Summary::of(results));
        targets
            .into_iter()
            .filter(|target| target.verdict != Verdict::NotMeasured)
            .map(|target| {
                (
                    format!("{}: {}", target.figure, target.measured),
                    target.verdict,
                )
            })
            .collect()
    }

    #[test]
    fn a_target_is_judged_by_the_median_and_the_cheapest_peer() {
        let mut results = Results::default();
        let round: &[_] = &[
            ("limit-udp", 3.0),
            ("sidestep", 3.3),
            ("dnsdist", 3.2),
            ("unbound", 9.0),
        ];
        results.loads.insert("udp-hit".to_owned(), rounds(&[round]));
        assert_eq!(
            judged(&results),
            [
                ("UDP hit ÷ bare loop: 1.10".to_owned(), Verdict::Ok),
                ("UDP hit: 1.03 × dnsdist".to_owned(), Verdict::Missed),
            ]
        );
    }

    #[test]
    fn memory_loss_and_start_are_judged() {
        let mut results = Results::default();
        let filled = Filled {
            asked: 1000,
            resident_after: 130_001,
            kept: Some(999),
            ..Filled::default()
        };
        results.memory.insert("sidestep".to_owned(), filled);
        let (quiet, dead) = (turn(3.0), turn(6.0));
        results.dead_upstreams.push(Dead { quiet, dead });
        results
            .start_ms
            .insert("sidestep".to_owned(), vec![19.0, 20.0, 50.0]);
        let verdicts: Vec<Verdict> = judged(&results).into_iter().map(|(_, v)| v).collect();
        use Verdict::{Missed, Ok};
        assert_eq!(verdicts, [Missed, Missed, Ok, Ok, Ok]);
    }
}
