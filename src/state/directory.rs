//! The state directory: small files that are there whole or not at all, whenever the power goes.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Nobody but the node and its group has to know who drains what.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// A directory that can be written to.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    /// It is missing and cannot be made, or something else has its name.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(DIRECTORY_MODE).create(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a file, up to `octets_max` and one more, by which a larger one is known; `None`:
    /// there is no such file.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self, name: &str, octets_max: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let limit = u64::try_from(octets_max).unwrap_or(u64::MAX);
        let mut content = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Replaces a file. Whoever reads it, even after the power has failed, finds the old content or the
    /// new one.
    ///
    /// # Errors
    /// The old content is still there.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let hidden = self.path.join(format!(".{name}.new"));
        // What a killed predecessor left may be another's, or a link.
        let _ = fs::remove_file(&hidden);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&hidden)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&hidden, self.path.join(name))?;
        // Without it the name may lead to the old content again.
        File::open(&self.path)?.sync_all()
    }

    /// Gives a file the ending `.bad`, for somebody to look at.
    ///
    /// # Errors
    /// It keeps its name.
    pub fn put_aside(&self, name: &str) -> io::Result<()> {
        let bad = self.path.join(format!("{name}.bad"));
        fs::rename(self.path.join(name), bad)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_missing_directory_is_made_for_the_node_and_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("var").join("sidestep");
        let directory = Directory::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path) & 0o007, 0);
        directory.write("state.json", b"one").unwrap();
        assert_eq!(mode(&path.join("state.json")) & 0o007, 0);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        assert_eq!(directory.read("state.json", 10).unwrap(), None);
        for content in [&b"one"[..], b"another", b""] {
            directory.write("state.json", content).unwrap();
            let read = directory.read("state.json", 10).unwrap();
            assert_eq!(read.as_deref(), Some(content));
            assert_eq!(names(folder.path()), ["state.json"]);
        }
    }

    #[test]
    fn a_write_that_was_cut_off_harms_neither_the_file_nor_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        directory.write("state.json", b"whole").unwrap();
        fs::write(folder.path().join(".state.json.new"), b"ha").unwrap();
        let read = directory.read("state.json", 10).unwrap();
        assert_eq!(read.as_deref(), Some(&b"whole"[..]));
        directory.write("state.json", b"next").unwrap();
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_file_that_is_too_large_is_known_by_one_octet_more() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        for (octets, expected) in [(9, 9), (10, 10), (11, 11), (5_000_000, 11)] {
            directory.write("state.json", &vec![b'x'; octets]).unwrap();
            let read = directory.read("state.json", 10).unwrap().unwrap();
            assert_eq!(read.len(), expected);
        }
    }

    #[test]
    fn what_is_put_aside_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        directory.write("state.json", b"garbage").unwrap();
        directory.put_aside("state.json").unwrap();
        assert_eq!(names(folder.path()), ["state.json.bad"]);
        directory.put_aside("state.json").unwrap_err();
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "important").unwrap();
        Directory::open(&path).unwrap_err();
        Directory::open(&path.join("below")).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "important");
    }
}
