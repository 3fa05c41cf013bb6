//! What the host keeps of a plugin: to be said, and deleted on request.

use anyhow::{Context, Result, bail};
use axum::http::Method;

use super::{super::client, reload::Host};
use crate::{
    clock,
    config::Config,
    media::MediaStore,
    plugins::Purged,
    store::{PluginData, Store},
};

/// What there is of `plugin`, whether or not a host runs.
pub(super) async fn of(config: &Config, plugin: &str) -> Result<Purged> {
    let path = config.database_path();
    let data = if path.exists() { Store::open(&path)?.plugin_data(plugin).await? } else { PluginData::default() };
    Ok(Purged { data, files: MediaStore::count(&config.data_dir.join("media"), plugin) })
}

pub(super) fn is_nothing(stored: &Purged) -> bool {
    stored.data.is_empty() && stored.files == 0
}

/// `3 keys, 1 timer`
pub(super) fn in_words(stored: &Purged) -> String {
    let PluginData { keys, timers, settings, jobs, tasks, cursors } = stored.data;
    let counts = [
        (keys, "key"),
        (timers, "timer"),
        (settings, "setting"),
        (stored.files, "file"),
        (jobs, "job's state"),
        (tasks, "task"),
        (cursors, "place in a platform's messages"),
    ];
    let words: Vec<String> = counts.into_iter().filter(|(count, _)| *count > 0).map(counted).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn counted((count, what): (usize, &str)) -> String {
    match (count, what) {
        (1, what) => format!("1 {what}"),
        (count, "job's state") => format!("{count} jobs' state"),
        (count, what) if what.ends_with('s') => format!("{count} {what}"),
        (count, what) => format!("{count} {what}s"),
    }
}

/// Deletes it, through the host that runs, or in its place.
pub(super) async fn delete(config: &Config, host: Host, plugin: &str) -> Result<Purged> {
    if host == Host::TookItUp {
        let path = format!("/api/plugins/{}/purge", client::segment(plugin));
        let purged = client::ask(config, client::AtPort::default(), Method::POST, &path).await?;
        return serde_json::from_value(purged).context("the host's answer is not understood");
    }
    if !config.database_path().exists() {
        return Ok(Purged::default());
    }
    // A host that does not answer keeps settings and files in its memory, and would bring them back.
    let lock = config.data_dir.join("lock");
    let lock = std::fs::File::options().create(true).truncate(false).write(true).open(lock)?;
    if lock.try_lock().is_err() {
        bail!(
            "a host uses {} and does not answer, so nothing was deleted. Stop it, then try again",
            config.data_dir.display()
        );
    }
    let data = Store::open(&config.database_path())?.purge_plugin(plugin).await?;
    let media = MediaStore::open(&config.data_dir.join("media"), clock::millis())?;
    Ok(Purged { data, files: media.purge(plugin).await })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_counted() {
        let data = PluginData { keys: 3, timers: 1, settings: 0, jobs: 2, tasks: 1, cursors: 1 };
        let words = in_words(&Purged { data, files: 2 });
        assert_eq!(words, "3 keys, 1 timer, 2 files, 2 jobs' state, 1 task, 1 place in a platform's messages");
        assert_eq!(in_words(&Purged::default()), "nothing");
    }
}
