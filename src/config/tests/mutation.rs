//! The examples, changed at random: whatever comes out, the reader answers with a value or errors.

use proptest::prelude::*;

use super::{EXAMPLES, read};
use crate::config::Severity;

/// Every example, and a file with nearly every key of a neighbour.
fn texts() -> impl Strategy<Value = &'static str> {
    let broken = include_str!("../../../tests/check/neighbor_terms.toml");
    let texts: Vec<&str> = EXAMPLES.into_iter().chain([broken]).collect();
    proptest::sample::select(texts)
}

/// A change of an example that leaves it readable more often than not.
#[derive(Clone, Debug)]
enum Change {
    DropLine(usize),
    SwapLines(usize, usize),
    ReplaceWord(usize, &'static str),
    Insert(usize, char),
    Cut(usize),
}

const WORDS: [&str; 16] = [
    "[[bgp.neighbor]]",
    "[dns]",
    "[[service]]",
    "\"\"",
    "[]",
    "{}",
    "-1",
    "0",
    "99999999999999999999",
    "1e400",
    "\"fd53::53\"",
    "\"10.53.53.53\"",
    "\"0.0.0.0/0\"",
    "1979-05-27",
    "true",
    "\"ä.\\u0000\"",
];

fn change() -> impl Strategy<Value = Change> {
    let place = 0..4096_usize;
    prop_oneof![
        place.clone().prop_map(Change::DropLine),
        (place.clone(), place.clone()).prop_map(|(one, other)| Change::SwapLines(one, other)),
        (place.clone(), proptest::sample::select(&WORDS[..]))
            .prop_map(|(index, word)| Change::ReplaceWord(index, word)),
        (place.clone(), any::<char>()).prop_map(|(index, c)| Change::Insert(index, c)),
        place.prop_map(Change::Cut),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.push(String::new());
    let count = lines.len();
    match change {
        Change::DropLine(index) => {
            lines.remove(index % count);
        }
        Change::SwapLines(one, other) => lines.swap(one % count, other % count),
        Change::ReplaceWord(index, word) => {
            let line = &mut lines[index % count];
            let kept = line.split_inclusive('=').next().unwrap_or_default();
            *line = if kept.ends_with('=') {
                format!("{kept} {word}")
            } else {
                (*word).to_owned()
            };
        }
        Change::Insert(index, c) => {
            let line = &mut lines[index % count];
            let middle = line.chars().count() / 2;
            let place = line
                .char_indices()
                .nth(middle)
                .map_or(0, |(place, _)| place);
            line.insert(place, *c);
        }
        Change::Cut(index) => lines.truncate(index % count),
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_and_every_error_has_a_place(
        example in texts(),
        changes in proptest::collection::vec(change(), 1..8),
        variable in proptest::option::of(("(NODE|DNS|BGP|HEALTH|FORWARD)_{0,3}[A-Z_]{0,8}", ".{0,20}")),
    ) {
        let text = changes.iter().fold(example.to_owned(), |text, change| apply(&text, change));
        let variables: Vec<_> = variable.into_iter()
            .map(|(name, value)| (format!("SIDESTEP_{name}"), value))
            .collect();
        let variables: Vec<_> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        if let Err(diagnostics) = read(&[&text], &variables) {
            prop_assert!(diagnostics.iter().any(|found| found.severity == Severity::Error));
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.origin.is_some(), "{}", diagnostic);
                prop_assert!(!diagnostic.text.contains('\n'), "{}", diagnostic);
            }
        }
    }
}
