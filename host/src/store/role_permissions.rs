//! What spaces say of roles, in the place of the defaults.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, from_json, to_json};
use crate::domain::{ids::SpaceId, roles::Stated};

impl Store {
    /// What the space says of the role; `None` where it says nothing, which is something else than an
    /// empty list.
    pub async fn stated_permissions(&self, space: &SpaceId, role: &str) -> Result<Option<Stated>, StoreError> {
        let (space, role) = (space.clone(), role.to_owned());
        self.read(move |db| {
            let stated: Option<(String, String)> = db
                .query_row(
                    "SELECT permissions, updated_by FROM role_permissions WHERE space = ?1 AND role = ?2",
                    params![space.as_str(), role],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            stated.map(|(list, by)| Ok(Stated { list: from_json(0, &list)?, by })).transpose()
        })
        .await
    }

    /// `None` brings the defaults back. Times are milliseconds since the epoch.
    pub async fn state_permissions(
        &self,
        space: &SpaceId,
        role: &str,
        list: Option<Vec<String>>,
        by: &str,
        at: i64,
    ) -> Result<(), StoreError> {
        let (space, role, by) = (space.clone(), role.to_owned(), by.to_owned());
        self.write(move |db| {
            match list {
                Some(list) => db.execute(
                    "INSERT INTO role_permissions (space, role, permissions, updated_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (space, role) DO UPDATE SET permissions = excluded.permissions,
                         updated_by = excluded.updated_by, updated_at = excluded.updated_at",
                    params![space.as_str(), role, to_json(&list)?, by, at],
                )?,
                None => db.execute(
                    "DELETE FROM role_permissions WHERE space = ?1 AND role = ?2",
                    params![space.as_str(), role],
                )?,
            };
            Ok(())
        })
        .await
    }
}
