//! Clean-up: files whose time is up go, at the start and then every hour.
//!
//! By itself it only ever removes received and produced files of idle spaces, copies of what was delivered, what
//! a crash left of runs, and what is left of removed spaces. Never what people said, what was spent, what an agent
//! keeps elsewhere in its workspace, and what is still to be sent. [`purge`] and [`purge_inbox`] are somebody's own
//! wish, and ask for no age, but for what may belong to a message that is just being taken.

mod files;
mod sizes;
mod storage;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use files::{Listed, list, purge};
pub use sizes::{Sizes, of as sizes_of};
pub use storage::{Measured, SpaceSizes, Storage};

use crate::{
    clock,
    config::{Config, Retention as Times},
    domain::{
        ids::{RunId, SpaceId},
        media,
    },
    removal::{self, Removals},
    sandbox::remove_tree,
    store::{Store, StoreError},
};

/// How long folders of a run that is over stay: nobody needs them, unless somebody looks for a fault.
const LEFT_OVER: Duration = Duration::from_hours(24);

/// How long a received file may lie there before the message that brought it is known, in milliseconds: the message is
/// written behind its files, and with all that its adapter brings at once. That takes seconds; five minutes are far
/// above what a slow disk makes of them.
const BEING_TAKEN: i64 = 5 * 60 * 1000;

/// What a clean-up did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Spaces that were looked through.
    pub scanned: usize,
    /// Spaces in which something was going on.
    pub skipped: usize,
    pub files: usize,
    pub bytes: u64,
}

impl Report {
    fn add(&mut self, (files, bytes): (usize, u64)) {
        self.files += files;
        self.bytes += bytes;
    }
}

#[derive(Clone)]
pub struct Retention {
    data_dir: PathBuf,
    times: Times,
    store: Store,
    removals: Removals,
}

impl Retention {
    pub fn new(config: &Config, store: Store, removals: Removals) -> Self {
        Self { data_dir: config.data_dir.clone(), times: config.retention, store, removals }
    }

    /// Cleans up again and again.
    pub async fn run(self) {
        loop {
            match self.clean_up(SystemTime::now()).await {
                Ok(Report { files: 0, .. }) => {}
                Ok(Report { scanned, skipped, files, bytes }) => {
                    metrics::counter!("mercury_cleaned_up_bytes_total").increment(bytes);
                    tracing::info!(files, bytes, scanned, skipped, "files whose time is up were removed");
                }
                Err(error) => tracing::warn!(%error, "the clean-up could not ask the database; it tries again later"),
            }
            if let Err(error) = self.removals.finish().await {
                tracing::warn!(%error, "what is left of removed spaces cannot be looked for; it is tried again later");
            }
            tokio::time::sleep(self.times.every).await;
        }
    }

    /// Removes what is over at `now`. What cannot be removed is logged, and left.
    ///
    /// # Errors
    /// Where the database cannot be asked; then what is needed is not known, and nothing goes.
    pub async fn clean_up(&self, now: SystemTime) -> Result<Report, StoreError> {
        let mut report = Report::default();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let busy = self.store.busy_spaces(since.as_millis() as i64).await?;
        for (name, path) in blocking(&self.data_dir.join("spaces"), folders).await {
            if name == removal::ASIDE {
                continue;
            }
            if busy.contains(&name) {
                report.skipped += 1;
                continue;
            }
            report.scanned += 1;
            for (folder, time) in [("inbox", self.times.inbox), ("outbox", self.times.outbox)] {
                let Some(before) = now.checked_sub(time) else { continue };
                report.add(blocking(&path, move |path| files::remove_older(path, folder, before)).await);
            }
        }
        let delivered = self.old(&["delivery"], now, self.times.outbox).await;
        let runs = delivered.iter().map(|(run, _)| run.clone()).collect();
        report.add(remove(delivered, self.store.answered_and_sent(runs).await?).await);
        let left = self.old(&["io", "run"], now, LEFT_OVER).await;
        let runs = left.iter().map(|(run, _)| run.clone()).collect();
        report.add(remove(left, self.store.ended(runs).await?).await);
        Ok(report)
    }

    /// Folders of runs below these, that are `age` old.
    async fn old(&self, parents: &[&str], now: SystemTime, age: Duration) -> Vec<(RunId, PathBuf)> {
        let mut old = Vec::new();
        let Some(before) = now.checked_sub(age) else { return old };
        for parent in parents {
            let parent = self.data_dir.join(parent);
            let found = blocking(&parent, move |path| {
                let all = folders(path)?;
                Ok::<Vec<_>, io::Error>(all.into_iter().filter(|(_, path)| files::is_older(path, before)).collect())
            });
            // A container's name ends in its run's id, which has no dash.
            let run = |name: &str| RunId::from_stored(name.rsplit('-').next().unwrap_or_default().to_owned());
            old.extend(found.await.into_iter().map(|(name, path)| (run(&name), path)));
        }
        old
    }
}

/// Removes what lies in the inbox of a space, but for what messages brought that still wait for their run, or that are
/// just being taken. How many entries.
///
/// # Errors
/// Where the database cannot be asked; then nothing goes.
pub async fn purge_inbox(
    storage: &Storage,
    store: &Store,
    space: &SpaceId,
    workspace: PathBuf,
) -> Result<io::Result<usize>, StoreError> {
    // Behind the wait for a turn: messages arrive meanwhile.
    let (turn, asked_at) = (storage.turn().await, clock::millis());
    // First: what is written down from now on is kept by its age, or because it waits.
    let written: BTreeSet<String> = store.newest_files(space).await?.into_iter().collect();
    let waiting: BTreeSet<String> = store.waiting_files(space, asked_at).await?.into_iter().collect();
    let kept = move |name: &str| {
        // To the other side, too: whatever an agent calls its files, none stays for ever.
        let taken = asked_at - BEING_TAKEN..=clock::millis() + BEING_TAKEN;
        let being_taken = || media::stored_at(name).is_some_and(|at| taken.contains(&at)) && !written.contains(name);
        waiting.contains(name) || being_taken()
    };
    Ok(turn.walk(move || purge(&workspace, "inbox", kept)).await)
}

async fn remove(folders: Vec<(RunId, PathBuf)>, over: Vec<RunId>) -> (usize, u64) {
    let mut removed = (0, 0);
    for (_, path) in folders.into_iter().filter(|(run, _)| over.contains(run)) {
        let (files, bytes) = blocking(&path, |path| {
            let size = sizes::below(path)?;
            remove_tree(path)?;
            Ok(size)
        })
        .await;
        removed = (removed.0 + files, removed.1 + bytes);
    }
    removed
}

fn folders(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    Ok(folders)
}

/// Off the async threads. What does not work is nothing, with a warning; what is not there is nothing.
async fn blocking<T: Default + Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> T {
    let owned = path.to_owned();
    match tokio::task::spawn_blocking(move || work(&owned)).await {
        Ok(Ok(value)) => value,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => T::default(),
        Ok(Err(error)) => {
            tracing::warn!(path = %path.display(), %error, "cannot be cleaned up");
            T::default()
        }
        Err(_) => T::default(),
    }
}

#[cfg(test)]
mod tests;
