//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong, or doubtful, in a configuration.
///
/// Shown as `file:line:column: error: key: text`, or `environment NAME: error: key: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// Where the value came from; `None` when nobody wrote it.
    pub origin: Option<Origin>,
    /// The key as it is written, with dots between tables; lists are named without an index.
    pub key: Option<String>,
    /// What is wrong and what to do; one line.
    pub text: String,
}

/// Whether a configuration with this diagnostic can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File {
        /// As it was given on the command line.
        path: PathBuf,
        /// `None` when the diagnostic is about the file as a whole.
        position: Option<Position>,
    },
    /// An environment variable.
    Environment(String),
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Diagnostic {
    /// Orders by file as read, then by place; the environment comes after all files.
    pub(super) fn rank(&self, sources: &[PathBuf]) -> (usize, Option<Position>, Option<String>) {
        let of_file = |path: &Path| sources.iter().position(|source| source == path);
        match &self.origin {
            Some(Origin::File { path, position }) => {
                (of_file(path).unwrap_or(sources.len()), *position, None)
            }
            Some(Origin::Environment(name)) => (sources.len() + 1, None, Some(name.clone())),
            None => (sources.len() + 2, None, None),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                position: Some(Position { line, column }),
            } => write!(f, "{}:{line}:{column}", path.display()),
            Self::File {
                path,
                position: None,
            } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, in the order in which an operator reads.
    pub(super) fn into_sorted(mut self, sources: &[PathBuf]) -> Vec<Diagnostic> {
        self.list
            .sort_by_cached_key(|diagnostic| diagnostic.rank(sources));
        self.list.dedup();
        self.list
    }
}
