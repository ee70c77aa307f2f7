//! A TOML text as values, and where in the text each of them stands.

use std::collections::BTreeMap;

use figment::value::{Dict, Tag, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Position;
use super::key_path::KeyPath;

/// A TOML text that could be read.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) dict: Dict,
    pub(super) places: Places,
    /// Values that TOML has and no key takes; they are not in `dict`.
    pub(super) unusable: Vec<Unusable>,
}

/// Where the values of a text stand.
#[derive(Debug)]
pub(super) struct Places(BTreeMap<KeyPath, Place>);

#[derive(Clone, Copy, Debug)]
struct Place {
    key: Position,
    value: Position,
}

/// Why a text is not TOML, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) position: Position,
    pub(super) text: String,
}

/// A value that cannot be used, and what to do about it.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) path: KeyPath,
    pub(super) position: Position,
    pub(super) text: &'static str,
}

impl Places {
    /// Where the value at `path` begins; a table begins at its header.
    pub(super) fn of_value(&self, path: &KeyPath) -> Option<Position> {
        self.0.get(path).map(|place| place.value)
    }

    /// Where the name of the value at `path` begins.
    pub(super) fn of_key(&self, path: &KeyPath) -> Option<Position> {
        self.0.get(path).map(|place| place.key)
    }
}

impl Document {
    /// Reads a whole TOML text.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(text, &errors));
        }
        let mut reader = Reader {
            lines: Lines::new(text),
            places: BTreeMap::new(),
            unusable: Vec::new(),
        };
        let dict = reader.table(&KeyPath::root(), table.get_ref());
        Ok(Self {
            dict,
            places: Places(reader.places),
            unusable: reader.unusable,
        })
    }
}

/// Reads the text of one TOML value; `None` when it is none. All of it gets `tag`.
pub(super) fn parse_value(text: &str, tag: Tag) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let mut reader = Reader {
        lines: Lines::new(text),
        places: BTreeMap::new(),
        unusable: Vec::new(),
    };
    let mut value = reader.value(&KeyPath::root(), &value)?;
    retag(&mut value, tag);
    reader.unusable.is_empty().then_some(value)
}

fn retag(value: &mut Value, new: Tag) {
    match value {
        Value::String(tag, _)
        | Value::Char(tag, _)
        | Value::Bool(tag, _)
        | Value::Num(tag, _)
        | Value::Empty(tag, _) => *tag = new,
        Value::Dict(tag, dict) => {
            *tag = new;
            dict.values_mut().for_each(|value| retag(value, new));
        }
        Value::Array(tag, elements) => {
            *tag = new;
            elements.iter_mut().for_each(|value| retag(value, new));
        }
    }
}

/// One per line: what follows on the same line is mostly a consequence.
fn syntax_errors(text: &str, errors: &[toml::de::Error]) -> Vec<SyntaxError> {
    let lines = Lines::new(text);
    let mut found: Vec<SyntaxError> = errors
        .iter()
        .map(|error| SyntaxError {
            position: lines.position(error.span().map_or(0, |span| span.start)),
            text: format!("correct the TOML syntax here: {}", error.message()),
        })
        .collect();
    found.sort_by_key(|error| error.position);
    found.dedup_by_key(|error| error.position.line);
    found
}

/// A text and the offsets at which its lines begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let starts = std::iter::once(0).chain(after_newlines).collect();
        Self { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index));
        let before = start.and_then(|start| self.text.get(*start..offset));
        Position {
            line,
            column: before.unwrap_or_default().chars().count() + 1,
        }
    }
}

struct Reader<'t> {
    lines: Lines<'t>,
    places: BTreeMap<KeyPath, Place>,
    unusable: Vec<Unusable>,
}

impl Reader<'_> {
    fn table(&mut self, path: &KeyPath, table: &DeTable<'_>) -> Dict {
        let mut dict = Dict::new();
        for (key, value) in table {
            let path = path.key(key.get_ref());
            let place = Place {
                key: self.lines.position(key.span().start),
                value: self.lines.position(value.span().start),
            };
            self.places.insert(path.clone(), place);
            if let Some(value) = self.value(&path, value) {
                dict.insert(key.get_ref().to_string(), value);
            }
        }
        dict
    }

    fn value(&mut self, path: &KeyPath, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let text = match value.get_ref() {
            DeValue::String(text) => return Some(Value::from(text.as_ref())),
            DeValue::Boolean(yes) => return Some(Value::from(*yes)),
            DeValue::Table(table) => return Some(Value::from(self.table(path, table))),
            DeValue::Array(elements) => {
                let elements = elements.iter().enumerate();
                let values: Option<Vec<Value>> = elements
                    .map(|(index, element)| self.element(&path.index(index), element))
                    .collect();
                return values.map(Value::from);
            }
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => return Some(Value::from(number)),
                    Err(_) => "write a smaller number: this one does not fit into 64 bits",
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) => return Some(Value::from(number)),
                Err(_) => "write a whole number",
            },
            DeValue::Datetime(_) => "put this into quotes: no key takes a date",
        };
        self.unusable.push(Unusable {
            path: path.clone(),
            position: self.lines.position(value.span().start),
            text,
        });
        None
    }

    fn element(&mut self, path: &KeyPath, element: &Spanned<DeValue<'_>>) -> Option<Value> {
        let start = self.lines.position(element.span().start);
        let place = Place {
            key: start,
            value: start,
        };
        self.places.insert(path.clone(), place);
        self.value(path, element)
    }
}
