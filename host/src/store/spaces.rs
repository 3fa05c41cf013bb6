//! Spaces and their members.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};
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

    pub async fn spaces(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT id FROM spaces ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
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

    /// The stored role; a stranger is a member.
    pub async fn role_of(&self, space: &SpaceId, person: &str) -> Result<String, StoreError> {
        let (space, person) = (space.clone(), person.to_owned());
        self.read(move |db| {
            let role = db
                .query_row(
                    "SELECT role FROM members WHERE space = ?1 AND person = ?2",
                    params![space.as_str(), person],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(role.unwrap_or_else(|| roles::MEMBER_ROLE.to_owned()))
        })
        .await
    }

    /// Writes the member's role and display name; a missing name keeps the old one.
    pub async fn set_role(
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
                 ON CONFLICT (space, person) DO UPDATE SET role = excluded.role,
                     display_name = coalesce(excluded.display_name, display_name)",
                params![space.as_str(), person, role, name],
            )?;
            Ok(())
        })
        .await
    }
}
