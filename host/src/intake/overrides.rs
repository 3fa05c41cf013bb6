//! Roles that the configuration overrides, each told once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::domain::{ids::SpaceId, roles};

/// A handle, cheap to clone. It forgets with the process: an operator who starts the host anew reads it anew.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Arc<Mutex<HashSet<(SpaceId, String)>>>);

impl Overrides {
    /// Says that somebody whom the configuration names is an admin here although somebody gave them another role:
    /// who took it away believes that it is gone. Membership that came by itself is no such role.
    pub fn tell(&self, space: &SpaceId, person: &str, given: Option<&str>) {
        let Some(role) = given.filter(|role| *role != roles::ADMIN_ROLE) else { return };
        if self.is_first(space, person) {
            tracing::warn!(
                %space,
                person,
                role,
                "somebody was given this role here and is an admin all the same: permissions.admins names them. \
                 Take them out of it to have the role count"
            );
        }
    }

    fn is_first(&self, space: &SpaceId, person: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((space.clone(), person.to_owned()))
    }
}
