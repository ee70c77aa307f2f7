//! The tables, in Markdown.

use super::results::{Filled, Results};
use super::statistics::Spread;
use super::summary::{Line, OfLoad, Summary};

/// All tables of a run.
pub(crate) fn of(results: &Results, summary: &Summary) -> String {
    let mut text = heading(results);
    for load in &summary.loads {
        text.push_str(&of_load(load));
    }
    text.push_str(&memory(results));
    text.push_str(&others(results));
    text
}

fn heading(results: &Results) -> String {
    let machine = &results.machine;
    let versions = results.versions.iter();
    let versions: Vec<String> = versions
        .filter(|(name, _)| !name.starts_with("limit-"))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let mut text = format!(
        "{}, {} cores, Linux {}, {}{}\n\n{}\n\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.date,
        if machine.quick { ", quick" } else { "" },
        versions.join(", "),
    );
    if !results.missing.is_empty() {
        text.push_str(&format!("Not here: {}.\n\n", results.missing.join(", ")));
    }
    text.push_str(
        "Medians, with the smallest and the greatest of all rounds in brackets. \
         Ratios are taken within each round.\n\n",
    );
    text
}

fn of_load(load: &OfLoad) -> String {
    let against = if load.name.ends_with("-full") {
        "÷ with room"
    } else {
        "÷ limit"
    };
    let mut text = format!(
        "### {}\n\n| | CPU µs/query | {against} | Sidestep ÷ it | queries/s | p50 µs | p99 µs | p99.9 µs | lost |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        load.name
    );
    for line in &load.lines {
        text.push_str(&row(line));
    }
    text + "\n"
}

fn row(line: &Line) -> String {
    let ratio = |ratio: Option<Spread>| ratio.map_or("–".to_owned(), |ratio| ratio.text(2));
    format!(
        "| {} | {} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {} |\n",
        line.entrant,
        line.cpu_us.text(2),
        ratio(line.ratio),
        ratio(line.sidestep),
        thousands(line.qps.median),
        line.p50_us.median,
        line.p99_us.median,
        line.p999_us.median,
        line.lost,
    )
}

fn memory(results: &Results) -> String {
    if results.memory.is_empty() {
        return String::new();
    }
    let mut text =
        "### memory\n\n| | entries | octets each | of that anonymous | still answered |\n\
                    |---|---|---|---|---|\n"
            .to_owned();
    let mut subjects: Vec<(&String, &Filled)> = results.memory.iter().collect();
    subjects.sort_by(|a, b| a.1.growth().total_cmp(&b.1.growth()));
    for (name, filled) in subjects {
        let anonymous = filled.anonymous_after as f64 - filled.anonymous_before as f64;
        let each = anonymous / f64::from(filled.asked.max(1));
        let kept = filled.kept.map(|kept| thousands(kept as f64));
        text.push_str(&format!(
            "| {name} | {} | {:.0} | {each:.0} | {} |\n",
            thousands(f64::from(filled.asked)),
            filled.octets_per_entry(),
            kept.unwrap_or("–".to_owned()),
        ));
    }
    text + "\n"
}

fn others(results: &Results) -> String {
    let mut text = String::new();
    if let Some(resident) = &results.resident {
        let mebibytes = |octets: f64| octets / f64::from(1 << 20);
        let reported = resident.reported_after.unwrap_or(0) - resident.reported_before.unwrap_or(0);
        text.push_str(&format!(
            "### resident\n\nThe process grew by {:.1} MiB, its metrics by {:.1} MiB.\n\n",
            mebibytes(resident.growth()),
            mebibytes(reported as f64),
        ));
    }
    if !results.dead_upstreams.is_empty() {
        let rounds = &results.dead_upstreams;
        let tail = |of: fn(&super::Dead) -> f64| {
            Spread::of(rounds.iter().map(of)).map_or(String::new(), |spread| spread.text(0))
        };
        let lost: u64 = rounds.iter().map(|round| round.dead.lost).sum();
        text.push_str(&format!(
            "### dead-upstreams\n\np99 of hits {} µs when quiet, {} µs while upstreams are dead; \
             {lost} lost.\n\n",
            tail(|round| round.quiet.p99_us),
            tail(|round| round.dead.p99_us),
        ));
    }
    for (name, starts) in &results.start_ms {
        if let Some(start) = Spread::of(starts.iter().copied()) {
            let text_ms = start.text(1);
            text.push_str(&format!(
                "### start\n\n{name}: {text_ms} ms to the first answer.\n\n"
            ));
        }
    }
    text
}

/// `12,345`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::rounds;
    use super::*;

    #[test]
    fn a_row_shows_cost_spread_ratios_and_losses() {
        let mut results = Results::default();
        let all: &[&[(&str, f64)]] = &[
            &[("limit-udp", 3.0), ("sidestep", 3.3), ("unbound", 4.4)],
            &[("limit-udp", 3.0), ("sidestep", 3.6), ("unbound", 4.8)],
        ];
        results.loads.insert("udp-hit".to_owned(), rounds(all));
        let text = of(&results, &Summary::of(&results));
        for row in [
            "| sidestep | 3.45 (3.30–3.60) | 1.15 (1.10–1.20) | – | 2,000 | 0 | 345 | 0 | 0 |",
            "| unbound | 4.60 (4.40–4.80) | 1.53 (1.47–1.60) | 0.75 (0.75–0.75) | 2,000 | 0 | 460 | 0 | 0 |",
        ] {
            assert!(text.lines().any(|line| line == row), "{row}\n{text}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0.0, 999.6, 1234567.0].map(thousands),
            ["0", "1,000", "1,234,567"]
        );
    }
}
