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
        let _turn = self.access.turn.lock().await;
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
        let _turn = self.access.turn.lock().await;
        let found = self.services.store.entries(&space, after, limit.min(MOST_ENTRIES), MOST_BYTES).await;
        Ok(found.map(|found| found.into_iter().map(Entry::from).collect()).map_err(failed))
    }
}

impl From<store::Entry> for Entry {
    fn from(entry: store::Entry) -> Self {
        Self {
            id: entry.id.unsigned_abs(),
            conversation: entry.conversation,
            author: match entry.role.as_str() {
                "user" => Author::Person,
                "assistant" => Author::Assistant,
                _ => Author::Ambient,
            },
            text: entry.content,
            at: entry.created_at.unsigned_abs(),
        }
    }
}

/// The guest learns that storage failed; where the database lies is the operator's business.
fn failed(error: store::StoreError) -> Error {
    tracing::error!(%error, "what was said could not be read for a plugin");
    Error::Storage("the host's database does not answer".into())
}
