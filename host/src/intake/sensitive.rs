//! The guard on sensitive connections: no agent begins in a space that several people read while one is active,
//! unless the space allows it and the person has said yes to this very request.

use super::Intake;
use crate::{
    clock,
    domain::{
        command::{self, Assent},
        notices::Notice,
        sensitive::{self, CONFIRM_WITHIN, Ruling, Turn},
        space_settings::SpaceSettings,
        words::Locale,
    },
    store::{Inbound, NewOutbound, Problem, StoreError},
};

/// How long a person is not told again in a chat that the space is closed: 60 s, in milliseconds.
const SAID_WITHIN: i64 = 60_000;

/// What a message was to the question whether to begin.
pub(super) enum Consent {
    /// No answer to it.
    None,
    /// A yes: this is asked now.
    Given(Box<Inbound>),
    /// A no, and it is answered.
    Withdrawn,
}

impl Intake {
    /// Reads a message as the answer to that question. In a group it needs no mention of the bot.
    pub(super) async fn hear_consent(
        &self,
        inbound: &Inbound,
        prompt: Option<&str>,
        locale: Locale,
    ) -> Result<Consent, StoreError> {
        let now = clock::millis();
        match command::assent(prompt.unwrap_or(&inbound.message.text), locale) {
            None => Ok(Consent::None),
            Some(Assent::Yes) => {
                let whole = self.store.confirm(inbound.id, now).await?;
                Ok(whole.map_or(Consent::None, |whole| Consent::Given(Box::new(whole))))
            }
            Some(Assent::No) => {
                let reply = denial(inbound.id, "sensitive_cancelled", Notice::SensitiveCancelled.say(locale));
                if !self.store.give_up(reply, now).await? {
                    return Ok(Consent::None);
                }
                self.delivery.announce(inbound.id);
                Ok(Consent::Withdrawn)
            }
        }
    }

    /// Whether what somebody asks may begin. Where not, he is told or asked, and the message is decided.
    pub(super) async fn passes_sensitive(
        &self,
        whole: &Inbound,
        settings: &SpaceSettings,
        locale: Locale,
    ) -> Result<bool, StoreError> {
        let turn = whole.consented.as_deref().map_or(Turn::Asked, Turn::Confirmed);
        let (message, runs) = (&whole.message, &self.runs);
        let (ruling, connections) = runs.rule_sensitive(&message.space, message.chat.as_ref(), settings, turn).await?;
        let names = connections.join(", ");
        match ruling {
            Ruling::Pass => return Ok(true),
            Ruling::Closed => {
                let now = clock::millis();
                let refusal =
                    denial(whole.id, "sensitive_disabled", Notice::SensitiveClosed { names: &names }.say(locale));
                tracing::info!(inbound = whole.id, names, "message refused: its space is closed to agents");
                self.store.refuse_once(refusal, now + SAID_WITHIN, now).await?;
                self.delivery.announce(whole.id);
            }
            Ruling::Ask => {
                let now = clock::millis();
                let question =
                    denial(whole.id, "sensitive_confirm", Notice::SensitiveAsked { names: &names }.say(locale));
                self.store.hold_back(question, connections, now + CONFIRM_WITHIN, now).await?;
                tracing::info!(inbound = whole.id, names, "a person is asked before an agent begins");
                self.delivery.announce(whole.id);
            }
        }
        Ok(false)
    }

    /// Says in the log in which spaces with a group no agent begins as things are.
    pub async fn warn_of_closed_spaces(&self) {
        let closed = async {
            let names = self.plugins.sensitive_connections().await?;
            let spaces = if names.is_empty() { Vec::new() } else { self.store.closed_spaces().await? };
            Ok::<_, StoreError>((names.join(", "), spaces.join(", ")))
        };
        match closed.await {
            Ok((_, spaces)) if spaces.is_empty() => {}
            Ok((connections, spaces)) => tracing::warn!(
                connections,
                spaces,
                "sensitive connections are active: agents do not run in these spaces with groups. Unlink the groups, or open a space with {}",
                sensitive::ALLOW
            ),
            Err(error) => tracing::error!(%error, "cannot tell which spaces are closed; they stay so"),
        }
    }
}

fn denial(inbound: i64, code: &str, reason: String) -> NewOutbound {
    let problem =
        Problem { code: code.to_owned(), status: 403, detail: reason.clone(), next: String::new(), again_at: None };
    NewOutbound { inbound, run: None, reply: reason, files: Vec::new(), problem: Some(problem), suppressed: false }
}
