//! The record of added addresses for kernels without IFA_PROTO: one line `ADDRESS INTERFACE` each.
//!
//! Replaced as a whole, so that a killed node leaves a readable file. Lines that mean nothing are
//! ignored: the record only ever allows a removal.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What has been added and not removed.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    entries: BTreeSet<(IpAddr, String)>,
}

impl Journal {
    /// Reads the record; none is an empty one.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("addresses");
        let entries = match fs::read_to_string(&path) {
            Ok(text) => text.lines().filter_map(entry).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, entries })
    }

    pub(super) fn contains(&self, address: IpAddr, interface: &str) -> bool {
        self.entries.contains(&(address, interface.to_owned()))
    }

    pub(super) fn add(&mut self, address: IpAddr, interface: &str) -> io::Result<()> {
        if self.entries.insert((address, interface.to_owned())) {
            self.save()?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, address: IpAddr, interface: &str) -> io::Result<()> {
        if self.entries.remove(&(address, interface.to_owned())) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> io::Result<()> {
        let mut text = String::new();
        for (address, interface) in &self.entries {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{address} {interface}");
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let replacement = self.path.with_extension("new");
        fs::write(&replacement, text)?;
        fs::rename(&replacement, &self.path)
    }
}

fn entry(line: &str) -> Option<(IpAddr, String)> {
    let (address, interface) = line.split_once(' ')?;
    Some((address.parse().ok()?, interface.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_finds_what_was_added_and_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("sidestep");
        let v4: IpAddr = "10.53.53.53".parse().unwrap();
        let v6: IpAddr = "fd53::53".parse().unwrap();
        let mut journal = Journal::open(&below).unwrap();
        journal.add(v4, "lo").unwrap();
        journal.add(v6, "lo").unwrap();
        journal.remove(v4, "lo").unwrap();
        let successor = Journal::open(&below).unwrap();
        assert!(successor.contains(v6, "lo"));
        assert!(!successor.contains(v4, "lo"));
        assert!(!successor.contains(v6, "eth0"));
    }

    #[test]
    fn lines_that_mean_nothing_allow_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("addresses"),
            "garbage\n10.0.0.1\n\n10.0.0.999 lo\n10.0.0.2 lo\n",
        )
        .unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(journal.entries.len(), 1);
        assert!(journal.contains("10.0.0.2".parse().unwrap(), "lo"));
    }
}
