//! From files to scenarios and their steps.

use std::fs;
use std::path::{Path, PathBuf};

/// One scenario as it is written.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) title: String,
    /// RFC and section.
    pub(crate) source: String,
    /// The part of the program that is not there yet.
    pub(crate) awaits: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// One command with the lines that belong to it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) word: String,
    /// Behind the word.
    pub(crate) rest: String,
    /// The indented lines below, without empty ones.
    pub(crate) block: Vec<String>,
}

impl Step {
    /// All of it as one line.
    pub(crate) fn joined(&self) -> String {
        let mut text = self.rest.clone();
        for line in &self.block {
            text.push(' ');
            text.push_str(line);
        }
        text
    }
}

impl Scenario {
    pub(crate) fn asks(&self) -> bool {
        self.steps.iter().any(|step| step.word == "ask")
    }
}

/// The scenarios of all `*.txt` below a folder, in the order of their files.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut scenarios = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("{path:?}: {error}"))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        read(
            &format!("tests/scenarios/{}", name.display()),
            &text,
            &mut scenarios,
        )?;
    }
    Ok(scenarios)
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| format!("{folder:?}: {error}"))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            into.push(path);
        }
    }
    Ok(())
}

/// The scenarios of one text.
pub(crate) fn read(file: &str, text: &str, into: &mut Vec<Scenario>) -> Result<(), String> {
    let before = into.len();
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(title) = text.strip_prefix("=== ") {
            into.push(Scenario {
                file: file.to_owned(),
                line,
                title: title.trim().to_owned(),
                source: String::new(),
                awaits: None,
                steps: Vec::new(),
            });
            continue;
        }
        let text = without_comment(text);
        let Some(scenario) = into.get_mut(before..).and_then(<[_]>::last_mut) else {
            if text.is_empty() {
                continue;
            }
            return Err(format!("{file}:{line}: write a title first: === …"));
        };
        if text.is_empty() {
            continue;
        }
        let trimmed = text.trim();
        if text.starts_with([' ', '\t']) {
            match scenario.steps.last_mut() {
                Some(step) => step.block.push(trimmed.to_owned()),
                None => scenario.source.push_str(&format!("{trimmed} ")),
            }
            continue;
        }
        let (word, rest) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        if word == "awaits" {
            scenario.awaits = Some(rest.trim().to_owned());
            continue;
        }
        scenario.steps.push(Step {
            line,
            word: word.to_owned(),
            rest: rest.trim().to_owned(),
            block: Vec::new(),
        });
    }
    Ok(())
}

/// `#` begins a comment at the start of a line or behind a blank, but not within quotation marks.
fn without_comment(line: &str) -> &str {
    let mut is_quoted = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        is_quoted ^= c == '"';
        if c == '#' && !is_quoted && before.is_whitespace() {
            return line.get(..at).unwrap_or_default().trim_end();
        }
        before = c;
    }
    line.trim_end()
}
