//! What a node's log says about its levels, from a moment on.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::runner::Lab;

/// A change of level of one address family.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) family: String,
    pub(super) to: String,
    pub(super) reason: String,
}

/// The rest of a log.
pub(super) struct Journal {
    file: PathBuf,
    from: usize,
}

impl Journal {
    /// From now on.
    pub(super) fn open(lab: &Lab, node: &str) -> Result<Self> {
        let file = lab.paths.log(node);
        let from = fs::read(&file)?.len();
        Ok(Self { file, from })
    }

    /// Every change of level, in order.
    pub(super) fn changes(&self) -> Result<Vec<Change>> {
        Ok(self.text()?.lines().filter_map(change).collect())
    }

    /// Whether health itself stood still for so long that the node withdrew.
    pub(super) fn lost_its_lease(&self) -> Result<bool> {
        Ok(self.text()?.contains("no fresh inputs"))
    }

    fn text(&self) -> Result<String> {
        let bytes = fs::read(&self.file)?;
        let rest = bytes.get(self.from..).unwrap_or_default();
        Ok(String::from_utf8_lossy(rest).into_owned())
    }
}

fn change(line: &str) -> Option<Change> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line[name].as_str().map(str::to_owned);
    let (from, to) = (field("from")?, field("to")?);
    (from != to).then_some(Change {
        family: field("family")?,
        to,
        reason: field("reason").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_level_are_read_and_nothing_else() {
        let line = |from: &str, to: &str| {
            format!(
                r#"{{"level":"INFO","message":"verdict changed","service":"resolver",
                "family":"ipv4","from":"{from}","to":"{to}","reason":"all is well"}}"#
            )
        };
        let found = change(&line("backup", "preferred")).unwrap();
        assert_eq!((&*found.family, &*found.to), ("ipv4", "preferred"));
        assert_eq!(found.reason, "all is well");
        assert_eq!(change(&line("backup", "backup")), None);
        assert_eq!(change("not JSON"), None);
        assert_eq!(change(r#"{"message":"serving"}"#), None);
    }
}
