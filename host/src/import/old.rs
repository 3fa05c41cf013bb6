//! Where the old project's parts are, and its database as a copy: looking at the original would leave
//! SQLite's own files beside it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::ImportError;
use crate::store::{self, Kind};

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
        // The copy of a database that is being written to may be torn.
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

/// With its log, in which the last writes may be.
fn copied(database: &Path, to: &Path) -> Result<Connection, ImportError> {
    let fail = ImportError::io(database);
    let copy = to.join("state.db");
    std::fs::copy(database, &copy).map_err(&fail)?;
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::copy(&log, to.join("state.db-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    Connection::open(&copy)
        .map_err(|error| ImportError::Database { path: database.to_owned(), message: error.to_string() })
}

/// `.env`, and the section `runtime` of the file.
struct Settings {
    environment: BTreeMap<String, String>,
    runtime: serde_json::Value,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self, ImportError> {
        let path = folder.join(".env");
        let environment = match dotenvy::from_path_iter(&path) {
            Ok(lines) => lines.filter_map(Result::ok).collect(),
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
