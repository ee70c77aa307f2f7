//! The tables.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints"
)]

use super::Results;

/// Tells how far it is.
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// Prints everything as Markdown.
pub(super) fn print(results: &Results) {
    courses(results);
    dead(results);
    fair(results);
    for (subject, version) in &results.versions {
        println!("{subject} {version}");
    }
}

fn courses(results: &Results) {
    if results.courses.is_empty() {
        return;
    }
    println!(
        "| one upstream | subject | lost | errors | well, p99 ms | first second, ms | later, ms | \
         over 500 ms | extra load, well / ill | in use again, s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in &results.courses {
        let again = row.in_use_after_s;
        let again = again.map_or("no".to_owned(), |s| format!("{s:.1}"));
        println!(
            "| {} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {} | {:.0} % / {:.0} % | {again} |",
            row.fault,
            row.subject,
            row.lost,
            row.failed,
            row.well_p99_ms,
            row.first_second_ms,
            row.later_ms,
            row.over_500_ms,
            row.extra_well_percent,
            row.extra_ill_percent,
        );
    }
    println!();
}

fn dead(results: &Results) {
    if results.dead.is_empty() {
        return;
    }
    println!(
        "| both silent | cached, ms | expired at first / later, ms | new at first / later, ms | \
         expired not answered | new lost | questions a second to a dead upstream, mean / most | \
         other zone p99 before / while, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for row in &results.dead {
        let (first, later) = (&row.at_first, &row.later);
        println!(
            "| {} | {:.0} | {:.0} / {:.0} | {:.0} / {:.0} | {} | {} | {:.1} / {:.0} | {:.0} / {:.0} |",
            row.subject,
            first.cached_ms.max(later.cached_ms),
            first.expired_ms,
            later.expired_ms,
            first.new_ms,
            later.new_ms,
            first.expired_wrong + later.expired_wrong,
            first.new_lost + later.new_lost,
            row.probes_per_s,
            row.probes_per_s_max,
            row.second_zone_ms[0],
            row.second_zone_ms[1],
        );
    }
    println!();
}

fn fair(results: &Results) {
    if results.fair.is_empty() {
        return;
    }
    println!("| a flood | others' hits | others' misses | others' hit p99, ms | flood answered |");
    println!("|---|---|---|---|---|");
    for row in &results.fair {
        println!(
            "| {} | {:.1} % | {:.1} % | {:.2} | {:.1} % |",
            row.subject,
            row.hits_percent,
            row.misses_percent,
            row.hit_p99_ms,
            row.flood_answered_percent
        );
    }
    println!();
}
