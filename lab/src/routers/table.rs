//! The report of all checks, router by router and family by family.

use std::fmt::Write as _;
use std::time::Duration;

use super::kind::{Kind, Session, Way};
use crate::routes::Family;

/// What came out for one session.
pub(super) enum Outcome {
    Good(Option<Duration>),
    Wrong(String),
}

/// One check.
struct Row {
    setup: &'static str,
    check: &'static str,
    cells: Vec<(Session, Outcome)>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn add(
        &mut self,
        setup: &'static str,
        check: &'static str,
        cells: Vec<(Session, Outcome)>,
    ) {
        self.0.push(Row {
            setup,
            check,
            cells,
        });
    }

    /// The last check in one line, and what is wrong with it.
    pub(super) fn last(&self) -> String {
        let Some(row) = self.0.last() else {
            return String::new();
        };
        let mut text = format!("  {}:", row.check);
        for (session, outcome) in &row.cells {
            // Nothing can fail here: it is a string.
            let _ = write!(text, " {session} {};", short(outcome));
        }
        for wrong in row.wrong() {
            text.push_str("\n    ");
            text.push_str(&wrong);
        }
        text
    }

    /// Whether something was looked at, and nothing is wrong.
    pub(super) fn holds(&self) -> bool {
        let mut outcomes = self.0.iter().flat_map(|row| &row.cells).peekable();
        outcomes.peek().is_some() && outcomes.all(|(_, o)| matches!(o, Outcome::Good(_)))
    }

    /// As Markdown, with all that is wrong below it.
    pub(super) fn text(&self) -> String {
        let columns: Vec<Session> = Kind::ALL
            .into_iter()
            .flat_map(|kind| Family::ALL.map(|family| Session::new(kind, family, Way::Direct)))
            .collect();
        let mut text = "| part | check |".to_owned();
        for column in &columns {
            let _ = write!(text, " {column} |");
        }
        let _ = write!(text, "\n|---|---|{}", "---|".repeat(columns.len()));
        for row in &self.0 {
            let _ = write!(text, "\n| {} | {} |", row.setup, row.check);
            for column in &columns {
                let is_here = |(session, _): &&(Session, Outcome)| {
                    session.kind == column.kind && session.family == column.family
                };
                let cell = row.cells.iter().find(is_here);
                let _ = write!(text, " {} |", cell.map_or("–".to_owned(), |c| short(&c.1)));
            }
        }
        text.push('\n');
        for row in &self.0 {
            for wrong in row.wrong() {
                let _ = write!(text, "\nWRONG: {}: {}: {wrong}", row.setup, row.check);
            }
        }
        text
    }
}

impl Row {
    fn wrong(&self) -> impl Iterator<Item = String> {
        self.cells
            .iter()
            .filter_map(|(session, outcome)| match outcome {
                Outcome::Wrong(why) => Some(format!("{session}: {why}")),
                Outcome::Good(_) => None,
            })
    }
}

fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Good(None) => "ok".to_owned(),
        Outcome::Good(Some(after)) => format!("{} ms", after.as_millis()),
        Outcome::Wrong(_) => "WRONG".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_shows_each_session_in_its_column_and_says_what_is_wrong() {
        let mut table = Table::default();
        assert!(!table.holds(), "nothing was looked at");
        let session = |kind, family| Session::new(kind, family, Way::Far);
        let after = Some(Duration::from_millis(312));
        let good = (session(Kind::Frr, Family::V4), Outcome::Good(after));
        table.add("plain", "announced", vec![good]);
        assert!(table.holds());
        let wrong = Outcome::Wrong("no route".to_owned());
        table.add(
            "plain",
            "withdrawn",
            vec![(session(Kind::Bird, Family::V6), wrong)],
        );
        assert!(!table.holds());
        let text = table.text();
        assert!(
            text.contains("| plain | announced | 312 ms | – | – | – | – | – |"),
            "{text}"
        );
        assert!(
            text.contains("| plain | withdrawn | – | – | – | WRONG | – | – |"),
            "{text}"
        );
        assert!(text.ends_with("WRONG: plain: withdrawn: BIRD IPv6: no route"));
    }
}
