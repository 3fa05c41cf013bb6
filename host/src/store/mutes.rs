//! People who are not heard in a space for a while.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, aliases};
use crate::domain::{ids::SpaceId, page::Page};

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    #[serde(rename = "platformUserId")]
    pub person: String,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
    pub reason: Option<String>,
    pub muted_by: String,
    pub created_at: i64,
}

impl Mute {
    /// In the list.
    pub fn place(&self) -> (i64, String) {
        (self.expires_at, self.person.clone())
    }
}

impl Store {
    /// Mutes somebody, or changes until when, why and by whom he is.
    pub async fn mute(&self, space: &SpaceId, mute: Mute) -> Result<(), StoreError> {
        let space = space.clone();
        self.write(move |db| {
            db.execute(
                "INSERT INTO mutes (space, person, expires_at, reason, muted_by, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (space, person) DO UPDATE SET expires_at = excluded.expires_at, reason = excluded.reason,
                     muted_by = excluded.muted_by",
                params![space.as_str(), aliases::person_of(db, &mute.person)?, mute.expires_at, mute.reason, mute.muted_by, mute.created_at],
            )?;
            Ok(())
        })
        .await
    }

    /// `false` where nobody of that name is muted.
    pub async fn unmute(&self, space: &SpaceId, person: &str, now: i64) -> Result<bool, StoreError> {
        let (space, person) = (space.clone(), person.to_owned());
        self.write(move |db| {
            let sql = "DELETE FROM mutes WHERE space = ?1 AND person = ?2 RETURNING expires_at";
            let whose = params![space.as_str(), aliases::person_of(db, &person)?];
            let ended: Option<i64> = db.query_row(sql, whose, |row| row.get(0)).optional()?;
            Ok(ended.is_some_and(|expires_at| expires_at > now))
        })
        .await
    }

    /// Those that hold, the one that ends first before the others; one more than the page shows.
    pub async fn mutes(&self, space: &SpaceId, page: &Page, now: i64) -> Result<Vec<Mute>, StoreError> {
        let (space, page) = (space.clone(), page.clone());
        let (at, person) = page.after.clone().unwrap_or((i64::MIN, String::new()));
        self.write(move |db| {
            db.execute("DELETE FROM mutes WHERE space = ?1 AND expires_at <= ?2", params![space.as_str(), now])?;
            db.prepare_cached(
                "SELECT person, expires_at, reason, muted_by, created_at FROM mutes
                 WHERE space = ?1 AND (expires_at, person) > (?2, ?3) ORDER BY expires_at, person LIMIT ?4",
            )?
            .query_map(params![space.as_str(), at, person, page.wanted()], |row| {
                Ok(Mute {
                    person: row.get(0)?,
                    expires_at: row.get(1)?,
                    reason: row.get(2)?,
                    muted_by: row.get(3)?,
                    created_at: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }
}

pub(super) fn is_muted(db: &Connection, space: &SpaceId, person: &str, now: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM mutes WHERE space = ?1 AND person = ?2 AND expires_at > ?3")?.exists(params![
        space.as_str(),
        aliases::person_of(db, person)?,
        now
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mute(person: &str, expires_at: i64) -> Mute {
        Mute { person: person.into(), expires_at, reason: None, muted_by: "p:root".into(), created_at: 1 }
    }

    /// storage.md #23: a mute holds until its end, is gone once it is looked for after that, and the list begins
    /// with the one that ends first. It comes in pages, and one that is set again keeps its beginning.
    #[tokio::test]
    async fn mutes_end_and_are_listed_by_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let space = SpaceId::try_from("main".to_owned()).unwrap();
        for (person, end) in [("p:c", 30), ("p:a", 20), ("p:b", 20), ("p:d", 10)] {
            store.mute(&space, mute(person, end)).await.unwrap();
        }
        let muted = |person: &'static str, now| {
            let space = space.clone();
            store.read(move |db| is_muted(db, &space, person, now))
        };
        assert!(muted("p:d", 9).await.unwrap() && !muted("p:d", 10).await.unwrap());
        assert!(!muted("p:nobody", 1).await.unwrap());
        let mut page = Page::read(Some("2"), None).unwrap();
        let (first, next) = page.cut(store.mutes(&space, &page, 10).await.unwrap(), Mute::place);
        assert_eq!(first.iter().map(|mute| mute.person.as_str()).collect::<Vec<_>>(), ["p:a", "p:b"]);
        page = Page::read(Some("2"), next.as_deref()).unwrap();
        let (second, next) = page.cut(store.mutes(&space, &page, 10).await.unwrap(), Mute::place);
        assert_eq!((second[0].person.as_str(), second.len(), next), ("p:c", 1, None));
        let kept = store.read(|db| db.query_row("SELECT count(*) FROM mutes", [], |row| row.get::<_, i64>(0)));
        assert_eq!(kept.await.unwrap(), 3, "what is over is removed");
        store.mute(&space, Mute { created_at: 5, reason: Some("again".into()), ..mute("p:a", 40) }).await.unwrap();
        let all = store.mutes(&space, &Page::read(None, None).unwrap(), 10).await.unwrap();
        let last = all.last().unwrap();
        assert_eq!((last.person.as_str(), last.expires_at, last.created_at), ("p:a", 40, 1));
        assert_eq!(last.reason.as_deref(), Some("again"));
        assert!(store.unmute(&space, "p:a", 10).await.unwrap());
        assert!(!store.unmute(&space, "p:a", 10).await.unwrap());
    }
}
