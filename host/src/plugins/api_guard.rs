//! The guards on calls that agents make on their run's socket.

use mercury_bindings::mercury::plugin::{types::Caller, verdicts::Verdict};

use super::{Answer, GUARD_PATIENCE, Interface, Plugins, exports::recorded, heard, missing, unavailable};

impl Plugins {
    /// Asks every API guard in order. A guard that does not answer objects, and so does one that wants
    /// to ask somebody: no program inside waits for a person.
    pub async fn check_api(&self, caller: &Caller, permission: &str, method: &str, path: &str) -> Answer {
        for plugin in &self.providing(Interface::ApiGuard) {
            let (person, caller, permission) = (&caller.person, caller.clone(), permission.to_owned());
            let (method, path) = (method.to_owned(), path.to_owned());
            let verdict = self
                .call_for(Some(person), plugin, Interface::ApiGuard, GUARD_PATIENCE, move |store, instance, exports| {
                    Box::pin(async move {
                        let indices = exports.api_guard.as_ref().ok_or_else(missing)?;
                        let guard = indices.load(&mut *store, instance)?;
                        recorded!(store, guard, call_check(&caller, &permission, &method, &path))
                    })
                })
                .await;
            match heard(verdict) {
                Ok(Verdict::Allow) => {}
                Ok(Verdict::Deny(reason)) => return Answer::Deny(reason),
                Ok(Verdict::Ask(question)) => {
                    return Answer::Deny(format!(
                        "{} wants somebody's approval ({}), for which no call of a program waits",
                        plugin.name(),
                        question.text
                    ));
                }
                Err(_) => return Answer::Deny(unavailable(plugin)),
            }
        }
        Answer::Allow
    }
}
