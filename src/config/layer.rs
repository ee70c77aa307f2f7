//! The layers of a configuration, and who set which value.
//!
//! From the lowest up: defaults, the file, `conf.d/*.toml` beside it in the order of their names,
//! the environment. Tables are merged key by key; a list replaces the list below it as a whole,
//! lists of tables such as `[[bgp.neighbor]]` included.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::diagnostic::{Diagnostic, Findings, Origin, Position, Severity};
use super::key_path::KeyPath;
use super::span::{Document, Places};

/// What the name of every variable begins with.
const PREFIX: &str = "SIDESTEP_";
/// Stands between table and key in the name of a variable.
const SEPARATOR: &str = "__";
/// What a variable may set as a whole, without a separator in its name.
const LISTS: [&str; 3] = ["service", "local", "forward"];
/// Tables, for the warning about a forgotten underscore.
const TABLES: [&str; 5] = ["node", "dns", "bgp", "health", "admin"];

/// All layers merged.
pub(super) struct Layers {
    /// Every value, tagged with the layer that set it.
    pub(super) value: Value,
    /// Values that are already reported and left out.
    pub(super) failed: Vec<KeyPath>,
    figment: Figment,
    files: BTreeMap<PathBuf, Places>,
    /// In the order of reading.
    order: Vec<PathBuf>,
}

/// Where in a file a diagnostic points.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Key,
    Value,
}

impl Layers {
    /// Merges texts and variables; `None` when one of them cannot be read.
    pub(super) fn merge(
        built_in: &[&str],
        files: &[(PathBuf, String)],
        environment: &[(String, String)],
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut figment = Figment::new();
        for text in built_in {
            let document = Document::parse(text).ok()?;
            figment = figment.merge(Layer {
                metadata: Metadata::named("built in"),
                dict: document.dict,
            });
        }
        let mut places = BTreeMap::new();
        let mut failed = Vec::new();
        let mut complete = true;
        for (path, text) in files {
            let Some(document) = read(path, text, findings) else {
                complete = false;
                continue;
            };
            figment = figment.merge(Layer {
                metadata: Metadata::from("file", path.as_path()),
                dict: document.dict,
            });
            failed.extend(document.unusable.into_iter().map(|value| value.path));
            places.insert(path.clone(), document.places);
        }
        for layer in variables(environment, findings) {
            figment = figment.merge(layer);
        }
        // The empty path is the root, which a figment always has.
        let value = figment.find_value("").ok()?;
        complete.then(|| Self {
            value,
            failed,
            figment,
            files: places,
            order: files.iter().map(|(path, _)| path.clone()).collect(),
        })
    }

    /// Who set the value at `path`; of a value that nobody set, the table where it belongs.
    pub(super) fn origin(&self, path: &KeyPath, target: Target) -> Option<Origin> {
        if let Some(value) = find(&self.value, path)
            && let Some(origin) = self.exact_origin(path, value.tag(), target)
        {
            return Some(origin);
        }
        let mut path = path.clone();
        while let Some((parent, _)) = path.split() {
            for file in self.order.iter().rev() {
                let places = self.files.get(file)?;
                if let Some(position) = places.of_value(&parent) {
                    return Some(Origin::File {
                        path: file.clone(),
                        position: Some(position),
                    });
                }
            }
            path = parent;
        }
        self.order.first().map(|file| Origin::File {
            path: file.clone(),
            position: Some(Position { line: 1, column: 1 }),
        })
    }

    fn exact_origin(&self, path: &KeyPath, tag: Tag, target: Target) -> Option<Origin> {
        let metadata = self.figment.get_metadata(tag)?;
        let Some(source) = &metadata.source else {
            return self.variable(tag).map(Origin::Environment);
        };
        let file = source.file_path()?;
        let places = self.files.get(file)?;
        let position = match target {
            Target::Key => places.of_key(path),
            Target::Value => places.of_value(path),
        };
        Some(Origin::File {
            path: file.to_owned(),
            position: Some(position?),
        })
    }

