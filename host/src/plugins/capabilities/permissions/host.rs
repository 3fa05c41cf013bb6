use mercury_bindings::mercury::plugin::{permissions::Host, types::Caller};

use crate::{domain::ids::SpaceId, plugins::state::State};

impl Host for State {
    async fn has(&mut self, person: String, space: String, permission: String) -> wasmtime::Result<bool> {
        self.count_call()?;
        let Ok(space) = SpaceId::try_from(space) else { return Ok(false) };
        let _turn = self.access.turn.lock().await;
        let role = match self.services.role_of(&space, &person).await {
            Ok(role) => role,
            Err(error) => {
                // Who cannot be looked up may nothing.
                tracing::error!(%error, "a role could not be read for a plugin");
                return Ok(false);
            }
        };
        match self.services.held(&space, &role).await {
            Ok(held) => Ok(held.may(&permission)),
            Err(error) => {
                tracing::error!(%error, "what a role may do could not be read for a plugin");
                Ok(false)
            }
        }
    }

    async fn denied_programs(&mut self, caller: Caller) -> wasmtime::Result<Vec<String>> {
        self.count_call()?;
        let _turn = self.access.turn.lock().await;
        Ok(self.services.registry().denied_programs(&self.services.held_by(&caller).await))
    }
}
