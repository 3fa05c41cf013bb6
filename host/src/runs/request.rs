//! What one run is told: the models that it may ask, what was said before, and what it is to do.

use std::collections::{BTreeMap, BTreeSet};

use mercury_protocol::{io as protocol, paths};

use super::Runs;
use crate::{
    clock,
    config::Network,
    domain::{
        additions::Additions,
        character,
        failure::Failure,
        roles::Held,
        run::Run,
        space_settings::{ACTIVE_MODEL, SYSTEM_PROMPT},
    },
    sandbox::{Directories, Sandbox},
    store::StoreError,
};

/// For an operator, of a run that may have no network.
const NO_WAY_TO_A_MODEL: &str = "the plugin wants this run to have no network, and no model of the chain is asked by the host; \
    set agent.credentials to host";

impl Runs {
    /// What people of the space want the agent to know.
    async fn preferences(&self, run: &Run) -> Result<Vec<protocol::Preference>, Failure> {
        let preferences = self.store.preferences(&run.space).await.map_err(storage)?;
        Ok(preferences.into_iter().map(|it| protocol::Preference { key: it.key, value: it.value }).collect())
    }

    /// The models that can be asked, and the credentials of those that the container asks itself.
    /// Refused only when no leg is left. One without a network is given those alone that the host asks.
    pub(super) async fn model(&self, run: &Run) -> Result<(protocol::ModelSettings, protocol::Credentials), Failure> {
        let settings = self.store.space_settings(&run.space).await.map_err(storage)?;
        let chosen = settings.text(ACTIVE_MODEL);
        let active = self.config.active_leg(chosen);
        if let (Some(gone), None) = (chosen, active) {
            tracing::warn!(space = %run.space, model = gone, "the model that was chosen here is not in the chain any more; the whole chain is asked");
        }
        let legs = active.map_or(self.config.model_chain.as_slice(), std::slice::from_ref);
        let reaches = |provider: &str| !run.denied().no_network || self.gateway.serves(provider);
        let providers: BTreeSet<&str> =
            legs.iter().map(|leg| leg.provider.as_str()).filter(|name| reaches(name)).collect();
        if providers.is_empty() && !legs.is_empty() {
            return Err(Failure::Refused { detail: NO_WAY_TO_A_MODEL.to_owned() });
        }
        let (served, direct): (Vec<_>, Vec<_>) =
            providers.into_iter().partition(|provider| self.gateway.serves(provider));
        let given = self.credentials.for_run(direct).await;
        let mut refused = given.refused;
        for provider in served {
            if let Err(error) = self.gateway.ready(provider).await {
                tracing::warn!(provider, "the model's leg is left out: {error}");
                refused.insert(provider.to_owned(), error);
            }
        }
        let usable = |leg: &&crate::config::Leg| {
            // An endpoint that the container asks by itself may want no credential.
            let open =
                || !self.gateway.serves(&leg.provider) && self.config.model_endpoints.contains_key(&leg.provider);
            reaches(&leg.provider) && (!refused.contains_key(&leg.provider) || open())
        };
        let chain: Vec<_> = legs
            .iter()
            .filter(usable)
            .map(|leg| protocol::Leg {
                provider: leg.provider.clone(),
                model: leg.model.clone(),
                endpoint: match self.gateway.serves(&leg.provider) {
                    true => None,
                    false => self.config.model_endpoints.get(&leg.provider).cloned(),
                },
                capabilities: self.config.capabilities.of(&leg.provider, &leg.model),
            })
            .collect();
        if chain.is_empty() {
            // The first leg's reason: it is the model that was meant.
            let first = legs.iter().find_map(|leg| refused.remove(&leg.provider));
            let console = self.config.console_url.as_deref();
            return Err(first.map_or_else(
                || Failure::NoCredentials { provider: String::new(), detail: String::new(), variable: None },
                |error| error.into_failure(console),
            ));
        }
        let settings = protocol::ModelSettings {
            chain,
            hosted: self.gateway.hosted().await,
            max_retries_per_leg: self.config.model_retries_per_leg,
            budget_ms: self.config.model_budget.as_millis() as u64,
            override_system_prompt: self.config.override_pi_system_prompt,
            subagent_models: self.config.allowed_models.clone(),
        };
        Ok((settings, given.credentials))
    }