    /// The variable that set the values with this tag.
    pub(super) fn variable(&self, tag: Tag) -> Option<String> {
        let name = &self.figment.get_metadata(tag)?.name;
        name.starts_with(PREFIX).then(|| name.to_string())
    }
}

/// The value at `path`.
pub(super) fn find<'v>(root: &'v Value, path: &KeyPath) -> Option<&'v Value> {
    path.segments()
        .iter()
        .try_fold(root, |value, segment| match value {
            Value::Dict(_, dict) => dict.get(segment),
            Value::Array(_, elements) => elements.get(segment.parse::<usize>().ok()?),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..) => None,
        })
}

/// The value at `path`, to be changed.
pub(super) fn find_mut<'v>(root: &'v mut Value, path: &KeyPath) -> Option<&'v mut Value> {
    path.segments()
        .iter()
        .try_fold(root, |value, segment| match value {
            Value::Dict(_, dict) => dict.get_mut(segment),
            Value::Array(_, elements) => elements.get_mut(segment.parse::<usize>().ok()?),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..) => None,
        })
}

struct Layer {
    metadata: Metadata,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Reports what is wrong with a text; `None` if it cannot be read at all.
fn read(path: &Path, text: &str, findings: &mut Findings) -> Option<Document> {
    let mut error = |position, key, text| {
        findings.push(Diagnostic {
            severity: Severity::Error,
            origin: Some(Origin::File {
                path: path.to_owned(),
                position: Some(position),
            }),
            key,
            text,
        });
    };
    match Document::parse(text) {
        Ok(document) => {
            for value in &document.unusable {
                let key = Some(value.path.to_string());
                error(value.position, key, value.text.to_owned());
            }
            Some(document)
        }
        Err(errors) => {
            for problem in errors {
                error(problem.position, None, problem.text);
            }
            None
        }
    }
}

/// `SIDESTEP_NODE__NAME=ams1` sets `node.name`. Variables with the prefix and without a separator
/// are none of ours (container platforms set some), unless they name a list.
fn variables(environment: &[(String, String)], findings: &mut Findings) -> Vec<Layer> {
    let mut sorted: Vec<_> = environment.iter().collect();
    sorted.sort();
    let mut layers = Vec::new();
    for (name, text) in sorted {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let rest = rest.to_lowercase();
        let keys: Vec<&str> = rest.split(SEPARATOR).collect();
        let problem = if keys.iter().any(|key| key.is_empty()) {
            Some((
                Severity::Error,
                format!("name it {PREFIX}TABLE{SEPARATOR}KEY"),
            ))
        } else if keys.len() == 1 && !LISTS.contains(&rest.as_str()) {
            let Some(meant) = forgotten_underscore(&rest) else {
                continue;
            };
            let text = format!("ignored; write {meant} if a key of this configuration is meant");
            Some((Severity::Warning, text))
        } else {
            None
        };
        if let Some((severity, text)) = problem {
            findings.push(Diagnostic {
                severity,
                origin: Some(Origin::Environment(name.clone())),
                key: None,
                text,
            });
            continue;
        }
        let value = Value::from(text.as_str());
        layers.push(Layer {
            metadata: Metadata::named(name.clone()),
            dict: nested(&keys, value),
        });
    }
    layers
}

/// The name that was probably meant by one without a separator.
fn forgotten_underscore(rest: &str) -> Option<String> {
    let (table, key) = rest.split_once('_').unwrap_or((rest, "key"));
    let meant = format!("{PREFIX}{table}{SEPARATOR}{key}").to_uppercase();
    TABLES.contains(&table).then_some(meant)
}

fn nested(keys: &[&str], value: Value) -> Dict {
    let Some((first, inner)) = keys.split_first() else {
        return Dict::new();
    };
    let value = if inner.is_empty() {
        value
    } else {
        Value::from(nested(inner, value))
    };
    Dict::from([((*first).to_owned(), value)])
}
