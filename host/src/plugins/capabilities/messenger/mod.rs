//! Text straight to a conversation, with no agent run in between.

mod host;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};
pub use mercury_bindings::mercury::plugin::messenger::{Error, Recipient};

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
    /// Whether it may write to conversations of the space.
    pub fn reaches(&self, space: &str) -> bool {
        self.spaces.iter().any(|granted| granted == "*" || granted == space)
    }

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

/// Where messages of plugins go; the room above implements it.
pub trait Messenger: Send + Sync {
    /// Durable when it returns the message's id.
    fn send<'a>(
        &'a self,
        plugin: &'a str,
        grant: &'a Grant,
        to: Recipient,
        text: String,
    ) -> BoxFuture<'a, Result<String, Error>>;
}
