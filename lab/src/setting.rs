//! What a drill runs in: a topology, and what its nodes read there.
//!
//! A change of a file names the text that it replaces, so that a file and its changes cannot drift
//! apart.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// A text, and what stands in its place.
pub(crate) type Edit = (&'static str, &'static str);

/// A topology and the configuration of its nodes, all of which have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In the folder of the lab.
    pub(crate) topology: &'static str,
    /// In the folder of the lab.
    file: &'static str,
    edits: &'static [Edit],
}

/// Two sites; every drill is of these unless it says otherwise.
pub(crate) const ANYCAST: Setting = Setting {
    topology: "anycast.clab.yml",
    file: "sidestep.toml",
    edits: &[],
};

/// BFD between nodes and routers, and a switch on the way.
pub(crate) const BFD_50: Setting = Setting {
    topology: "anycast-bfd.clab.yml",
    file: "bfd/sidestep.toml",
    edits: &[],
};

/// The same with BFD's usual interval.
pub(crate) const BFD_300: Setting = Setting {
    file: "bfd/sidestep-300.toml",
    ..BFD_50
};

/// Three sites that are each other's last resort.
pub(crate) const SIBLINGS: Setting = Setting {
    topology: "anycast-siblings.clab.yml",
    file: "siblings/anycast.toml",
    edits: &[],
};

/// An announce-only node in front of Unbound.
pub(crate) const UNBOUND: Setting = Setting {
    topology: "anycast-unbound.clab.yml",
    file: "unbound/sidestep.toml",
    edits: &[],
};

/// Of all settings, in the order in which they are started.
pub(crate) const TOPOLOGIES: [&str; 4] = [
    ANYCAST.topology,
    BFD_50.topology,
    SIBLINGS.topology,
    UNBOUND.topology,
];

impl Setting {
    /// The same with a few lines changed.
    pub(crate) const fn with(self, edits: &'static [Edit]) -> Self {
        Self { edits, ..self }
    }

    /// What the nodes read.
    ///
    /// # Errors
    /// The file cannot be read, or has nothing of what an edit replaces.
    pub(crate) fn text(&self, folder: &Path) -> Result<String> {
        let path = folder.join(self.file);
        let mut text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for (from, to) in self.edits {
            ensure!(text.contains(from), "{}: no {from:?}", path.display());
            text = text.replace(from, to);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::TABLE;

    #[test]
    fn every_drill_has_its_topology_and_its_configuration() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for budget in TABLE {
            let setting = budget.setting;
            assert!(TOPOLOGIES.contains(&setting.topology), "{}", budget.name);
            assert!(folder.join(setting.topology).exists(), "{}", budget.name);
            setting.text(folder).unwrap();
        }
    }

    #[test]
    fn an_edit_that_changes_nothing_is_an_error() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(ANYCAST.with(&[("no such line", "")]).text(folder).is_err());
    }
}
