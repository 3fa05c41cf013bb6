//! What plugins do while nobody waits: jobs, the ends of their tasks, start, new spaces and shutdown.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mercury_bindings::exports::mercury::plugin::{lifecycle, task_listener::Ending};

use super::{
    CallError, Interface, Plugin, Plugins, exports::Exports, exports::recorded, manifest::Job, missing, state::State,
};
use crate::{
    domain::guest_text::{MOST_ERROR, for_log},
    store::TaskEnd,
};

/// For a plugin's start, and for one new space.
const PATIENCE: Duration = Duration::from_secs(10);
/// For all plugins together, when the host stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// For being told of a task's end.
const LISTENER_PATIENCE: Duration = Duration::from_secs(30);

/// The error is the component's own word, or the host's about it.
pub type Told = Result<(), String>;

impl Plugins {
    /// The jobs of all plugins, each with its plugin's name.
    pub fn jobs(&self) -> Vec<(String, Job)> {
        let plugins = self.providing(Interface::Job);
        plugins
            .iter()
            .flat_map(|plugin| plugin.manifest.jobs.iter().map(|job| (plugin.name().to_owned(), job.clone())))
            .collect()
    }

    /// Runs a job once, within its deadline.
    pub async fn run_job(&self, plugin: &str, job: &Job) -> Told {
        let plugin = self.provider(plugin, Interface::Job)?;
        let name = job.name.clone();
        let called = self.call(&plugin, Interface::Job, job.deadline(), move |store, instance, exports| {
            Box::pin(async move {
                let indices = exports.job.as_ref().ok_or_else(missing)?;
                recorded!(store, indices.load(&mut *store, instance)?, call_run(&name))
            })
        });
        told(called.await)
    }

    /// Tells a plugin of the end of a task that it asked for. One that does not listen needs no telling.
    pub async fn task_ended(&self, end: TaskEnd) -> Told {
        let Some(plugin) = self.named(&end.plugin) else { return Err("the plugin is not loaded".into()) };
        if !plugin.manifest.provides(Interface::TaskListener) {
            return Ok(());
        }
        let ending = match end.outcome {
            Ok(reply) => Ending::Finished(reply),
            Err(why) => Ending::Failed(why),
        };
        let called = self.call(&plugin, Interface::TaskListener, LISTENER_PATIENCE, move |store, instance, exports| {
            Box::pin(async move {
                let indices = exports.task_listener.as_ref().ok_or_else(missing)?;
                recorded!(store, indices.load(&mut *store, instance)?, call_ended(&end.id, &end.space, &ending))
            })
        });
        told(called.await)
    }

    /// Once after the plugins are loaded, all at once.
    pub async fn started(&self) {
        self.tell_start(self.in_order(Interface::Lifecycle)).await;
    }

    /// The same for those that were taken up while the host runs.
    pub(super) async fn started_later(&self, names: &BTreeSet<&str>) {
        let plugins = self.in_order(Interface::Lifecycle).into_iter();
        self.tell_start(plugins.filter(|plugin| names.contains(plugin.name())).collect()).await;
    }

    async fn tell_start(&self, plugins: Vec<Arc<Plugin>>) {
        let tell = plugins.iter().map(|plugin| async move {
            let told = self.lifecycle(plugin, PATIENCE, |guest, store| {
                Box::pin(async move { recorded!(store, guest, call_on_startup()) })
            });
            report(plugin, "start", told.await);
        });
        futures_util::future::join_all(tell).await;
    }

    /// Tells every plugin of spaces that are new. What a plugin misses, it finds at its start by `history.spaces`.
    pub async fn spaces_created(&self, spaces: &[String]) {
        for space in spaces {
            for plugin in self.in_order(Interface::Lifecycle) {
                let space = space.clone();
                let told = self.lifecycle(&plugin, PATIENCE, move |guest, store| {
                    Box::pin(async move { recorded!(store, guest, call_on_space_created(&space)) })
                });
                report(&plugin, "new space", told.await);
            }
        }
    }

    /// All at once: whoever is slow costs the others nothing.
    pub async fn stopping(&self) {
        let plugins = self.in_order(Interface::Lifecycle);
        let tell = plugins.iter().map(|plugin| async move {
            let told = self.lifecycle(plugin, SHUTDOWN_PATIENCE, |guest, store| {
                Box::pin(async move { recorded!(store, guest, call_on_shutdown()) })
            });
            report(plugin, "shutdown", told.await);
        });
        futures_util::future::join_all(tell).await;
    }

    async fn lifecycle(
        &self,
        plugin: &Arc<Plugin>,
        patience: Duration,
        tell: impl for<'a> FnOnce(
            lifecycle::Guest,
            &'a mut wasmtime::Store<State>,
        ) -> futures_util::future::BoxFuture<'a, wasmtime::Result<Result<(), String>>>
        + Send
        + 'static,
    ) -> Told {
        let called = self.call(plugin, Interface::Lifecycle, patience, move |store, instance, exports: &Exports| {
            Box::pin(async move {
                let indices = exports.lifecycle.as_ref().ok_or_else(missing)?;
                let guest = indices.load(&mut *store, instance)?;
                tell(guest, store).await
            })
        });
        told(called.await)
    }

    fn provider(&self, name: &str, interface: Interface) -> Result<Arc<Plugin>, String> {
        let found = self.named(name).filter(|plugin| plugin.manifest.provides(interface));
        found.ok_or_else(|| format!("no plugin `{name}` provides {} any more", interface.name()))
    }
}

/// One error of both: the component's own word, bounded, or the host's about it.
fn told(called: Result<Result<(), String>, CallError>) -> Told {
    match called {
        Ok(said) => said.map_err(|said| for_log(&said, MOST_ERROR).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn report(plugin: &Plugin, event: &str, told: Told) {
    if let Err(error) = told {
        tracing::error!(plugin = plugin.name(), event, error, "a plugin failed to take note; the host goes on");
    }
}
