//! Whether a run may begin where others read along, as things are when it begins: while it waited, a connection may
//! have become active, a group may have come, and an admin may have closed the space.

use super::Runs;
use crate::{
    domain::{
        chat::Chat,
        failure::Failure,
        ids::SpaceId,
        notices::Notice,
        run::Run,
        sensitive::{Facts, Ruling, Turn, rule},
        space_settings::SpaceSettings,
    },
    store::StoreError,
};

impl Runs {
    /// With the names of the connections that it is about. What came out of a group is shared also where the bot
    /// was removed from it meanwhile: else whoever may do that would have his waiting message asked.
    pub async fn rule_sensitive(
        &self,
        space: &SpaceId,
        chat: Option<&Chat>,
        settings: &SpaceSettings,
        turn: Turn<'_>,
    ) -> Result<(Ruling, Vec<String>), StoreError> {
        let names = self.plugins.sensitive_connections().await?;
        let of_group = chat.is_some_and(|chat| !chat.direct);
        let shared = !names.is_empty() && (of_group || self.store.is_shared(space).await?);
        let facts = Facts { active: &names, shared, allowed: settings.allows_sensitive(), turn };
        Ok((rule(facts), names))
    }

    /// What a plugin asks for is its own work, and answers in no conversation.
    pub(super) async fn may_begin(&self, run: &Run) -> Result<(), Failure> {
        if run.is_of_plugin() {
            return Ok(());
        }
        let turn = match (&run.occasion, &run.consented) {
            (Some(_), _) => Turn::Scheduled,
            (None, Some(named)) => Turn::Confirmed(named),
            (None, None) => Turn::Asked,
        };
        let ruled = async {
            let settings = self.store.space_settings(&run.space).await?;
            let (ruling, connections) = self.rule_sensitive(&run.space, run.chat.as_ref(), &settings, turn).await?;
            Ok::<_, StoreError>((ruling, connections.join(", "), settings.locale(self.config.voice.locale)))
        };
        let (ruling, connections, locale) =
            ruled.await.map_err(|error| Failure::Storage { detail: error.to_string() })?;
        let names = connections.as_str();
        let said = match ruling {
            Ruling::Pass => return Ok(()),
            Ruling::Closed => Notice::SensitiveClosed { names },
            Ruling::Ask => Notice::SensitiveUnasked { names },
        }
        .say(locale);
        Err(Failure::Sensitive { connections, unasked: ruling == Ruling::Ask, said })
    }
}
