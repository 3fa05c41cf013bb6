//! Text straight to a conversation, with no agent run in between.

mod host;

use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};

/// `[messenger]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Spaces to whose conversations it may write; `*` for all.
    pub spaces: Vec<String>,
    /// Messages in a minute: 1 to 600.
    pub per_minute: Option<u32>,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> Option<String> {
        match self.spaces.as_slice() {
            [] => None,
            spaces if spaces.iter().any(|space| space == "*") => Some("write to any conversation".into()),
            spaces => Some(format!("write to conversations of {}", spaces.join(", "))),
        }
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        for (index, space) in self.spaces.iter().enumerate() {
            problems.unless(
                space == "*" || check::is_plain(space),
                &at.field("spaces").item(index),
                format!("`{space}` is no space id, nor `*`"),
            );
        }
        if let Some(per_minute) = self.per_minute {
            check::range(per_minute, 1, 600, &at.field("per-minute"), problems);
            problems.unless(!self.spaces.is_empty(), at, "names no spaces, so nothing may be sent");
        }
    }
}
