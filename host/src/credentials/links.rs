//! The links of one chain: where they lie, which of them counts, and that a new one is on disk
//! before it is used.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use super::{
    auth_file::{AuthFile, Locked},
    providers::Account,
    token_set::TokenSet,
};

/// For another process that is renewing: its whole call, and a little.
const PATIENCE_FOR_LOCK: Duration = Duration::from_secs(40);
/// Between two attempts to get the lock.
const BETWEEN_LOCKS: Duration = Duration::from_millis(50);
/// In the local copy: the fingerprint of the environment's credential that it descends from.
const ORIGIN: &str = "origin";
/// In the local copy: fingerprints of the refresh tokens that it replaced, the latest last. A console
/// may still hold one of them and offer it after a restart.
const SPENT: &str = "spent";
/// As many as a console can be behind.
const MOST_SPENT: usize = 16;

pub(super) struct Links {
    account: Account,
    file: AuthFile,
    /// The environment's link, for a provisioned chain.
    seed: Option<TokenSet>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Fingerprints of refresh tokens that are used up or rejected: none is sent twice.
    spent: BTreeSet<String>,
    unsaved: Option<Unsaved>,
}

/// A link that could not be written. It counts while the file still holds what it replaces.
#[derive(Clone)]
struct Unsaved {
    tokens: TokenSet,
    replaces: Option<String>,
}

/// What there is at the moment.
pub(super) struct Found {
    /// The newest that is not spent.
    pub newest: Option<TokenSet>,
    /// There is one at all.
    pub any: bool,
}

impl Links {
    pub(super) fn new(account: Account, file: AuthFile, seed: Option<TokenSet>) -> Arc<Self> {
        Arc::new(Self { account, file, seed, state: Mutex::default() })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) async fn look(&self) -> Found {
        let kept = self.kept().await;
        let mut state = self.state();
        let kept_print = kept.as_ref().and_then(TokenSet::refresh_print);
        state.unsaved = state.unsaved.take().filter(|unsaved| unsaved.replaces == kept_print);
        if self.seed.is_some()
            && let Some(kept) = &kept
        {
            let own = kept_print.as_deref();
            state.spent.extend(spent(kept).filter(|print| Some(*print) != own).map(str::to_owned));
        }
        let origin = kept.as_ref().and_then(|kept| kept.extras.get(ORIGIN)).and_then(Json::as_str).map(str::to_owned);
        let seed = self.seed.clone();
        let unsaved = state.unsaved.as_ref().map(|unsaved| unsaved.tokens.clone());
        let any = kept.is_some() || seed.is_some() || unsaved.is_some();
        let seed = seed.filter(|seed| seed.refresh_print() != origin);
        let alive = |tokens: &TokenSet| tokens.refresh_print().is_none_or(|print| !state.spent.contains(&print));
        let newest = [seed, kept, unsaved].into_iter().flatten().filter(alive).max_by_key(|tokens| tokens.expires);
        Found { newest, any }
    }

    /// Never to be sent again.
    pub(super) fn spend(&self, print: String) {
        self.state().spent.insert(print);
    }

    pub(super) fn is_spent(&self, tokens: &TokenSet) -> bool {
        tokens.refresh_print().is_some_and(|print| self.state().spent.contains(&print))
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.state().unsaved.is_some()
    }

    /// Held from looking to saving; other processes wait. `None` where no lock can be made: then the
    /// writing fails too, and is reported. Asked for again and again: a thread that waits for a process that hangs
    /// would be lost, and there are few.
    ///
    /// # Errors
    /// In words, where the wait takes too long.
    pub(super) async fn lock(&self) -> Result<Option<Locked>, String> {
        let attempt = async {
            loop {
                let file = self.file.clone();
                match tokio::task::spawn_blocking(move || file.try_lock()).await {
                    Ok(Ok(Some(lock))) => return Ok(Some(lock)),
                    Ok(Ok(None)) => tokio::time::sleep(BETWEEN_LOCKS).await,
                    Ok(Err(error)) => {
                        tracing::warn!(path = %self.path().display(), %error, "the credentials file cannot be locked");
                        return Ok(None);
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        timeout(PATIENCE_FOR_LOCK, attempt).await.unwrap_or_else(|_| {
            Err(format!("another process holds the lock of {} for too long", self.path().display()))
        })
    }

    /// Writes `next`, which came of `current`, or of somebody else. Where that fails it counts for
    /// this process all the same.
    pub(super) async fn save(&self, current: Option<&TokenSet>, mut next: TokenSet) -> (TokenSet, io::Result<()>) {
        if let Some(seed) = &self.seed
            && current.is_none_or(|current| current.refresh_print() == seed.refresh_print())
        {
            next.extras.insert(ORIGIN.to_owned(), json!(seed.refresh_print()));
        }
        if self.seed.is_some() {
            let kept = self.kept().await;
            let own = next.refresh_print();
            let replaced = current.and_then(TokenSet::refresh_print).or_else(|| kept.as_ref()?.refresh_print());
            let known = kept.iter().flat_map(spent).map(str::to_owned);
            let mut all: Vec<String> = known.chain(replaced).filter(|print| Some(print) != own.as_ref()).collect();
            all.drain(..all.len().saturating_sub(MOST_SPENT));
            next.extras.insert(SPENT.to_owned(), json!(all));
        }
        let written = self.write(next.clone()).await;
        let unsaved = match written {
            Ok(()) => None,
            Err(_) => {
                let replaces = self.kept().await.and_then(|kept| kept.refresh_print());
                Some(Unsaved { tokens: next.clone(), replaces })
            }
        };
        self.state().unsaved = unsaved;
        (next, written)
    }

    /// Tries in the background until what is unsaved is written, or the file holds something else.
    pub(super) fn save_later(self: &Arc<Self>) {
        let links = self.clone();
        let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_secs(2));
        let backoff = backoff.with_max_delay(Duration::from_secs(300)).without_max_times();
        tokio::spawn(async move {
            let save = || async {
                let _lock = links.lock().await.map_err(io::Error::other)?;
                // Drops it where the file has changed.
                links.look().await;
                let Some(unsaved) = links.state().unsaved.clone() else { return Ok(()) };
                links.write(unsaved.tokens).await?;
                links.state().unsaved = None;
                tracing::info!(path = %links.path().display(), "the renewed credential is saved after all");
                Ok::<(), io::Error>(())
            };
            let _ = save.retry(backoff).await;
        });
    }

    async fn kept(&self) -> Option<TokenSet> {
        let (file, id) = (self.file.clone(), self.account.id());
        tokio::task::spawn_blocking(move || file.tokens(id)).await.unwrap_or_default()
    }

    async fn write(&self, tokens: TokenSet) -> io::Result<()> {
        let (file, id) = (self.file.clone(), self.account.id());
        let written = tokio::task::spawn_blocking(move || file.replace(id, Some(tokens.to_entry()))).await;
        written.map_err(io::Error::other)?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spent(tokens: &TokenSet) -> impl Iterator<Item = &str> {
    tokens.extras.get(SPENT).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}
