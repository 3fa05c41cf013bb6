//! Which ids of a platform are one person, from its adapter. Granted with the inbox: who may say what happened
//! may say to whom.

mod host;

use futures_util::future::BoxFuture;

pub use mercury_bindings::mercury::plugin::identities::Error;

/// Who keeps it; the room above implements it. What arrives here was checked to be of the platform.
pub trait Identities: Send + Sync {
    fn learn<'a>(
        &'a self,
        platform: &'a str,
        alias: String,
        person: String,
        source: String,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    fn person<'a>(&'a self, alias: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;
}
