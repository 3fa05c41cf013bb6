//! The database: one SQLite file, one writer thread, readers that never write.
//!
//! Owns schema, transactions and rows, one file per aggregate. Knows nothing of Docker, HTTP or
//! plugins. What a caller was told is written is on disk (`synchronous = FULL`).

mod admission;
mod aliases;
mod approvals;
mod boundaries;
mod chains;
mod conversations;
mod deliveries;
mod happenings;
mod inbound;
mod kv;
mod listings;
mod members;
mod messages;
mod migrations;
mod mutes;
mod opening;
mod outbound;
mod person_rows;
mod plugin_data;
mod plugin_jobs;
mod plugin_settings;
mod plugin_tasks;
mod preferences;
mod queue;
mod removal;
mod retention;
mod role_permissions;
mod runs;
mod sessions;
mod space_settings;
mod spaces;
mod spending;
mod standing;
mod tasks;
mod threads;
mod timers;
mod unconfirmed;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use admission::{Admission, Admitted};
pub use aliases::{Encounter, Learned, Met, NewAlias};
pub(crate) use aliases::{learn as learn_alias, person_of};
pub use approvals::{Decision, NewDecision, NewQuestion, Opened, QUESTION_DELIVERY, Question, Settlement, TOO_MANY};
pub use chains::Chain;
pub use conversations::{Conversation, DirectPlace, Seen};
pub use deliveries::{AtWork, Attempt, BROADCAST_DELIVERY, Delivery, DeliveryView, NewDelivery};
pub use happenings::{Batch, Happening, NewHappening, NewMessage, Room, Taken, TakenBatch};
pub use inbound::{Accepted, Inbound, NewInbound};
pub use kv::KvError;
pub use listings::{ActiveRun, Matches, RunView, SpaceView, Usage};
pub use members::{Granted, Member};
pub use messages::{Entry, HistoryMessage, MessageRole};
pub use migrations::LATEST;
pub use mutes::Mute;
pub use opening::{CopyError, Kind, copy, fault, kind, open_for_reading};
pub use outbound::{NewOutbound, Outbound, OutboundFile, OutboundState, Problem};
pub use person_rows::Moved;
pub(crate) use person_rows::give as give_rows;
pub use plugin_data::PluginData;
pub use plugin_jobs::LastRun;
pub use plugin_settings::StoredSetting;
pub use plugin_tasks::{NewTask, TaskEnd, TaskStart};
pub use preferences::{MOST_PREFERENCES, Preference};
pub use removal::{Removal, Removed};
pub use runs::{Activity, NewRun, StopRequest};
pub use sessions::{Digest, Session};
pub use space_settings::Ended;
pub use spending::{CallEnd, CallState, NewCall, RunSpending};
pub use standing::{Confirmation, Standing};
pub use tasks::{Found, Planned, PlannedTask, Requested, Task, Turns};
pub(crate) use tasks::{insert as insert_task, place_for, stop as stop_task};
pub use timers::Timer;

use threads::{Read, Step};

/// Threads that read. A long search of one leaves the other to the messages.
const READERS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {} is locked by another process. Close what holds it (`fuser {}`), then try again", path.display(), path.display())]
    Locked { path: PathBuf },
    #[error("the disk that holds {} is full. Free some space, then try again", path.display())]
    Full { path: PathBuf },
    #[error("the database {} cannot be opened: {source}. Check that the folder exists and is writable", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the database {} was made by a newer Mercury (schema {found}; this version knows {known}). Use that version, or `mercury restore` a backup of before; nothing was changed", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("the database {} is of the system that Mercury replaces. Bring it over with `mercury import FOLDER` into a project of its own; nothing was changed", path.display())]
    Replaced { path: PathBuf },
    #[error("{} is no database of Mercury but of another program. Move it away, or name another folder with MERCURY_DATA_DIR; nothing was changed", path.display())]
    Foreign { path: PathBuf },
    #[error("the database {} is damaged: {message}. `mercury restore` a backup; nothing was changed", path.display())]
    Damaged { path: PathBuf, message: String },
    #[error("the database {} has to be migrated, and an older host (process {pid}) is at work on it. Stop that one first (`mercury stop`)", path.display())]
    OlderHost { path: PathBuf, pid: i32 },
    #[error("the database {} has to be migrated, and cannot be copied to {} before: {message}. Make room for the copy; nothing was changed", path.display(), target.display())]
    NoCopy { path: PathBuf, target: PathBuf, message: String },
    #[error("the database {} cannot be migrated: {message}. Nothing was changed; use the version before, and tell Mercury's developers", path.display())]
    Migration { path: PathBuf, message: String },
    #[error("a step on the database {} broke off by a fault of Mercury itself; nothing of it was kept. The log says where", path.display())]
    Broken { path: PathBuf },
    #[error("the database {} failed: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the database {} is closed", path.display())]
    Closed { path: PathBuf },
}

/// A handle, cheap to clone. The threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    writer: mpsc::Sender<Step>,
    reader: mpsc::Sender<Read>,
    /// One search at a time, however many are asked for.
    searching: Arc<Semaphore>,
}

impl Store {
    /// Opens the database, makes it where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// Where it is not understood or damaged; then it is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = opening::open(path)?;
        let readers = (0..READERS).map(|_| opening::open_for_reading(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            writer: threads::serve_writes(writer),
            reader: threads::serve_reads(readers),
            searching: Arc::new(Semaphore::new(1)),
        })
    }

    /// Runs `work` on the writer thread: all of it or nothing, on disk when it returns. What is written
    /// at the same moment reaches the disk together.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let step: Step = Box::new(move |transaction| match transaction.and_then(work) {
            // A caller that no longer waits has lost its answer, not its write.
            Ok(value) => Ok(Box::new(move |committed| drop(answer.send(committed.map(|()| value))))),
            Err(error) => {
                let copy = threads::again(&error);
                drop(answer.send(Err(error)));
                Err(copy)
            }
        });
        self.writer.send(step).await.map_err(|_| StoreError::Closed { path: self.path.clone() })?;
        self.told(answered).await
    }

    /// Runs `work` on a reader thread, on what has been committed. It cannot write.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |connection| drop(answer.send(work(connection))));
        self.reader.send(read).await.map_err(|_| StoreError::Closed { path: self.path.clone() })?;
        self.told(answered).await
    }

    async fn told<T>(&self, answered: oneshot::Receiver<rusqlite::Result<T>>) -> Result<T, StoreError> {
        let answer = answered.await.map_err(|_| StoreError::Broken { path: self.path.clone() })?;
        answer.map_err(|source| self.classify(source))
    }

    fn classify(&self, source: rusqlite::Error) -> StoreError {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path },
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            _ => StoreError::Sqlite { path, source },
        }
    }
}

/// Text that the host itself wrote as JSON, back into its type.
fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests;
