//! What happened on a platform, from its adapter.

mod host;

pub(super) use host::own;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::plugins::manifest::{check, problems::At, problems::Problems};
pub use mercury_bindings::mercury::plugin::inbox::{Error, Event, Happening, Message, Outcome, Quoted, Refusal};

/// `[inbox]`: makes the plugin an adapter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The prefix of every identifier that it brings, and the last part of its webhook's path.
    pub platform: String,
}

impl Grant {
    /// What an operator agrees to.
    pub fn in_words(&self) -> String {
        format!("bring messages from people on {}, and carry the answers", self.platform)
    }

    pub(crate) fn check(&self, at: &At, problems: &mut Problems) {
        check::platform(&self.platform, &at.field("platform"), problems);
    }
}

/// A file that an adapter might fetch.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    pub conversation: &'a str,
    pub direct: bool,
    pub author: &'a str,
    pub size_bytes: Option<u64>,
}

/// Where events go; the room above implements it. What arrives here was checked to be of the platform.
pub trait Inbox: Send + Sync {
    fn accept<'a>(
        &'a self,
        plugin: &'a str,
        platform: &'a str,
        events: Vec<Event>,
        cursor: Option<String>,
    ) -> BoxFuture<'a, Result<Vec<Outcome>, Error>>;

    fn cursor<'a>(&'a self, plugin: &'a str) -> BoxFuture<'a, Option<String>>;

    fn admits_file<'a>(&'a self, platform: &'a str, offer: Offer<'a>) -> BoxFuture<'a, Result<u64, Refusal>>;

    fn bot_name(&self) -> String;
}
