//! Run hooks: what plugins add to a run before its container starts, and whether it may start at all.

use mercury_bindings::exports::mercury::plugin::run_hook::{Decision, Run};

pub use mercury_bindings::exports::mercury::plugin::run_hook as run;

use super::{Interface, Plugins, exports::recorded, missing};
use crate::{
    domain::additions::{Additions, Given},
    domain::guest_text::{MOST_ERROR, bounded, for_log},
    media::Lent,
};

/// Bytes of a reason that a person reads.
const MOST_REASON: usize = 4 << 10;

/// What all hooks together made of a run.
#[derive(Debug)]
pub enum Prepared {
    Proceed(Additions),
    /// Nothing runs; the person reads the reason.
    Block {
        plugin: String,
        reason: String,
    },
    /// A hook failed that is not optional.
    Failed {
        plugin: String,
    },
}

impl Plugins {
    /// Shows the run to every hook in order, with `files` as its attachments. Hooks of plugins whose
    /// permission the caller lacks are not asked.
    pub async fn before_run(&self, mut run: Run, files: Vec<Lent>) -> Prepared {
        run.attachments = files.iter().map(|file| file.description().into()).collect();
        let held = self.services.held_by(&run.caller).await;
        let mut additions = Additions::default();
        for plugin in self.in_order(Interface::RunHook) {
            if !plugin.manifest.serves(&held) {
                continue;
            }
            let (input, lent) = (run.clone(), files.clone());
            let optional = plugin.manifest.run_hook.optional;
            let answer = self
                .call_for(
                    // One that closes everything is asked whatever came of the calls before.
                    (!optional).then_some(run.caller.person.as_str()),
                    &plugin,
                    Interface::RunHook,
                    plugin.manifest.run_hook.deadline(),
                    move |store, instance, exports| {
                        Box::pin(async move {
                            store.data_mut().lend(lent);
                            let indices = exports.run_hook.as_ref().ok_or_else(missing)?;
                            recorded!(store, indices.load(&mut *store, instance)?, call_before_run(&input))
                        })
                    },
                )
                .await;
            let declared = &plugin.manifest.run_hook.environment;
            let problem = match answer {
                Ok(Ok(Decision::Block(reason))) => {
                    return Prepared::Block { plugin: plugin.name().to_owned(), reason: bounded(reason, MOST_REASON) };
                }
                Ok(Ok(Decision::Proceed(given))) => {
                    let given = Given {
                        system_prompt: given.system_prompt,
                        prompt: given.prompt,
                        environment: given.environment,
                    };
                    match additions.add(given, declared) {
                        Ok(dropped) => {
                            if !dropped.is_empty() {
                                tracing::error!(
                                    plugin = plugin.name(),
                                    ?dropped,
                                    "variables of a run hook were dropped: it may set those of `run-hook.environment` in its plugin.toml, and none of the host's own"
                                );
                            }
                            continue;
                        }
                        Err(error) => error.to_string(),
                    }
                }
                Ok(Err(said)) => for_log(&said, MOST_ERROR).into_owned(),
                Err(error) => error.to_string(),
            };
            tracing::error!(plugin = plugin.name(), run = run.id, optional, problem, "a run hook failed");
            if !optional {
                return Prepared::Failed { plugin: plugin.name().to_owned() };
            }
        }
        Prepared::Proceed(additions)
    }
}
