//! From merged values to their shapes, with everything that has the wrong one reported.
//!
//! serde stops at the first error. So each error is noted, the value that caused it is taken out,
//! and the rest is read again, until it fits.

use std::collections::BTreeSet;

use figment::error::{Actual, Kind};
use figment::value::{Empty, Tag, Value};

use super::check::Checker;
use super::key_path::KeyPath;
use super::layer::{Target, find, find_mut};
use super::raw::Raw;
use super::span;

/// So many errors are shown; each takes one reading of the whole.
const ERRORS_MAX: usize = 100;

/// What serde calls an array.
const LIST: &str = "a sequence";
/// What the shapes in [`super::raw`] call themselves.
const TABLE: &str = "a table";
const LISTS_OF_TABLES: [&str; 5] = [
    "service",
    "service.check",
    "local",
    "forward",
    "bgp.neighbor",
];

/// Reads the shapes. `None` when there are so many errors that looking on makes no sense.
pub(super) fn extract(checker: &mut Checker<'_>) -> Option<Raw> {
    let mut value = checker.layers.value.clone();
    let mut understood = BTreeSet::new();
    for _ in 0..ERRORS_MAX {
        let error = match value.deserialize::<Raw>() {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let path = KeyPath::from(error.path);
        if is_about_shape(&error.kind)
            && understood.insert(path.clone())
            && read_variable(checker, &mut value, &path, &error.kind)
        {
            continue;
        }
        match &error.kind {
            Kind::UnknownField(name, known) => {
                let text = unknown_key(name, known);
                checker.error_at(&path, Target::Key, &text);
            }
            kind => {
                let variable =
                    find(&value, &path).and_then(|value| checker.layers.variable(value.tag()));
                let text = wrong_shape(&path, kind, variable.as_deref());
                checker.error(&path, &text);
            }
        }
        if !take_out(&mut value, &path) {
            return None;
        }
    }
    None
}

fn is_about_shape(kind: &Kind) -> bool {
    matches!(kind, Kind::InvalidType(..) | Kind::InvalidValue(..))
}

/// A variable holds text: where a text does not fit, it is read as a TOML value, or as a list of
/// texts with commas between them. Not so for a table, because it would hide the layers below.
fn read_variable(checker: &Checker<'_>, root: &mut Value, path: &KeyPath, kind: &Kind) -> bool {
    let Some(value) = find_mut(root, path) else {
        return false;
    };
    let Value::String(tag, text) = value else {
        return false;
    };
    let wants_table = matches!(kind, Kind::InvalidType(_, expected) if expected == TABLE);
    if wants_table || checker.layers.variable(*tag).is_none() {
        return false;
    }
    let tag: Tag = *tag;
    let new = span::parse_value(text, tag).or_else(|| {
        let Kind::InvalidType(_, expected) = kind else {
            return None;
        };
        let parts = text.split(',').map(str::trim);
        (expected == LIST).then(|| {
            let parts = parts.map(|part| Value::String(tag, part.to_owned()));
            Value::Array(tag, parts.collect())
        })
    });
    let Some(new) = new else {
        return false;
    };
    *value = new;
    true
}

/// Removes a value from its table; in a list it leaves a gap, for the others keep their places.
fn take_out(root: &mut Value, path: &KeyPath) -> bool {
    let Some((parent, last)) = path.split() else {
        return false;
    };
    match find_mut(root, &parent) {
        Some(Value::Dict(_, dict)) => dict.remove(last).is_some(),
        Some(Value::Array(..)) => {
            let gap = find(root, path).map(Value::tag);
            let (Some(tag), Some(element)) = (gap, find_mut(root, path)) else {
                return false;
            };
            let was_gap = matches!(element, Value::Empty(..));
            *element = Value::Empty(tag, Empty::None);
            !was_gap
        }
        _ => false,
    }
}

fn unknown_key(name: &str, known: &[&str]) -> String {
    let likely = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match likely {
        Some((_, candidate)) => format!("unknown key; did you mean {candidate:?}?"),
        None => format!("unknown key; remove it or use one of {}", known.join(", ")),
    }
}

fn wrong_shape(path: &KeyPath, kind: &Kind, variable: Option<&str>) -> String {
    let (Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected)) = kind else {
        return format!("correct this value: {kind}");
    };
    let key = path.to_string();
    match (expected.as_str(), variable) {
        (TABLE, Some(variable)) => {
            return format!("set the keys of this table one by one, as {variable}__KEY");
        }
        (LIST, Some(_)) => return "set the whole list in one variable, as in TOML".to_owned(),
        (LIST, None) if LISTS_OF_TABLES.contains(&key.as_str()) => {
            return format!("write the header with two brackets: [[{key}]]");
        }
        _ => {}
    }
    let expected = match expected.as_str() {
        LIST => "a list in brackets",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "i64" => "a whole number",
        other => other,
    };
    let actual = match actual {
        Actual::Bool(yes) => yes.to_string(),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Str(text) => format!("the text {text:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    };
    format!("write {expected}, not {actual}")
}
