//! Tells plugins how their tasks ended, until they have taken note.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use crate::{plugins::Plugins, store::Store};

/// Between the first attempts to tell a plugin; twice as long each time after that.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Attempts at one task so far, and when the next is due.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    pause: Duration,
    due: Instant,
}

/// Tells at every notice of `ended`, and again where a plugin failed. Begins with what a predecessor left.
pub async fn tell_endings(plugins: Arc<Plugins>, store: Store, ended: Arc<Notify>) {
    let mut attempts: HashMap<(String, String), Attempt> = HashMap::new();
    loop {
        let next = tell(&plugins, &store, &mut attempts).await;
        tokio::select! {
            () = ended.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// Returns when there is something to do again, if nothing happens before.
async fn tell(plugins: &Plugins, store: &Store, attempts: &mut HashMap<(String, String), Attempt>) -> Instant {
    let untold = match store.untold_tasks().await {
        Ok(untold) => untold,
        Err(error) => {
            tracing::error!(%error, "the ends of tasks cannot be read; trying again");
            return Instant::now() + FIRST_PAUSE;
        }
    };
    attempts.retain(|key, _| untold.iter().any(|end| (&end.plugin, &end.id) == (&key.0, &key.1)));
    for end in untold {
        let key = (end.plugin.clone(), end.id.clone());
        let attempt = attempts.get(&key).copied();
        if attempt.is_some_and(|attempt| attempt.due > Instant::now()) {
            continue;
        }
        let told = plugins.task_ended(end).await;
        let failure = match told {
            Ok(()) => store.task_told(&key.0, &key.1).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match failure {
            Ok(()) => drop(attempts.remove(&key)),
            Err(error) => {
                let pause = attempt.map_or(FIRST_PAUSE, |attempt| (attempt.pause * 2).min(LONGEST_PAUSE));
                tracing::warn!(plugin = key.0, task = key.1, error, again_in = ?pause, "a plugin took no note of its task's end");
                attempts.insert(key, Attempt { pause, due: Instant::now() + pause });
            }
        }
    }
    attempts.values().map(|attempt| attempt.due).min().unwrap_or_else(|| Instant::now() + LONGEST_PAUSE)
}
