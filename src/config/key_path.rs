//! The way from the root of a configuration to one of its values.

use std::fmt;

/// Names of tables and keys, and indices of lists, from the root on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<String>);

impl KeyPath {
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The value named `name` in this table.
    pub(super) fn key(&self, name: &str) -> Self {
        let mut path = self.clone();
        path.0.push(name.to_owned());
        path
    }

    /// The element at `index`, from 0, of this list.
    pub(super) fn index(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    /// Table or list that this value stands in, and its name there; `None` for the root.
    pub(super) fn split(&self) -> Option<(Self, &str)> {
        let (last, parents) = self.0.split_last()?;
        Some((Self(parents.to_vec()), last))
    }

    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether `other` is this value or lies within it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl From<Vec<String>> for KeyPath {
    fn from(segments: Vec<String>) -> Self {
        Self(segments)
    }
}

/// As an operator writes it: `bgp.neighbor.source`. Indices are left out: the line tells.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .0
            .iter()
            .filter(|segment| !segment.bytes().all(|octet| octet.is_ascii_digit()));
        for (index, name) in names.enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