    pub(super) async fn request(
        &self,
        run: &Run,
        held: &Held,
        model: protocol::ModelSettings,
        additions: &Additions,
        directories: &Directories,
    ) -> Result<protocol::Request, Failure> {
        let chat = run.chat.as_ref();
        let context = self.context(run).await.map_err(storage)?;
        Ok(protocol::Request {
            run_id: run.id.to_string(),
            space_id: run.space.to_string(),
            space_workspace: format!("{}/{}", paths::SPACES, run.space),
            messages: context.messages,
            anchor_messages: context.anchors,
            prompt: run.full_prompt(),
            caller_id: run.caller.clone(),
            caller_role: run.role.clone(),
            author_name: run.author_name.clone(),
            attachments: run.attachments.clone(),
            reply_to: chat.and_then(|chat| chat.quote_for(&run.role)).map(|quoted| protocol::Quote {
                author_id: quoted.author.clone(),
                author_name: quoted.author_name.clone(),
                message_id: quoted.message_id.clone(),
                from_bot: quoted.from_bot || quoted.known,
                text: quoted.text.clone(),
            }),
            missing_files: missing_files(run),
            preferences: self.preferences(run).await?,
            nonce: format!("{:016x}", rand::random::<u64>()),
            seal: directories.seal.clone(),
            bot_username: self.config.bot_username.clone(),
            system_prompt: self.system_prompt(run, held, additions).await?,
            skills: self.plugins.skills_for(held, &self.sandbox.skills()),
            model,
            environment: BTreeMap::new(),
            egress_proxy: self.network(run) == &Network::Filtered,
            tools: run.denied().tools.clone(),
        })
    }

    fn network(&self, run: &Run) -> &Network {
        if run.denied().no_network { &Network::None } else { &self.config.network }
    }

    /// Behind the host's own words: what a plugin wants of its task, what the hooks add, what the profile, the owner
    /// and the space say, and what there is to know of the container.
    async fn system_prompt(&self, run: &Run, held: &Held, additions: &Additions) -> Result<Option<String>, Failure> {
        let task = match &run.occasion {
            Some(occasion) => Some(occasion.note(clock::millis())),
            None if run.is_of_plugin() => self.store.task_system_prompt(run.inbound).await.map_err(storage)?,
            None => None,
        };
        let settings = self.store.space_settings(&run.space).await.map_err(storage)?;
        let parts = [
            task,
            additions.system_prompt(),
            self.config.profile.as_ref().and_then(|profile| profile.prompt.clone()),
            settings.text(character::KEY).map(character::prompt),
            settings.text(SYSTEM_PROMPT).map(str::to_owned),
            self.network(run).note_for_agent().map(str::to_owned),
            missing_programs(&self.plugins.programs_for(held), &self.sandbox),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
    }
}

/// Files that the agent would look for in vain, each with its reason.
fn missing_files(run: &Run) -> Vec<String> {
    let mut missing = run.chat.as_ref().map(|chat| chat.missing.clone()).unwrap_or_default();
    if run.withheld > 0 {
        let files = if run.withheld == 1 { "1 file".to_owned() } else { format!("{} files", run.withheld) };
        missing.push(format!("{files}: withheld, since the sender may not send files to you here"));
    }
    missing
}

/// A skill may speak of a program that is not there yet, or could not be installed: the agent is told,
/// rather than left to wonder.
fn missing_programs(wanted: &[String], sandbox: &Sandbox) -> Option<String> {
    let missing: Vec<_> =
        wanted.iter().filter(|name| !sandbox.has_program(name)).map(|name| format!("`{name}`")).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "These programs are not installed at the moment, or not all of what they need: {}. Where a skill needs one of them and it does not work, say that it is not available just now.",
            missing.join(", ")
        )
    })
}

fn storage(error: StoreError) -> Failure {
    Failure::Storage { detail: error.to_string() }
}
