//! Which ids of a platform are one person, and what follows for what is kept of them.
//!
//! Whatever the host keeps of a person is kept under the person's own id. So an alias stands for its person
//! wherever a person is looked up or written down: who is muted is muted under every id.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Store, StoreError, conversations,
    person_rows::{self, Moved},
};
use crate::domain::{
    identity::{self, Adoption, AliasError, Identity},
    ids::SpaceId,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlias {
    pub alias: String,
    pub person: String,
    /// How the adapter came to know it, in its own word.
    pub source: String,
    /// Milliseconds since the epoch.
    pub at: i64,
}

/// What came of an alias that was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// It was not known, or as somebody else's.
    pub news: bool,
    /// Whose it was until now.
    pub former: Option<String>,
    /// What was kept under the alias and is the person's now.
    pub moved: Moved,
    /// Of the person's direct conversation.
    pub encounter: Option<Encounter>,
}

/// A person's direct conversation, and the one that they have under their alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encounter {
    pub conversation: String,
    pub alias: String,
    pub met: Met,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// It had no space, and got the alias's.
    Adopted { space: SpaceId, moved: Moved },
    /// Both have a space, and not the same.
    Split { own: SpaceId, other: SpaceId },
}

impl Store {
    /// Keeps that `alias` is another id of `person`. Where that is news, what is kept under the alias becomes
    /// the person's, and so does the alias's space where the person's direct conversation has none. One
    /// transaction.
    pub async fn learn_alias(&self, new: NewAlias) -> Result<Result<Learned, AliasError>, StoreError> {
        self.write(move |db| learn(db, &new)).await
    }

    /// Whose alias this is.
    pub async fn person_of_alias(&self, alias: &str) -> Result<Option<String>, StoreError> {
        let alias = alias.to_owned();
        self.read(move |db| person_of_alias(db, &alias)).await
    }

    /// The ids that count for somebody.
    pub async fn identity(&self, id: &str) -> Result<Identity, StoreError> {
        let id = id.to_owned();
        self.read(move |db| identity_of(db, &id)).await
    }

    /// The space that a direct conversation without one would take over from its person's alias.
    pub async fn adoptable(&self, conversation: &str) -> Result<Option<SpaceId>, StoreError> {
        let conversation = conversation.to_owned();
        self.read(move |db| match newest_alias(db, &conversation)? {
            Some(_) if conversations::is_apart(db, &conversation)? => Ok(None),
            Some(alias) => conversations::direct_space_of(db, &alias),
            None => Ok(None),
        })
        .await
    }
}

/// [`Store::learn_alias`], in a transaction of the caller.
pub(crate) fn learn(db: &Transaction<'_>, new: &NewAlias) -> rusqlite::Result<Result<Learned, AliasError>> {
    let NewAlias { alias, person, source, at } = new;
    let allowed = identity::check(alias, person, person_of_alias(db, person)?, newest_alias(db, alias)?);
    if let Err(error) = allowed {
        return Ok(Err(error));
    }
    let known: Option<(String, String)> = db
        .prepare_cached("SELECT person, source FROM aliases WHERE alias = ?1")?
        .query_row([alias], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let news = known.as_ref().is_none_or(|(of, _)| of != person);
    // Adapters say it with every message: what changes nothing is not written.
    if known.as_ref().is_some_and(|known| *known == (person.clone(), source.clone()))
        && newest_alias(db, person)?.as_ref() == Some(alias)
    {
        return Ok(Ok(Learned::default()));
    }
    db.execute(
        "INSERT INTO aliases (alias, person, source, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (alias) DO UPDATE SET person = excluded.person, source = excluded.source,
             updated_at = excluded.updated_at",
        params![alias, person, source, at],
    )?;
    if !news {
        return Ok(Ok(Learned::default()));
    }
    let former = known.map(|(of, _)| of);
    if let Some(former) = &former {
        person_rows::limit_alike(db, former, person)?;
    }
    let moved = person_rows::give(db, alias, person, *at)?;
    // Only where the person has written already: a later conversation adopts when it is seen.
    let encounter = match conversations::has_direct(db, person)? {
        true => meet(db, person, *at)?,
        false => None,
    };
    Ok(Ok(Learned { news, former, moved, encounter }))
}

/// Looks for the alias's direct conversation beside the person's, and links the latter to the same space where
/// it has none and nobody took it from it.
pub(super) fn meet(db: &Transaction<'_>, person: &str, now: i64) -> rusqlite::Result<Option<Encounter>> {
    let Some(alias) = newest_alias(db, person)? else { return Ok(None) };
    let spaces = (conversations::space_of(db, person)?, conversations::direct_space_of(db, &alias)?);
    let met = match identity::adoption(spaces.0, spaces.1) {
        Adoption::None => return Ok(None),
        Adoption::Take(_) if conversations::is_apart(db, person)? => return Ok(None),
        Adoption::Split { own, other } => Met::Split { own, other },
        Adoption::Take(space) => {
            db.execute("UPDATE conversations SET space = ?2 WHERE id = ?1", params![person, space.as_str()])?;
            Met::Adopted { space, moved: person_rows::give(db, &alias, person, now)? }
        }
    };
    Ok(Some(Encounter { conversation: person.to_owned(), alias, met }))
}

/// The id under which everything is kept of whoever has this one.
pub(crate) fn person_of(db: &Connection, id: &str) -> rusqlite::Result<String> {
    Ok(person_of_alias(db, id)?.unwrap_or_else(|| id.to_owned()))
}

pub(super) fn identity_of(db: &Connection, id: &str) -> rusqlite::Result<Identity> {
    Ok(Identity::new(id, person_of_alias(db, id)?, newest_alias(db, id)?))
}

fn person_of_alias(db: &Connection, alias: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT person FROM aliases WHERE alias = ?1";
    db.prepare_cached(sql)?.query_row([alias], |row| row.get(0)).optional()
}

/// The alias that was learned last; of two at the same moment the first by name.
fn newest_alias(db: &Connection, person: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT alias FROM aliases WHERE person = ?1 ORDER BY updated_at DESC, alias LIMIT 1";
    db.prepare_cached(sql)?.query_row([person], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests;
