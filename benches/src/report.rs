//! What is said about the figures: JSON, tables, targets, chart.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the only place of this program that prints"
)]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

pub(crate) use results::{Dead, Filled, Machine, Results, Round, Turn};
pub(crate) use summary::{Summary, Validity, full};

mod results;
mod statistics;
mod summary;
mod table;
mod targets;

/// One line of progress; it goes to standard error, since standard output is the report.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Writes `results.json` and `chart.svg` into a folder.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let summary = Summary::of(results);
    let targets = targets::judge(results, &summary);
    let document = json!({
        "validity": summary.validity,
        "targets": targets,
        "summary": summary,
        "results": results,
    });
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("results.json"),
        serde_json::to_string_pretty(&document)? + "\n",
    )?;
    fs::write(folder.join("chart.svg"), crate::chart::draw(&summary))?;
    Ok(())
}

/// Reads what [`write`] has written; what was computed from the figures is computed anew.
///
/// # Errors
/// When the file cannot be read or is no such file.
pub(crate) fn read(file: &Path) -> Result<Results> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut document: serde_json::Value = serde_json::from_str(&text)?;
    let results = document
        .get_mut("results")
        .context("there is no `results`")?;
    Ok(serde_json::from_value(results.take())?)
}

/// Prints the tables and says whether the run is valid.
pub(crate) fn print(results: &Results) -> Validity {
    let summary = Summary::of(results);
    println!("{}", table::of(results, &summary));
    println!("{}", targets::table(&targets::judge(results, &summary)));
    match &summary.validity {
        Validity::Valid => {}
        Validity::Unchecked => say("the run was not checked: no udp-hit of dnsdist and limit-udp"),
        Validity::Invalid(reason) => {
            println!("**THIS RUN IS INVALID: {reason}.** None of its figures may be used.");
            say(&format!("*** INVALID RUN: {reason} ***"));
        }
    }
    summary.validity
}
