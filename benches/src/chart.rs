//! The chart: CPU time per query, relative to the bare loop, of each subject in four scenarios.

use crate::report::Summary;
use crate::subject::PEERS;

/// Scenarios with their colours, which can be told apart without seeing colours well too.
const BARS: [(&str, &str); 4] = [
    ("udp-hit", "#0072b2"),
    ("tcp-hit", "#56b4e9"),
    ("mix", "#e69f00"),
    ("miss", "#d55e00"),
];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
/// Room for the number behind the longest bar.
const RIGHT: f64 = 50.0;
const TOP: f64 = 70.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const BOTTOM: f64 = 30.0;

/// The chart as SVG; subjects without any of the scenarios are left out.
pub(crate) fn draw(summary: &Summary) -> String {
    let groups = groups(summary);
    let values = groups.iter().flat_map(|group| &group.1);
    let longest = values.map(|bar| bar.2).fold(1.5, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let height_of = |bars: usize| bars as f64 * BAR + GAP;
    let height = TOP + BOTTOM + groups.iter().map(|g| height_of(g.1.len())).sum::<f64>();

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#222222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">\
         CPU time per query, relative to a bare loop (less is better)</text>\n"
    );
    svg.push_str(&legend());
    let mut y = TOP;
    for (subject, bars) in &groups {
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        let weight = if *subject == "sidestep" {
            "bold"
        } else {
            "normal"
        };
        svg.push_str(&format!(
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\" font-weight=\"{weight}\">{subject}</text>\n",
            LEFT - 10.0
        ));
        for (scenario, colour, ratio) in bars {
            svg.push_str(&bar(y, scale, scenario, colour, *ratio));
            y += BAR;
        }
        y += GAP;
    }
    svg.push_str(&limit_line(LEFT + scale, height - BOTTOM));
    svg.push_str("</svg>\n");
    svg
}

type Group = (&'static str, Vec<(&'static str, &'static str, f64)>);

fn groups(summary: &Summary) -> Vec<Group> {
    let bars = |subject: &str| {
        let bar = |(scenario, colour): (&'static str, &'static str)| {
            let ratio = summary.line(scenario, subject)?.ratio?.median;
            Some((scenario, colour, ratio))
        };
        BARS.into_iter().filter_map(bar).collect::<Vec<_>>()
    };
    let subjects = ["sidestep"].into_iter().chain(PEERS);
    let groups = subjects.map(|subject| (subject, bars(subject)));
    groups.filter(|group| !group.1.is_empty()).collect()
}

fn legend() -> String {
    let entry = |(index, (scenario, colour)): (usize, &(&str, &str))| {
        let x = LEFT + index as f64 * 100.0;
        format!(
            "<rect x=\"{x}\" y=\"40\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"50\">{scenario}</text>\n",
            x + 17.0
        )
    };
    BARS.iter().enumerate().map(entry).collect()
}

fn bar(y: f64, scale: f64, scenario: &str, colour: &str, ratio: f64) -> String {
    let width = ratio * scale;
    format!(
        "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\">\
         <title>{scenario}: {ratio:.2}</title></rect>\
         <text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{ratio:.2}</text>\n",
        BAR - 2.0,
        LEFT + width + 4.0,
        y + BAR - 3.5,
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
