//! The guards on an agent's way out.

use mercury_bindings::mercury::plugin::{types::Caller, verdicts::Verdict};

pub use mercury_bindings::exports::mercury::plugin::egress_guard::Request as EgressRequest;

use super::{GUARD_PATIENCE, Interface, Plugins, heard, missing};

impl Plugins {
    /// Asks every egress guard in order. `Ok(true)` means that one of those in `openers` allowed it,
    /// which is what opens a host that the operator's list does not have.
    ///
    /// # Errors
    /// The reason of the first objection. A guard that does not answer objects, and so does one that
    /// wants to ask somebody: no client of a proxy waits for a person.
    pub async fn check_egress(
        &self,
        caller: Caller,
        request: EgressRequest,
        openers: &[String],
    ) -> Result<bool, String> {
        let mut opened = false;
        for plugin in &self.providing(Interface::EgressGuard) {
            let (person, caller, request) = (&caller.person, caller.clone(), request.clone());
            let verdict = self
                .call_for(
                    Some(person),
                    plugin,
                    Interface::EgressGuard,
                    GUARD_PATIENCE,
                    move |store, instance, exports| {
                        Box::pin(async move {
                            let guard = exports.egress_guard.as_ref().ok_or_else(missing)?;
                            guard.check(store, instance, &caller, &request).await
                        })
                    },
                )
                .await;
            match heard(verdict) {
                Ok(Verdict::Allow) => opened |= openers.iter().any(|name| name == plugin.name()),
                Ok(Verdict::Deny(reason)) => return Err(reason),
                Ok(Verdict::Ask(question)) => {
                    return Err(format!(
                        "{} wants somebody's approval ({}), for which no connection waits",
                        plugin.name(),
                        question.text
                    ));
                }
                Err(_) => {
                    return Err(format!("the guard {} is unavailable, so this is not allowed", plugin.name()));
                }
            }
        }
        Ok(opened)
    }
}
