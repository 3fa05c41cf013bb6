//! What is set for one space, or with no space for all. What may be set is `domain::space_settings`.

use rusqlite::{Connection, OptionalExtension, params};

use super::{NewDelivery, Store, StoreError, deliveries};
use crate::domain::{
    ids::SpaceId,
    pause::Pause,
    space_settings::{PAUSED, PAUSED_IN, RESUME_AT, SpaceSettings},
};

/// A pause that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub space: String,
    /// Until when it was, in milliseconds since the epoch.
    pub until: i64,
    /// Where it was asked for, if that is a conversation of a platform: platform and id.
    pub told_in: Option<(String, String)>,
}

impl Store {
    /// Those of the space, each of which comes before one for all spaces.
    pub async fn space_settings(&self, space: &SpaceId) -> Result<SpaceSettings, StoreError> {
        let space = space.clone();
        self.read(move |db| read(db, &space)).await
    }

    /// Several at once; none as a value takes the setting away.
    pub async fn set_space_settings(
        &self,
        space: Option<&SpaceId>,
        values: Vec<(&'static str, Option<String>)>,
        by: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.change_space_settings(space, values, by, now).await.map(drop)
    }

    /// The same by any names. How many were changed.
    pub async fn change_space_settings(
        &self,
        space: Option<&SpaceId>,
        values: Vec<(String, Option<String>)>,
        by: &str,
        now: i64,
    ) -> Result<usize, StoreError> {
        let (space, by) = (space.map(SpaceId::to_string), by.to_owned());
        self.write(move |db| {
            let mut changed = 0;
            for (key, value) in &values {
                changed += match value {
                    Some(value) => db.execute(
                        "INSERT INTO space_settings (space, key, value, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (key, coalesce(space, '')) DO UPDATE SET value = excluded.value,
                             updated_by = excluded.updated_by, updated_at = excluded.updated_at",
                        params![space, key, value, by, now],
                    )?,
                    None => db.execute("DELETE FROM space_settings WHERE space IS ?1 AND key = ?2", params![space, key])?,
                };
            }
            Ok(changed)
        })
        .await
    }

    /// Makes the space silent. `conversation` is told of the end.
    pub async fn pause(
        &self,
        space: &SpaceId,
        pause: Pause,
        conversation: &str,
        by: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let values = vec![
            (PAUSED, Some("true".to_owned())),
            (RESUME_AT, pause.until.map(|until| until.to_string())),
            (PAUSED_IN, Some(conversation.to_owned())),
        ];
        self.set_space_settings(Some(space), values, by, now).await
    }

    pub async fn resume(&self, space: &SpaceId, by: &str, now: i64) -> Result<(), StoreError> {
        let values = vec![(PAUSED, None), (RESUME_AT, None), (PAUSED_IN, None)];
        self.set_space_settings(Some(space), values, by, now).await
    }

    /// When the next pause is over.
    pub async fn next_resume(&self) -> Result<Option<i64>, StoreError> {
        self.read(|db| {
            db.query_row(
                "SELECT min(CAST(value AS INTEGER)) FROM space_settings WHERE key = ?1 AND space IS NOT NULL",
                [RESUME_AT],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Ends the pauses that are over, and writes what their conversations are told, in one transaction.
    pub async fn end_pauses(
        &self,
        now: i64,
        say: impl Fn(&SpaceSettings) -> String + Send + 'static,
    ) -> Result<Vec<Ended>, StoreError> {
        self.write(move |db| {
            let over: Vec<(String, i64)> = db
                .prepare_cached(
                    "SELECT space, CAST(value AS INTEGER) FROM space_settings
                     WHERE key = ?1 AND space IS NOT NULL AND CAST(value AS INTEGER) <= ?2",
                )?
                .query_map(params![RESUME_AT, now], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let mut ended = Vec::with_capacity(over.len());
            for (space, until) in over {
                let Ok(id) = SpaceId::try_from(space.clone()) else { continue };
                let settings = read(db, &id)?;
                let told_in = db
                    .query_row(
                        "SELECT platform, id FROM conversations WHERE space = ?1 AND id = ?2",
                        params![space, settings.text(PAUSED_IN)],
                        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
                    )
                    .optional()?;
                if let Some((platform, conversation)) = &told_in {
                    let delivery = NewDelivery {
                        message: format!("resumed-{space}-{until}"),
                        platform: platform.clone(),
                        conversation: conversation.clone(),
                        thread: None,
                        reply_to: None,
                        text: say(&settings),
                        choices: Vec::new(),
                    };
                    deliveries::insert(db, &delivery, now)?;
                }
                db.execute(
                    "DELETE FROM space_settings WHERE space = ?1 AND key IN (?2, ?3, ?4)",
                    params![space, PAUSED, RESUME_AT, PAUSED_IN],
                )?;
                ended.push(Ended { space, until, told_in });
            }
            Ok(ended)
        })
        .await
    }
}

pub(super) fn read(db: &Connection, space: &SpaceId) -> rusqlite::Result<SpaceSettings> {
    let rows = db
        .prepare_cached("SELECT key, value, updated_by FROM space_settings WHERE space IS NULL OR space = ?1 ORDER BY space IS NOT NULL")?
        .query_map([space.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(String, String, String)>>>()?;
    Ok(SpaceSettings::new(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main() -> SpaceId {
        SpaceId::try_from("main".to_owned()).unwrap()
    }

    /// pipeline.md #31 in part: a space's own comes before the one for all.
    #[tokio::test]
    async fn a_space_comes_before_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let set = async |space: Option<&SpaceId>, value: Option<&str>| {
            let values = vec![("messages.locale", value.map(str::to_owned))];
            store.set_space_settings(space, values, "x", 1).await.unwrap();
            store.space_settings(&main()).await.unwrap().text("messages.locale").map(str::to_owned)
        };
        assert_eq!(set(None, Some("he")).await.as_deref(), Some("he"));
        assert_eq!(set(Some(&main()), Some("en")).await.as_deref(), Some("en"));
        assert_eq!(set(None, Some("xx")).await.as_deref(), Some("en"));
        assert_eq!(set(Some(&main()), None).await.as_deref(), Some("xx"));
    }

    /// storage.md #17 #19: of one space or of all, each key for itself: none, set, overwritten, and by whom; listed by
    /// key; taken away once.
    #[tokio::test]
    async fn settings_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let other = SpaceId::try_from("other".to_owned()).unwrap();
        store.create_space(&other, 1).await.unwrap();
        let main = main();
        let set = async |space: Option<&SpaceId>, key: &str, value: Option<&str>, by: &str| {
            let values = vec![(key.to_owned(), value.map(str::to_owned))];
            store.change_space_settings(space, values, by, 1).await.unwrap()
        };
        let read = async |space: &SpaceId, key: &str| {
            let stored = store.space_settings(space).await.unwrap().stored(key).cloned();
            stored.map(|stored| (stored.value, stored.by))
        };
        let is = |value: &str, by: &str| Some((value.to_owned(), by.to_owned()));
        for (space, seen_elsewhere) in [(Some(&main), None), (None, is("b", "p:b"))] {
            assert_eq!(read(&main, "character").await, None);
            assert_eq!(set(space, "character", Some("a"), "p:a").await, 1);
            assert_eq!(read(&main, "character").await, is("a", "p:a"));
            assert_eq!(set(space, "character", Some("b"), "p:b").await, 1);
            assert_eq!(read(&main, "character").await, is("b", "p:b"), "the last one who wrote it");
            assert_eq!(read(&other, "character").await, seen_elsewhere);
            assert_eq!(set(space, "trigger.match", Some("always"), "p:c").await, 1);
            assert_eq!(set(space, "ambient.enabled", Some("true"), "p:c").await, 1);
            let listed = store.space_settings(&main).await.unwrap();
            let listed: Vec<_> = listed.stated().map(|(key, _)| key.to_owned()).collect();
            assert_eq!(listed, ["ambient.enabled", "trigger.match"], "those that people set, by key");
            assert_eq!(set(space, "character", None, "p:a").await, 1);
            assert_eq!(set(space, "character", None, "p:a").await, 0, "there is none any more");
            assert_eq!(read(&main, "trigger.match").await, is("always", "p:c"), "another key stays");
            assert_eq!(set(space, "trigger.match", None, "p:a").await, 1);
            assert_eq!(set(space, "ambient.enabled", None, "p:a").await, 1);
        }
    }

    /// pipeline.md #25: what is over ends, what is not stays; both across a restart, since both are rows.
    #[tokio::test]
    async fn pauses_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        assert_eq!(store.next_resume().await.unwrap(), None);
        store.pause(&main(), Pause { until: Some(100) }, "p:1", "x", 1).await.unwrap();
        assert_eq!(store.next_resume().await.unwrap(), Some(100));
        assert!(store.end_pauses(99, |_| String::new()).await.unwrap().is_empty());
        assert!(store.space_settings(&main()).await.unwrap().pause().is_some());
        let ended = store.end_pauses(100, |_| String::new()).await.unwrap();
        assert_eq!(ended, [Ended { space: "main".into(), until: 100, told_in: None }]);
        assert_eq!(store.space_settings(&main()).await.unwrap(), SpaceSettings::default());
        // A timed pause that is made one without an end.
        store.pause(&main(), Pause { until: Some(100) }, "p:1", "x", 1).await.unwrap();
        store.pause(&main(), Pause { until: None }, "p:1", "x", 1).await.unwrap();
        assert!(store.end_pauses(200, |_| String::new()).await.unwrap().is_empty());
        assert_eq!(store.space_settings(&main()).await.unwrap().pause(), Some(Pause { until: None }));
    }
}
