//! The files of `tests/`: one call each.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of a component, as in a file of `tests/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recording {
    /// What it shows, for the reader.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// As in `provides` of the manifest: `tool-guard`.
    pub interface: String,
    /// `check`
    pub function: String,
    /// The component's clock when the call begins: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Settings that differ from the manifest's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What the component's `kv` holds when the call begins, where the traffic has none of its calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, Value>,
    pub arguments: Vec<Value>,
    /// What the component asks of the host, and what the host answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Exchange>,
    /// What the call returns. A recording of a call that failed has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
}

/// One call of the host by the component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exchange {
    /// `http.fetch`
    pub call: String,
    pub arguments: Vec<Value>,
    #[serde(default)]
    pub answer: Value,
}

/// A recording with the file that it came from.
#[derive(Clone, Debug)]
pub struct RecordingFile {
    pub path: PathBuf,
    pub recording: Recording,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingFileError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is no recording: {message}. docs/plugins/recordings.md shows one", path.display())]
    Invalid { path: PathBuf, message: String },
}

impl RecordingFile {
    /// Every `*.json` of the folder, sorted by name. None, if there is no such folder.
    ///
    /// # Errors
    /// The first file that is no recording.
    pub fn all(folder: &Path) -> Result<Vec<Self>, RecordingFileError> {
        let unreadable = |source| RecordingFileError::Unreadable { path: folder.to_owned(), source };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(unreadable(source)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Result<Self, RecordingFileError> {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| RecordingFileError::Unreadable { path: path.clone(), source })?;
        match serde_json::from_str(&text) {
            Ok(recording) => Ok(Self { path, recording }),
            Err(error) => Err(RecordingFileError::Invalid { path, message: error.to_string() }),
        }
    }

    /// Writes it back to its file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(&self.recording)?;
        text.push('\n');
        std::fs::write(&self.path, text)
    }
}
