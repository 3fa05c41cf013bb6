//! Which ids of a platform are one person: kept as adapters learn it, and told to the operator where it changes
//! something.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;

use crate::{
    clock,
    plugins::identities::{Error, Identities},
    store::{Encounter, Learned, Met, Moved, NewAlias, Store, StoreError},
};

#[derive(Clone)]
pub(super) struct AdapterIdentities {
    store: Store,
    /// Aliases of whom the operator knows that there are two spaces. Told once in a process: it is so with every
    /// message.
    split: Arc<Mutex<HashSet<String>>>,
}

impl AdapterIdentities {
    pub(super) fn new(store: Store) -> Self {
        Self { store, split: Arc::default() }
    }

    /// Tells the operator what a direct conversation beside that of an alias came to.
    pub(super) fn tell(&self, encounter: Encounter) {
        let Encounter { conversation, alias, met } = encounter;
        match met {
            Met::Adopted { space, moved } => {
                tracing::info!(conversation, alias, %space, "a direct conversation took over the space of its person's alias");
                tell_moved(&alias, &conversation, &moved);
            }
            Met::Split { own, other } => {
                if self.split.lock().unwrap_or_else(PoisonError::into_inner).insert(alias.clone()) {
                    tracing::warn!(
                        conversation,
                        space = %own,
                        alias,
                        alias_space = %other,
                        "one person has two direct conversations in two spaces; what they write goes to the first. Link \
                         one of them with `mercury conversations link` to bring both together"
                    );
                }
            }
        }
    }

    async fn keep(&self, platform: &str, new: NewAlias) -> Result<bool, Error> {
        let (alias, person) = (new.alias.clone(), new.person.clone());
        let learned = self.store.learn_alias(new).await.map_err(|error| failed(platform, &error))?;
        let Learned { news, former, moved, encounter } = learned.map_err(|error| Error::Invalid(error.to_string()))?;
        if news {
            tracing::info!(platform, alias, person, "an adapter knows two ids to be one person");
        }
        if let Some(former) = former {
            tracing::warn!(
                platform,
                alias,
                person,
                former,
                "an id that was one person's is another's now: mutes and counts of the one before hold for both, and \
                 roles did not go along. Where it is the same person, give the role anew with `mrctl roles grant`"
            );
        }
        tell_moved(&alias, &person, &moved);
        if let Some(encounter) = encounter {
            self.tell(encounter);
        }
        Ok(news)
    }
}

impl Identities for AdapterIdentities {
    fn learn<'a>(
        &'a self,
        platform: &'a str,
        alias: String,
        person: String,
        source: String,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.keep(platform, NewAlias { alias, person, source, at: clock::millis() }))
    }

    fn person<'a>(&'a self, alias: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move { self.store.person_of_alias(alias).await.map_err(|error| failed(alias, &error)) })
    }
}

/// Rights that go from one id to another are never moved without a word.
fn tell_moved(alias: &str, person: &str, moved: &Moved) {
    if moved.is_empty() {
        return;
    }
    let Moved { roles, mutes, counters, tasks, lost_roles } = moved;
    tracing::info!(alias, person, roles, mutes, counters, tasks, "what was kept of an alias is its person's now");
    for (space, role) in lost_roles {
        tracing::warn!(space, alias, person, role, "the role of an alias gave way to the one that its person has");
    }
}

/// The adapter learns that storage failed; where the database lies is the operator's business.
fn failed(of: &str, error: &StoreError) -> Error {
    tracing::error!(of, %error, "who an alias is cannot be read or written; the adapter is told");
    Error::Other("the host's database does not answer".into())
}
