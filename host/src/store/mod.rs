//! The database: one SQLite file, one writer thread, readers that never write.
//!
//! Owns schema, transactions and rows, one file per aggregate. Knows nothing of Docker, HTTP or
//! plugins. What a caller was told is written is on disk (`synchronous = FULL`).

mod approvals;
mod conversations;
mod deliveries;
mod happenings;
mod inbound;
mod kv;
mod listings;
mod members;
mod messages;
mod migrations;
mod outbound;
mod plugin_jobs;
mod plugin_settings;
mod plugin_tasks;
mod preferences;
mod removal;
mod role_permissions;
mod runs;
mod sessions;
mod spaces;
mod spending;
mod timers;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub use approvals::{Decision, NewDecision, NewQuestion, Opened, Question, Settlement, TOO_MANY};
pub use conversations::{AutoSpace, Conversation, Seen};
pub use deliveries::{AtWork, Attempt, Delivery, DeliveryView, NewDelivery};
pub use happenings::{Batch, Happening, NewHappening, NewMessage, Taken};
pub use inbound::{Accepted, Inbound, NewInbound};
pub use kv::KvError;
pub use listings::{ActiveRun, RunView, SpaceView, Usage};
pub use members::{Granted, Member};
pub use messages::{Entry, HistoryMessage, MessageRole};
pub use outbound::{NewOutbound, Outbound, OutboundFile, OutboundState, Problem};
pub use plugin_jobs::LastRun;
pub use plugin_settings::StoredSetting;
pub use plugin_tasks::{NewTask, TaskEnd, TaskStart};
pub use preferences::{MOST_PREFERENCES, Preference};
pub use removal::{Removal, Removed};
pub use runs::{Activity, NewRun, StopRequest};
pub use sessions::{Digest, Session};
pub use spending::{CallEnd, CallState, NewCall, RunSpending};
pub use timers::Timer;

/// How long a connection waits for another process that holds the database: 5 s.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Jobs that may wait for a thread before callers wait themselves.
const QUEUE: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {} is locked by another process. Close what holds it (`fuser {}`), then try again", path.display(), path.display())]
    Locked { path: PathBuf },
    #[error("the disk that holds {} is full. Free some space, then try again", path.display())]
    Full { path: PathBuf },
    #[error("the database {} cannot be opened: {source}. Check that the folder exists and is writable", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the database {} cannot be migrated: {message}. It was made by a newer version, or is damaged; nothing was changed", path.display())]
    Migration { path: PathBuf, message: String },
    #[error("the database {} failed: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the database {} is closed", path.display())]
    Closed { path: PathBuf },
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle, cheap to clone. The threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

impl Store {
    /// Opens the database, makes it where it is missing, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        migrations::run(&mut connection)
            .map_err(|error| StoreError::Migration { path: path.to_owned(), message: error.to_string() })?;
        let reader = connect(path)?;
        reader
            .pragma_update(None, "query_only", true)
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            writer: serve("store-writer", connection),
            reader: serve("store-reader", reader),
        })
    }

    /// Runs `work` in one transaction on the writer thread; on disk when it returns.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(&self.writer, move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    /// Runs `work` on the reader thread, on what has been committed.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(&self.reader, |connection| work(connection)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        thread: &mpsc::Sender<Job>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that no longer waits has lost its answer, not its write.
            let _ = answer.send(work(connection));
        });
        let closed = || StoreError::Closed { path: self.path.clone() };
        thread.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?.map_err(|source| self.classify(source))
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

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    open().map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path: path.to_owned() },
        _ => StoreError::Open { path: path.to_owned(), source },
    })
}

fn serve(name: &str, mut connection: Connection) -> mpsc::Sender<Job> {
    let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        while let Some(job) = jobs.blocking_recv() {
            job(&mut connection);
        }
    });
    // Without the thread the receiver is dropped, and every call answers `Closed`.
    drop(thread);
    sender
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
