//! Where the files of a lab are, and how its namespaces are called.

use std::path::{Path, PathBuf};

use crate::namespace;

/// Where the lab's files are.
#[derive(Clone)]
pub(crate) struct Paths {
    /// The folder of this package.
    pub(crate) folder: PathBuf,
    /// The topology file.
    pub(crate) topology: PathBuf,
    /// Results, logs and the process ids of a running lab; not tracked by git.
    pub(crate) state: PathBuf,
    pub(super) sidestep: PathBuf,
    /// Namespaces of this checkout begin so, and nobody else's.
    pub(super) prefix: String,
}

impl Paths {
    /// Around the folder that this program was built in.
    pub(crate) fn new(sidestep: Option<PathBuf>) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let release = folder.with_file_name("target").join("release/sidestep");
        Self {
            topology: folder.join("anycast.clab.yml"),
            state: folder.join(".state"),
            // Nodes start it from the root of their file system.
            sidestep: sidestep.map_or(release, |file| std::path::absolute(&file).unwrap_or(file)),
            prefix: format!("sidestep-lab-{:06x}-", fold(&folder)),
            folder,
        }
    }

    /// The same for another topology of this folder, which can be up at the same time.
    pub(crate) fn with_topology(self, file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default();
        Self {
            topology: self.folder.join(file),
            state: self.state.join(name),
            prefix: format!("{}{name}-", self.prefix.replacen("lab", "labs", 1)),
            ..self
        }
    }

    /// The file of a node's network namespace.
    pub(crate) fn namespace(&self, node: &str) -> PathBuf {
        namespace::path(&format!("{}{node}", self.prefix))
    }

    /// The binary that nodes run.
    pub(crate) fn sidestep(&self) -> &Path {
        &self.sidestep
    }

    /// What the node's programs wrote.
    pub(crate) fn log(&self, node: &str) -> PathBuf {
        self.state.join("log").join(format!("{node}.log"))
    }

    pub(super) fn holder(&self, node: &str) -> PathBuf {
        self.state.join(format!("{node}.pid"))
    }
}

/// 24 bits of a path (FNV-1a), so that two checkouts can run side by side.
fn fold(path: &Path) -> u32 {
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash & 0x00FF_FFFF
}
