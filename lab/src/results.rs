//! What the drills measured, as kept between `lab drill` and `lab report`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::loss::Loss;

/// By the name of the drill.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) drills: BTreeMap<String, Measured>,
}

/// One drill.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) repetitions: Vec<Repetition>,
    /// Why there are not as many repetitions as there should be.
    pub(crate) not_measured: Option<String>,
}

/// One time through a drill.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Repetition {
    /// Names that both nodes had in their caches before.
    pub(crate) cached: Loss,
    /// Names that nobody had asked before.
    pub(crate) new: Loss,
    /// What the drill asks for beside these.
    pub(crate) third: Loss,
    /// From the repair until the first site answered again on every stream.
    pub(crate) back_ms: Option<f64>,
    /// From the repair until the last new name was asked that got no answer.
    pub(crate) renewed_ms: Option<f64>,
    /// Longest silence on the untouched path.
    pub(crate) sentinel_ms: f64,
    /// What was wrong beyond losses and gaps, in words.
    pub(crate) violations: Vec<String>,
    /// What else was seen, in words.
    pub(crate) seen: Vec<String>,
}

impl Results {
    /// Reads what is there; nothing at all when nothing was measured yet.
    pub(crate) fn read(state: &Path) -> Result<Self> {
        let path = file(state);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path)?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Replaces the file.
    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        fs::create_dir_all(state)?;
        fs::write(file(state), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

fn file(state: &Path) -> PathBuf {
    state.join("results.json")
}
