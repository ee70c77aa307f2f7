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

/// A rate per second: `1,240`, and below ten with a tenth, `0.4`.
pub(super) fn rate(rate: f64) -> String {
    if rate < 9.95 {
        return format!("{rate:.1}");
    }
    let digits = format!("{rate:.0}");
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
    use super::*;

    #[test]
    fn rates_are_written_for_people() {
        let cases = [
            (0.0, "0.0"),
            (0.44, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (1_240.0, "1,240"),
            (1_234_567.0, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(rate(number), text);
        }
    }
}
