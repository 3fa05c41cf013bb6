//! Spaces and their members.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, aliases};
use crate::domain::{ids::SpaceId, roles};

impl Store {
    pub async fn space_exists(&self, space: &SpaceId) -> Result<bool, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            db.query_row("SELECT EXISTS (SELECT 1 FROM spaces WHERE id = ?1)", [space.as_str()], |row| row.get(0))
        })
        .await
    }

    pub async fn create_space(&self, space: &SpaceId, now: i64) -> Result<(), StoreError> {
        let space = space.clone();
        self.write(move |db| {
            db.execute(
                "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?1, ?2) ON CONFLICT DO NOTHING",
                params![space.as_str(), now],
            )?;
            Ok(())
        })
        .await
    }

    /// The same with a name of its own. `false` where there is one of that id.
    pub async fn create_named_space(&self, space: &SpaceId, name: &str, now: i64) -> Result<bool, StoreError> {
        let (space, name) = (space.clone(), name.to_owned());
        self.write(move |db| {
            let created = db.execute(
                "INSERT INTO spaces (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![space.as_str(), name, now],
            )?;
            Ok(created == 1)
        })
        .await
    }

    /// Id, name and number of linked conversations of each space, by id.
    pub async fn spaces_with_links(&self) -> Result<Vec<(String, String, u32)>, StoreError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT s.id, s.name, (SELECT count(*) FROM conversations c WHERE c.space = s.id) FROM spaces s ORDER BY s.id",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
        })
        .await
    }

    /// In the order in which they were made.
    pub async fn spaces(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT id FROM spaces ORDER BY created_at, id")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Spaces of which plugins were not told yet, marked as told.
    pub async fn take_unannounced(&self) -> Result<Vec<String>, StoreError> {
        let waiting = "SELECT id FROM spaces WHERE announced = 0 ORDER BY id";
        let some = self.read(|db| db.prepare_cached(waiting)?.exists([])).await?;
        if !some {
            return Ok(Vec::new());
        }
        self.write(|db| {
            let spaces = db.prepare(waiting)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            db.execute("UPDATE spaces SET announced = 1 WHERE announced = 0", [])?;
            Ok(spaces)
        })
        .await
    }

    /// The stored role; a stranger is a member, and so is who has one that nobody can be given. An alias has its
    /// person's.
    pub async fn role_of(&self, space: &SpaceId, person: &str) -> Result<String, StoreError> {
        let (space, person) = (space.clone(), person.to_owned());
        self.read(move |db| {
            let role = db
                .query_row(
                    "SELECT role FROM members WHERE space = ?1 AND person = ?2",
                    params![space.as_str(), aliases::person_of(db, &person)?],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(roles::stored(role))
        })
        .await
    }

    /// Somebody's role from the first contact on: whoever has one already keeps it. A missing name keeps the
    /// old one.
    pub async fn welcome(
        &self,
        space: &SpaceId,
        person: &str,
        role: &str,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let (space, person, role, name) = (space.clone(), person.to_owned(), role.to_owned(), name.map(str::to_owned));
        self.write(move |db| {
            db.execute(
                "INSERT INTO members (space, person, role, display_name, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, unixepoch() * 1000, unixepoch() * 1000)
                 ON CONFLICT (space, person) DO UPDATE SET display_name = excluded.display_name
                 WHERE excluded.display_name IS NOT NULL",
                params![space.as_str(), aliases::person_of(db, &person)?, role, name],
            )?;
            Ok(())
        })
        .await
    }
}
