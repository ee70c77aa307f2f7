//! All neighbours for people: one line each, none wider than 100 columns.

use crate::admin::status::neighbor::{BfdState, Mishap, NeighborDetail, NeighborList};
use crate::cli::layout::{Row, align, duration, none, printable, row};

const WIDTH_MAX: usize = 100;
/// Less of a text than this says nothing.
const ERROR_WIDTH_MIN: usize = 24;
const GAP: usize = 2;

/// The whole table, with what is missing below it.
pub(super) fn render(list: &NeighborList) -> String {
    let mut text = match list.neighbors.as_slice() {
        [] => format!("{} has no neighbors\n", printable(&list.node)),
        neighbors => table(neighbors),
    };
    for warning in &list.warnings {
        text.push_str(&format!("warning: {}\n", printable(warning)));
    }
    text
}

fn table(neighbors: &[NeighborDetail]) -> String {
    let mut rows = vec![row([
        "NEIGHBOR", "AS", "STATE", "SINCE", "BFD", "PFX", "IN", "OUT",
    ])];
    rows.extend(neighbors.iter().map(line));
    let widest = align(&rows).lines().map(|line| line.chars().count()).max();
    let place = WIDTH_MAX.saturating_sub(widest.unwrap_or_default() + GAP);
    let errors = neighbors.iter().map(|one| one.last_end.as_ref().map(told));
    if place < ERROR_WIDTH_MIN {
        return align(&rows) + &below(neighbors);
    }
    let heads = [Some("LAST ERROR".to_owned())];
    for (row, error) in rows.iter_mut().zip(heads.into_iter().chain(errors)) {
        row.push(error.map_or_else(none, |error| cut(&error, place)));
    }
    align(&rows)
}

/// Where addresses leave no place for a column, errors have lines of their own.
fn below(neighbors: &[NeighborDetail]) -> String {
    let mut text = String::new();
    for neighbor in neighbors {
        if let Some(error) = &neighbor.last_end {
            let line = format!("{}: {}", neighbor.summary.address, told(error));
            text.push_str(&cut(&line, WIDTH_MAX));
            text.push('\n');
        }
    }
    text
}

/// The age first: what is cut off is less missed.
fn told(error: &Mishap) -> String {
    printable(&format!("{} ago: {}", duration(error.ago_s), error.text))
}

fn line(neighbor: &NeighborDetail) -> Row {
    let summary = &neighbor.summary;
    row([
        &summary.address,
        &summary.asn.map_or_else(none, |asn| asn.to_string()),
        summary.state.name(),
        &duration(summary.since_s),
        summary.bfd.map_or("-", short),
        &summary.announced.len().to_string(),
        &count(neighbor.messages.received.total()),
        &count(neighbor.messages.sent.total()),
    ])
}

/// At most 5 characters.
const fn short(state: BfdState) -> &'static str {
    match state {
        BfdState::AdminDown => "Admin",
        BfdState::Down | BfdState::Init | BfdState::Up => state.name(),
    }
}

/// At most 4 characters, as long as there are fewer than 10^18; rounded down.
fn count(number: u64) -> String {
    let mut rest = number;
    for unit in ["", "k", "M", "G", "T"] {
        if rest < 1_000 || (rest < 10_000 && unit.is_empty()) {
            return format!("{rest}{unit}");
        }
        rest /= 1_000;
    }
    format!("{rest}P")
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::SessionState;
    use crate::admin::status::neighbor::example;

    fn list(neighbors: Vec<NeighborDetail>) -> NeighborList {
        NeighborList {
            node: "ams1".into(),
            neighbors,
            warnings: Vec::new(),
        }
    }

    fn with_error(address: &str, error: &str) -> NeighborDetail {
        let mut neighbor = example();
        neighbor.summary.address = address.into();
        neighbor.last_end = Some(Mishap {
            text: error.into(),
            ago_s: 5,
        });
        neighbor
    }

    #[test]
    fn the_table_has_a_line_for_each_neighbour_and_for_what_is_missing() {
        let mut away = with_error("2001:db8::1", "connect timed out");
        away.summary.state = SessionState::Active;
        away.summary.asn = None;
        away.summary.bfd = None;
        away.summary.announced.clear();
        let mut list = list(vec![example(), away]);
        list.warnings = vec!["neighbor interface:eth2: no router is heard".into()];
        let expected = "\
NEIGHBOR     AS     STATE        SINCE  BFD  PFX  IN  OUT   LAST ERROR
192.0.2.1    65001  Established  1h 2m  Up   2    69  1263  1h 2m ago: sent 4/0 hold timer expired
2001:db8::1  -      Active       1h 2m  -    0    69  1263  5s ago: connect timed out
warning: neighbor interface:eth2: no router is heard
";
        assert_eq!(render(&list), expected);
    }

    #[test]
    fn a_node_without_neighbours_says_so() {
        assert_eq!(render(&list(Vec::new())), "ams1 has no neighbors\n");
    }

    /// RFC 9003 §2: a neighbour's text may have 255 octets.
    #[test]
    fn no_line_is_wider_than_100_columns() {
        let long = "received 6/2 cease: administrative shutdown: ".to_owned() + &"ä".repeat(120);
        for address in [
            "10.0.0.1",
            "2001:db8::1",
            "2001:db8:1234:5678:9abc:def0:1234:5678",
            "fe80::1234:5678:9abc:def0%enp130s0f1np123",
        ] {
            let mut neighbor = with_error(address, &long);
            neighbor.summary.asn = Some(u32::MAX);
            neighbor.summary.bfd = Some(BfdState::AdminDown);
            neighbor.summary.since_s = 86_399;
            neighbor.messages.sent.keepalive = 999_999_999;
            neighbor.messages.received.keepalive = 123_456_789;
            let text = render(&list(vec![neighbor]));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(WIDTH_MAX), "{text}");
            assert!(text.contains("received 6/2"), "{text}");
            assert!(text.ends_with("…\n"), "{text}");
        }
    }

    /// RFC 9003: the shutdown text is the peer's.
    #[test]
    fn what_a_peer_wrote_cannot_command_the_terminal() {
        let text = render(&list(vec![with_error("192.0.2.1", "bye\x1b[2J\n\u{9b}1m")]));
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    /// Just before and at each limit.
    #[test]
    fn counts_take_at_most_four_places() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10k"),
            (999_999, "999k"),
            (1_000_000, "1M"),
            (u64::MAX / 100, "184P"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
