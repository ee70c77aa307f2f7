//! The chart: CPU time per query, relative to the bare loop, of each subject in four scenarios.

use crate::report::Summary;
use crate::subject::PEERS;

/// Two panels, each with a scale of its own, because a miss costs many times what a hit does; the
/// scenarios with their colours, which can be told apart without seeing colours well too.
const PANELS: [[(&str, &str); 2]; 2] = [
    [("udp-hit", "#0072b2"), ("tcp-hit", "#56b4e9")],
    [("mix", "#e69f00"), ("miss", "#d55e00")],
];
const WIDTH: f64 = 860.0;
/// Where the panels begin.
const LEFT: [f64; 2] = [130.0, 510.0];
/// The longest bar; the number stands behind it.
const LONGEST: f64 = 300.0;
const TOP: f64 = 74.0;
const BAR: f64 = 15.0;
const GAP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The chart as SVG; subjects without any of the scenarios are left out.
pub(crate) fn draw(summary: &Summary) -> String {
    let ratio = |scenario: &str, subject: &str| {
        let line = summary.line(scenario, subject)?;
        Some(line.ratio?.median)
    };
    let is_measured = |subject: &&str| {
        let mut scenarios = PANELS.iter().flatten();
        scenarios.any(|(scenario, _)| ratio(scenario, subject).is_some())
    };
    let subjects = ["sidestep"].into_iter().chain(PEERS).filter(is_measured);
    let subjects: Vec<&str> = subjects.collect();
    let height = TOP + BOTTOM + subjects.len() as f64 * (2.0 * BAR + GAP);

    let mut svg = head(height);
    for (row, subject) in subjects.iter().enumerate() {
        svg.push_str(&label(subject, top_of(row)));
    }
    for (panel, left) in PANELS.iter().zip(LEFT) {
        let rows = || subjects.iter().enumerate();
        let bars = panel
            .iter()
            .enumerate()
            .flat_map(|(place, (scenario, colour))| {
                rows().filter_map(move |(row, subject)| {
                    let y = top_of(row) + place as f64 * BAR;
                    Some((y, *scenario, *colour, ratio(scenario, subject)?))
                })
            });
        let bars: Vec<(f64, &str, &str, f64)> = bars.collect();
        let longest = bars.iter().map(|bar| bar.3).fold(1.5, f64::max);
        let scale = LONGEST / longest;
        svg.push_str(&legend(panel, left));
        for (y, scenario, colour, ratio) in bars {
            svg.push_str(&bar(left, y, ratio * scale, scenario, colour, ratio));
        }
        svg.push_str(&limit_line(left + scale, height - BOTTOM));
    }
    svg.push_str("</svg>\n");
    svg
}

fn top_of(row: usize) -> f64 {
    TOP + row as f64 * (2.0 * BAR + GAP)
}

fn head(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#222222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">\
         CPU time per query, relative to a bare loop (less is better)</text>\n"
    )
}

fn label(subject: &str, y: f64) -> String {
    let weight = if subject == "sidestep" {
        "bold"
    } else {
        "normal"
    };
    format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-weight=\"{weight}\">{subject}</text>\n",
        LEFT[0] - 10.0,
        y + BAR + 4.0,
    )
}

fn legend(panel: &[(&str, &str)], left: f64) -> String {
    let entry = |(index, (scenario, colour)): (usize, &(&str, &str))| {
        let x = left + index as f64 * 90.0;
        format!(
            "<rect x=\"{x}\" y=\"40\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"50\">{scenario}</text>\n",
            x + 17.0
        )
    };
    panel.iter().enumerate().map(entry).collect()
}

fn bar(left: f64, y: f64, width: f64, scenario: &str, colour: &str, ratio: f64) -> String {
    format!(
        "<rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\">\
         <title>{scenario}: {ratio:.2}</title></rect>\
         <text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{ratio:.2}</text>\n",
        BAR - 2.0,
        left + width + 4.0,
        y + BAR - 4.0,
    )
}

/// What nobody can be faster than.
fn limit_line(x: f64, bottom: f64) -> String {
    format!(
        "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#222222\" \
         stroke-dasharray=\"4 3\"/>\n\
         <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">1 = the bare loop</text>\n",
        TOP - 8.0,
        bottom + 16.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Results, Turn};

    #[test]
    fn every_measured_subject_has_its_bars_and_the_background_is_white() {
        let mut results = Results::default();
        let turn = |cpu_s| Turn {
            answered: 1_000_000,
            elapsed_s: 1.0,
            cpu_s,
            ..Turn::default()
        };
        let round = [("limit-udp", 2.0), ("sidestep", 2.5), ("bind9", 5.0)];
        let round = round.map(|(name, cpu_s)| (name.to_owned(), turn(cpu_s)));
        let rounds = vec![round.into_iter().collect()];
        results.loads.insert("udp-hit".to_owned(), rounds);
        let svg = draw(&Summary::of(&results));
        for part in [
            "fill=\"#ffffff\"",
            "udp-hit: 1.25",
            "udp-hit: 2.50",
            ">bind9<",
        ] {
            assert!(svg.contains(part), "{part}\n{svg}");
        }
        assert!(!svg.contains("unbound") && !svg.contains("limit-udp"));
    }
}
