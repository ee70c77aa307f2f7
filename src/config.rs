//! The configuration: from files and environment to settings that the node may run with.
//!
//! ```text
//! texts, variables → layer (figment) → extract (shapes, serde) → check (meaning, rules) → Config
//! ```
//!
//! Layers, from the lowest up: defaults; the file; `conf.d/*.toml` beside it, in the order of their
//! names; variables such as `SIDESTEP_NODE__NAME=ams1` for `node.name`. Tables are merged key by
//! key. A list replaces the one below it as a whole, so an overlay with one `[[bgp.neighbor]]` has
//! one neighbour. A variable holds a text, or a TOML value where a text does not fit; for a list of
//! texts, commas will do.
//!
//! Everything that is wrong is reported at once. Reading files is the only I/O: those of the
//! configuration, and the secrets and hosts files that it names.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::announce::ServiceSettings;
use crate::dns::inquiry::Inquiry;
use crate::health::check::CheckSettings;
use crate::{admin, bgp, dns, health};

mod check;
mod diagnostic;
mod extract;
mod key_path;
mod layer;
mod raw;
mod span;

use diagnostic::Findings;
pub use diagnostic::{Diagnostic, Origin, Position, Severity};
use layer::Layers;

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "/etc/sidestep/sidestep.toml";

const DEFAULTS: &str = include_str!("config/defaults.toml");
const WITHOUT_FILE: &str = include_str!("config/without_file.toml");

/// A configuration that has passed every check.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name; `auto` is already replaced by the host name.
    pub node_name: String,
    /// The directory of what is to be known again after a restart; `None`: nothing is kept.
    pub state: Option<PathBuf>,
    /// Each `[[service]]`.
    pub services: Vec<ServiceSettings>,
    /// Who answers for services that name a `target`.
    pub targets: Vec<TargetSettings>,
    /// Each `[[service.check]]`.
    pub checks: Vec<CheckSettings>,
    /// The query path.
    pub dns: dns::Settings,
    /// `None` without any `[[bgp.neighbor]]`: nothing is announced.
    pub bgp: Option<bgp::Settings>,
    /// Probes, fall and rise, drain.
    pub health: health::Settings,
    /// Names that should always resolve.
    pub canary: dns::canary::CanarySettings,
    /// HTTP and control socket.
    pub admin: admin::Settings,
    /// Files that were read, in order; empty when there is none.
    pub sources: Vec<PathBuf>,
    /// What is probably not meant so.
    pub warnings: Vec<Diagnostic>,
}

/// Another program that answers for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    /// Position of the service among the services.
    pub service: usize,
    /// Where it listens: one, or one of each family.
    pub addresses: Vec<SocketAddr>,
    /// Whether it answers over TCP.
    pub tcp: bool,
    /// What shows that it lives; `None`: any answer to the usual question does.
    pub probe: Option<Inquiry>,
    /// What shows that it resolves; none: nobody looks.
    pub names: Vec<Inquiry>,
    /// How many of them have to resolve.
    pub names_needed: usize,
}

/// Where a configuration comes from, and what `auto` stands for.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// This file, which must exist.
    pub file: Option<PathBuf>,
    /// Without [`file`](Self::file): this one if it exists, usually [`DEFAULT_FILE`]. If it does
    /// not, the node is a plain forwarding cache on 127.0.0.1:5300.
    pub default_file: PathBuf,
    /// Names and values; those that do not begin with `SIDESTEP_` are skipped, but for
    /// `STATE_DIRECTORY`, which systemd sets (systemd.exec(5)).
    pub environment: Vec<(String, String)>,
    /// For `node.name = "auto"`.
    pub host_name: String,
    /// For `dns.workers = "auto"`.
    pub processors: NonZeroUsize,
}

/// Reads and checks a configuration.
///
/// # Errors
/// All errors, and warnings among them, in the order of files, lines and variables.
pub fn load(options: &LoadOptions) -> Result<Config, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let files = read_files(options, &mut findings);
    from_texts(&files, options, findings)
}

/// [`load`] once the configuration's own files have been read.
fn from_texts(
    files: &[(PathBuf, String)],
    options: &LoadOptions,
    mut findings: Findings,
) -> Result<Config, Vec<Diagnostic>> {
    let sources: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
    let built_in = if files.is_empty() {
        &[DEFAULTS, WITHOUT_FILE][..]
    } else {
        &[DEFAULTS][..]
    };
    let all_were_read = !findings.has_errors();
    let layers = Layers::merge(built_in, files, &options.environment, &mut findings);
    let config = layers
        .filter(|_| all_were_read)
        .and_then(|layers| check::check(&layers, options, &mut findings));
    let diagnostics = findings.into_sorted(&sources);
    match config {
        Some(config) => Ok(Config {
            sources,
            warnings: diagnostics,
            ..config
        }),
        None => Err(diagnostics),
    }
}

/// The file and its overlays, in the order of their layers.
fn read_files(options: &LoadOptions, findings: &mut Findings) -> Vec<(PathBuf, String)> {
    let main = match &options.file {
        Some(file) => file,
        None => match options.default_file.try_exists() {
            Ok(false) => return Vec::new(),
            // That it cannot be looked at is told when it is read.
            Ok(true) | Err(_) => &options.default_file,
        },
    };
    let mut paths = vec![main.clone()];
    let directory = main.parent().unwrap_or(Path::new("")).join("conf.d");
    match overlays(&directory) {
        Ok(overlays) => paths.extend(overlays),
        Err(error) => findings.push(unreadable(&directory, &error)),
    }
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read(&path) {
            Ok(octets) => match text(&path, octets) {
                Ok(text) => files.push((path, text)),
                Err(diagnostic) => findings.push(diagnostic),
            },
            Err(error) => findings.push(unreadable(&path, &error)),
        }
    }
    files
}

/// `*.toml` in this directory, sorted; hidden files are editors' business.
fn overlays(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path, octets: Vec<u8>) -> Result<String, Diagnostic> {
    String::from_utf8(octets).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Diagnostic {
            severity: Severity::Error,
            origin: Some(Origin::File {
                path: path.to_owned(),
                position: Some(Position {
                    line: before.matches('\n').count() + 1,
                    column: last_line.chars().count() + 1,
                }),
            }),
            key: None,
            text: "save the file as UTF-8: this octet is none".to_owned(),
        }
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        origin: Some(Origin::File {
            path: path.to_owned(),
            position: None,
        }),
        key: None,
        text: format!("check path and permissions: {error}"),
    }
}

#[cfg(test)]
mod tests;
