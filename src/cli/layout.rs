//! Tables for people: aligned columns, no colour, nothing wider than its content.
//!
//! Text that peers chose (a shutdown reason, for example) is stripped of control characters: it
//! must not command the terminal.

pub(super) use crate::admin::status::explain::duration;

/// A line of a table.
pub(super) type Row = Vec<String>;

/// `text` without control characters.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A line of these cells.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.iter().map(|cell| printable(cell)).collect()
}

/// Pads every column but the last to its widest cell.
pub(super) fn align(rows: &[Row]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// For a cell.
pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A cell without content.
pub(super) fn none() -> String {
    "-".to_owned()
}
