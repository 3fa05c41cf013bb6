//! Folders of spaces, for components that keep files there. They see them through WASI.

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// One `[[folders]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// A folder's name in each space: `knowledge` is `/spaces/<space>/knowledge` for the component.
    pub space_folder: String,
    #[serde(default)]
    pub write: bool,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        let how = if self.write { "read and change" } else { "read" };
        format!("{how} the folder `{}` of every space", self.space_folder)
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::space_folder(&self.space_folder, &at.field("space-folder"), problems);
    }
}
