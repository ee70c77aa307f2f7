//! `[node] state`: the directory of what a node wants to know again after a restart.

use std::path::PathBuf;

use crate::config::LoadOptions;
use crate::config::key_path::KeyPath;
use crate::config::raw;

use super::Checker;

/// Where state is kept when nobody says where.
const DEFAULT: &str = "/var/lib/sidestep";
/// Set by systemd for `StateDirectory=`: absolute paths with colons between them. systemd.exec(5).
const VARIABLE: &str = "STATE_DIRECTORY";
const NONE: &str = "none";

impl Checker<'_> {
    /// `None`: nothing is kept.
    pub(super) fn state(
        &mut self,
        raw: &raw::Node,
        node: &KeyPath,
        options: &LoadOptions,
    ) -> Option<PathBuf> {
        let Some(text) = raw.state.as_deref() else {
            return Some(by_supervisor(options).unwrap_or_else(|| DEFAULT.into()));
        };
        if text == NONE {
            return None;
        }
        if !text.starts_with('/') || text.contains('\0') {
            let path = node.key("state");
            self.error(&path, "write a path that begins with / or \"none\"");
        }
        Some(text.into())
    }
}

fn by_supervisor(options: &LoadOptions) -> Option<PathBuf> {
    let mut variables = options.environment.iter();
    let (_, paths) = variables.find(|(name, _)| name == VARIABLE)?;
    let first = paths.split(':').next()?;
    first.starts_with('/').then(|| first.into())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::{Findings, from_texts};

    fn state(written: &str, supervisor: Option<&str>) -> Option<PathBuf> {
        let text = format!("dns.listen = [\"127.0.0.1:5300\"]\n{written}");
        let environment = supervisor.map(|paths| (VARIABLE.to_owned(), paths.to_owned()));
        let options = LoadOptions {
            file: None,
            default_file: "/nonexistent".into(),
            environment: environment.into_iter().collect(),
            host_name: "ams1".to_owned(),
            processors: NonZeroUsize::MIN,
        };
        let files = [("0.toml".into(), text)];
        from_texts(&files, &options, Findings::default())
            .unwrap()
            .state
    }

    #[test]
    fn what_is_written_goes_before_the_supervisor_and_that_before_the_default() {
        let path = |text: &str| Some(PathBuf::from(text));
        let written = "node.state = \"/srv/state\"";
        assert_eq!(state("", None), path(DEFAULT));
        assert_eq!(
            state("", Some("/var/lib/private/x:/y")),
            path("/var/lib/private/x")
        );
        assert_eq!(state(written, Some("/y")), path("/srv/state"));
        for useless in ["", "relative", ":"] {
            assert_eq!(state("", Some(useless)), path(DEFAULT));
        }
    }

    #[test]
    fn nothing_is_kept_when_nobody_wants_it() {
        assert_eq!(state("node.state = \"none\"", Some("/y")), None);
    }
}
