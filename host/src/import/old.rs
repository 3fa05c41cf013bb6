//! Where the old project's parts are, and its database as a copy of one moment: the old host may be at work.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::ImportError;
use crate::{
    config::dot_env,
    store::{self, Kind},
};

/// Where its parts are.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub folder: PathBuf,
    pub data_dir: PathBuf,
    pub auth_path: PathBuf,
    /// Its `mercury.yaml` says where they are.
    pub names_places: bool,
}

#[derive(Debug)]
pub struct Old {
    pub folder: PathBuf,
    pub data_dir: PathBuf,
    auth_path: PathBuf,
    names_places: bool,
    /// The original.
    pub database: PathBuf,
    /// To the copy.
    pub(super) connection: Connection,
    _copy: tempfile::TempDir,
}

impl Old {
    pub(super) fn open(folder: &Path) -> Result<Self, ImportError> {
        let folder = std::fs::canonicalize(folder).map_err(ImportError::io(folder))?;
        let settings = Settings::read(&folder)?;
        let data_dir = folder.join(settings.get("MERCURY_DATA_DIR", "data_dir").unwrap_or_else(|| ".mercury".into()));
        let data_dir = std::fs::canonicalize(&data_dir).unwrap_or(data_dir);
        let auth_path = match settings.get("MERCURY_AUTH_PATH", "auth_path") {
            Some(path) => folder.join(path),
            None => data_dir.join("global/auth.json"),
        };
        let database = data_dir.join("state.db");
        let no_project = |why: String| ImportError::NoProject { path: folder.clone(), why };
        if !database.is_file() {
            return Err(no_project(format!("there is no {}", database.display())));
        }
        let copy = tempfile::tempdir().map_err(ImportError::io(&database))?;
        let connection = copied(&database, copy.path())?;
        let failed =
            |error: rusqlite::Error| ImportError::Database { path: database.clone(), message: error.to_string() };
        match store::kind(&connection).map_err(failed)? {
            Kind::Replaced => {}
            Kind::Ours(_) => {
                return Err(no_project(
                    "its database is of this Mercury; use `mercury backup` and `mercury restore`".into(),
                ));
            }
            Kind::Empty | Kind::Foreign => return Err(no_project("its state.db is of another program".into())),
        }
        // Of a damaged one there may be a copy all the same.
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(ImportError::Database { path: database, message: found });
        }
        let names_places = ["data_dir", "auth_path"].iter().any(|key| !settings.runtime[key].is_null());
        Ok(Self { folder, data_dir, auth_path, names_places, database, connection, _copy: copy })
    }

    pub(super) fn paths(&self) -> Paths {
        Paths {
            folder: self.folder.clone(),
            data_dir: self.data_dir.clone(),
            auth_path: self.auth_path.clone(),
            names_places: self.names_places,
        }
    }
}

/// Has SQLite itself copy it, which knows of whoever else reads and writes there.
fn copied(database: &Path, to: &Path) -> Result<Connection, ImportError> {
    let failed = |message: String| ImportError::Database { path: database.to_owned(), message };
    let copy = to.join("state.db");
    let had_log = beside(database, "-wal").exists();
    let outcome = store::open_for_reading(database)
        .map_err(|error| error.to_string())
        .and_then(|original| store::copy(&original, &copy).map_err(|error| error.to_string()));
    if !had_log {
        tidy(database);
    }
    match outcome {
        Ok(()) => {}
        // Where nothing may be written beside it (a snapshot, somebody else's folder) SQLite cannot read a
        // database that keeps a log.
        Err(_) if is_closed(database) => plain_copy(database, &copy)?,
        Err(message) => return Err(failed(message)),
    }
    Connection::open(&copy).map_err(|error| failed(error.to_string()))
}

/// SQLite's own files, which reading has made where there were none. Whoever closes a database last and may
/// write removes them, under SQLite's own lock: so they stay where a host has begun to use them meanwhile.
fn tidy(database: &Path) {
    if let Ok(connection) = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        let _ = store::kind(&connection);
    }
}

fn is_closed(database: &Path) -> bool {
    use rustix::fs::{Access, access};
    database.parent().is_some_and(|folder| access(folder, Access::WRITE_OK).is_err())
}

/// With its log, in which the last writes may be. That nobody writes meanwhile is seen afterwards.
pub(super) fn plain_copy(database: &Path, copy: &Path) -> Result<(), ImportError> {
    let fail = ImportError::io(database);
    let log = beside(database, "-wal");
    let state =
        || [database, &log].map(|path| std::fs::metadata(path).and_then(|it| Ok((it.len(), it.modified()?))).ok());
    let before = state();
    std::fs::copy(database, copy).map_err(&fail)?;
    match std::fs::copy(&log, beside(copy, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    match state() == before {
        true => Ok(()),
        false => Err(ImportError::Database { path: database.to_owned(), message: "it is being written to".into() }),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// `.env`, and the section `runtime` of the file.
struct Settings {
    environment: BTreeMap<String, String>,
    runtime: serde_json::Value,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self, ImportError> {
        let path = folder.join(".env");
        let environment = match std::fs::read_to_string(&path) {
            Ok(content) => dot_env::pairs(&content).filter_map(Result::ok).collect(),
            Err(_) => BTreeMap::new(),
        };
        let file =
            ["mercury.yaml", "mercury.yml"].iter().find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
        let file: serde_json::Value = match file {
            Some(text) => serde_saphyr::from_str(&text).map_err(|error| ImportError::NoProject {
                path: folder.to_owned(),
                why: format!("its mercury.yaml cannot be read: {error}"),
            })?,
            None => serde_json::Value::Null,
        };
        Ok(Self { environment, runtime: file["runtime"].clone() })
    }

    fn get(&self, variable: &str, key: &str) -> Option<String> {
        let text = self.environment.get(variable).cloned().or_else(|| self.runtime[key].as_str().map(str::to_owned));
        text.filter(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// cli.md section 1: as the replaced system read its own file.
    #[test]
    fn settings_are_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "MERCURY_DATA_DIR=it's data\nno line\nMERCURY_AUTH_PATH=a\\b\n")
            .unwrap();
        let settings = Settings::read(folder.path()).unwrap();
        assert_eq!(settings.get("MERCURY_DATA_DIR", "data_dir").as_deref(), Some("it's data"));
        assert_eq!(settings.get("MERCURY_AUTH_PATH", "auth_path").as_deref(), Some("a\\b"));
    }
}
