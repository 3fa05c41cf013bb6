//! Sessions of operators in a browser. Of a session's token only a digest is kept, which is made with
//! the API's secret: nobody who reads the database comes in with it, and another secret ends them all.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};
use crate::domain::session::{self, MOST_SESSIONS, NOTED_EVERY_MS};

pub type Digest = [u8; 32];

/// Times are milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub created_at: i64,
    pub ends_at: i64,
}

impl Store {
    /// Keeps a new session; those that are over go, and beyond [`MOST_SESSIONS`] the oldest.
    pub async fn open_session(&self, digest: Digest, now: i64) -> Result<Session, StoreError> {
        self.write(move |db| {
            db.execute(
                "DELETE FROM sessions WHERE used_at <= ?1 OR created_at <= ?2",
                [now - session::IDLE_MS, now - session::LONGEST_MS],
            )?;
            db.execute("INSERT INTO sessions (digest, created_at, used_at) VALUES (?1, ?2, ?2)", params![digest, now])?;
            db.execute(
                "DELETE FROM sessions WHERE digest NOT IN
                 (SELECT digest FROM sessions ORDER BY created_at DESC, digest = ?2 DESC LIMIT ?1)",
                params![MOST_SESSIONS, digest],
            )?;
            Ok(())
        })
        .await?;
        Ok(Session { created_at: now, ends_at: session::ends_at(now, now) })
    }

    /// The session, if it is not over; its use is noted.
    pub async fn use_session(&self, digest: Digest, now: i64) -> Result<Option<Session>, StoreError> {
        let found = self
            .read(move |db| {
                db.query_row("SELECT created_at, used_at FROM sessions WHERE digest = ?1", [digest], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })
                .optional()
            })
            .await?;
        let Some((created_at, used_at)) = found else { return Ok(None) };
        if now >= session::ends_at(created_at, used_at) {
            return Ok(None);
        }
        if now - used_at >= NOTED_EVERY_MS {
            self.write(move |db| {
                db.execute("UPDATE sessions SET used_at = max(used_at, ?2) WHERE digest = ?1", params![digest, now])
            })
            .await?;
        }
        Ok(Some(Session { created_at, ends_at: session::ends_at(created_at, now) }))
    }

    pub async fn close_session(&self, digest: Digest) -> Result<(), StoreError> {
        self.write(move |db| db.execute("DELETE FROM sessions WHERE digest = ?1", [digest]).map(drop)).await
    }

    /// Ends the sessions of everybody.
    pub async fn close_sessions(&self) -> Result<usize, StoreError> {
        self.write(|db| db.execute("DELETE FROM sessions", [])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_session_lives_while_it_is_used() {
        let (_folder, store) = store().await;
        let opened = store.open_session([1; 32], 1000).await.unwrap();
        assert_eq!(opened.ends_at, 1000 + session::IDLE_MS);
        let mut now = 1000;
        while now + session::IDLE_MS - 1 < 1000 + session::LONGEST_MS {
            now += session::IDLE_MS - 1;
            assert!(store.use_session([1; 32], now).await.unwrap().is_some(), "{now}");
        }
        let end = 1000 + session::LONGEST_MS;
        assert_eq!(store.use_session([1; 32], end - 1).await.unwrap().map(|session| session.ends_at), Some(end));
        assert_eq!(store.use_session([1; 32], end).await.unwrap(), None, "its longest is over");
        store.open_session([2; 32], 0).await.unwrap();
        assert_eq!(store.use_session([2; 32], session::IDLE_MS).await.unwrap(), None, "nobody used it");
        assert_eq!(store.use_session([3; 32], 0).await.unwrap(), None);
    }

    #[tokio::test]
    async fn sessions_are_ended_and_bounded() {
        let (_folder, store) = store().await;
        for n in 0..=MOST_SESSIONS as u8 {
            store.open_session([n; 32], i64::from(n)).await.unwrap();
        }
        assert!(store.use_session([0; 32], 100).await.unwrap().is_none(), "the oldest made room");
        assert!(store.use_session([1; 32], 100).await.unwrap().is_some());
        store.close_session([1; 32]).await.unwrap();
        assert!(store.use_session([1; 32], 100).await.unwrap().is_none());
        assert_eq!(store.close_sessions().await.unwrap(), MOST_SESSIONS as usize - 1);
    }
}
