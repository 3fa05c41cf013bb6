use mercury_bindings::mercury::plugin::history::{Author, Entry, Error, Host};

use crate::{
    plugins::{capabilities::not_granted, state::State},
    store,
};

/// Entries that one call returns at most, as `wit/capabilities.wit` says.
const MOST_ENTRIES: u32 = 1_000;
/// Bytes of text that one call returns at most: well below what a guest may be handed.
const MOST_BYTES: usize = 8 << 20;

impl State {
    fn may_read_history(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        Ok(match self.manifest.history.read {
            true => Ok(()),
            false => Err(Error::Denied(not_granted("history", "[history] read = true"))),
        })
    }
}

impl Host for State {
    async fn spaces(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        if let Err(error) = self.may_read_history()? {
            return Ok(Err(error));
        }
        Ok(self.services.store.spaces().await.map_err(failed))
    }

    async fn entries(
        &mut self,
        space: String,
        after: Option<u64>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        if let Err(error) = self.may_read_history()? {
            return Ok(Err(error));
        }
        let after = after.map_or(0, |id| i64::try_from(id).unwrap_or(i64::MAX));
        let found = self.services.store.entries(&space, after, limit.min(MOST_ENTRIES)).await;
        Ok(found.map(within_bounds).map_err(failed))
    }
}

/// At least one entry, however long, so that whoever pages gets on.
fn within_bounds(found: Vec<store::Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = |entry: &store::Entry| {
        let first = bytes == 0;
        bytes += entry.content.len();
        first || bytes <= MOST_BYTES
    };
    let entries = found.into_iter().take_while(fits);
    entries
        .map(|entry| Entry {
            id: entry.id.unsigned_abs(),
            conversation: entry.conversation,
            author: match entry.role.as_str() {
                "user" => Author::Person,
                "assistant" => Author::Assistant,
                _ => Author::Ambient,
            },
            text: entry.content,
            at: entry.created_at.unsigned_abs(),
        })
        .collect()
}

/// The guest learns that storage failed; where the database lies is the operator's business.
fn failed(error: store::StoreError) -> Error {
    tracing::error!(%error, "what was said could not be read for a plugin");
    Error::Storage("the host's database does not answer".into())
}
