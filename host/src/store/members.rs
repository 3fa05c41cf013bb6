//! People of a space, and who gave them their role.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Store, StoreError, aliases};
use crate::domain::{ids::SpaceId, page::Page, roles, run::TASK_PLATFORM};

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub space_id: String,
    pub platform_user_id: String,
    pub display_name: Option<String>,
    pub role: String,
    pub granted_by: Option<String>,
    /// Milliseconds since the epoch; 0 for those that are older than this being kept.
    pub created_at: i64,
    pub updated_at: i64,
}

/// A change of somebody's role.
#[derive(Clone, Debug)]
pub struct Granted {
    pub space: SpaceId,
    pub person: String,
    pub role: String,
    pub by: String,
    /// Whether the space may be left without an admin: the configuration names some, or the operator asks.
    pub admins_elsewhere: bool,
    /// Milliseconds since the epoch.
    pub at: i64,
}

impl Store {
    /// The people of a space, those who came first at the beginning; one more than the page shows.
    pub async fn members(&self, space: &SpaceId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let (space, page) = (space.clone(), page.clone());
        let (at, person) = page.after.clone().unwrap_or((i64::MIN, String::new()));
        self.read(move |db| {
            db.prepare_cached(
                "SELECT space, person, display_name, role, granted_by, created_at, updated_at FROM members
                 WHERE space = ?1 AND (created_at, person) > (?2, ?3) ORDER BY created_at, person LIMIT ?4",
            )?
            .query_map(params![space.as_str(), at, person, page.wanted()], |row| {
                Ok(Member {
                    space_id: row.get(0)?,
                    platform_user_id: row.get(1)?,
                    display_name: row.get(2)?,
                    role: row.get(3)?,
                    granted_by: row.get(4)?,
                    created_at: row.get(5)?,
                    updated_at: row.get(6)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Roles that somebody in the space has.
    pub async fn roles_in(&self, space: &SpaceId) -> Result<Vec<String>, StoreError> {
        let space = space.clone();
        self.read(move |db| {
            db.prepare_cached("SELECT DISTINCT role FROM members WHERE space = ?1 ORDER BY role")?
                .query_map([space.as_str()], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Gives somebody a role; whoever is not known yet becomes a member of the space by it. `false`, and
    /// nothing is changed, where the space would lose its last admin.
    pub async fn grant_role(&self, change: Granted) -> Result<bool, StoreError> {
        self.write(move |db| {
            let Granted { space, person, role, by, admins_elsewhere, at } = &change;
            let person = &aliases::person_of(db, person)?;
            let before: Option<String> = db
                .query_row(
                    "SELECT role FROM members WHERE space = ?1 AND person = ?2",
                    params![space.as_str(), person],
                    |row| row.get(0),
                )
                .optional()?;
            let loses = before.as_deref() == Some(roles::ADMIN_ROLE) && role != roles::ADMIN_ROLE && !admins_elsewhere;
            if loses {
                let others: bool = db.query_row(
                    "SELECT EXISTS (SELECT 1 FROM members WHERE space = ?1 AND role = ?2 AND person <> ?3)",
                    params![space.as_str(), roles::ADMIN_ROLE, person],
                    |row| row.get(0),
                )?;
                if !others {
                    return Ok(false);
                }
            }
            db.execute(
                "INSERT INTO members (space, person, role, granted_by, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (space, person) DO UPDATE SET role = excluded.role, granted_by = excluded.granted_by,
                     updated_at = excluded.updated_at",
                params![space.as_str(), person, role, by, at],
            )?;
            Ok(true)
        })
        .await
    }
}

/// Whoever writes in a space for the first time becomes a member of it; later only a new name is kept.
pub(super) fn meet(db: &Transaction<'_>, inbound: i64) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO members (space, person, role, display_name, created_at, updated_at)
         SELECT space, author, ?2, nullif(author_name, ''), received_at, received_at FROM inbound WHERE id = ?1 AND platform <> ?3 AND occasion IS NULL
         ON CONFLICT (space, person) DO UPDATE SET display_name = excluded.display_name, updated_at = excluded.updated_at
         WHERE excluded.display_name IS NOT NULL AND excluded.display_name IS NOT members.display_name",
        params![inbound, roles::MEMBER_ROLE, TASK_PLATFORM],
    )?;
    Ok(())
}

/// The role that somebody gave the person, whatever the configuration says of them.
pub(super) fn given_role(db: &Connection, space: &SpaceId, person: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT role FROM members WHERE space = ?1 AND person = ?2 AND granted_by IS NOT NULL";
    let whose = params![space.as_str(), aliases::person_of(db, person)?];
    db.prepare_cached(sql)?.query_row(whose, |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(person: &str, role: &str) -> Granted {
        Granted {
            space: SpaceId::try_from("main".to_owned()).unwrap(),
            person: person.into(),
            role: role.into(),
            by: "api:root".into(),
            admins_elsewhere: false,
            at: 5,
        }
    }

    /// permissions.md #33: a space keeps an admin, unless the configuration names one.
    #[tokio::test]
    async fn the_last_admin_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        assert!(store.grant_role(change("api:a", "admin")).await.unwrap());
        assert!(!store.grant_role(change("api:a", "member")).await.unwrap());
        assert!(store.grant_role(change("api:b", "admin")).await.unwrap());
        assert!(store.grant_role(change("api:a", "member")).await.unwrap());
        assert!(!store.grant_role(change("api:b", "guest")).await.unwrap());
        assert!(store.grant_role(Granted { admins_elsewhere: true, ..change("api:b", "guest") }).await.unwrap());
        let space = SpaceId::try_from("main".to_owned()).unwrap();
        let members = store.members(&space, &Page::read(None, None).unwrap()).await.unwrap();
        let shown: Vec<_> = members.iter().map(|member| (&*member.platform_user_id, &*member.role)).collect();
        assert_eq!(shown, [("api:a", "member"), ("api:b", "guest")]);
        assert_eq!(members[0].granted_by.as_deref(), Some("api:root"));
        assert_eq!(store.roles_in(&space).await.unwrap(), ["guest", "member"]);
    }
}
