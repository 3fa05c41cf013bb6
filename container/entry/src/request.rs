//! Reading what the host left in the IO directory: the request with the run's seal, and the
//! credentials. Both are gone from there before anything else happens.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use mercury_protocol::io::{Credentials, Request};
use mercury_protocol::paths;
use serde::de::DeserializeOwned;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum IntakeError {
    #[error("could not read {name}: {source}")]
    Unreadable { name: &'static str, source: io::Error },
    #[error("could not parse {name}: {source}")]
    Malformed { name: &'static str, source: serde_json::Error },
    /// Nothing is started while the agent could read it.
    #[error("could not remove {name}: {source}")]
    NotRemoved { name: &'static str, source: io::Error },
}

/// Both files are deleted whether or not the other can be read.
pub fn take(io_dir: &Path) -> Result<(Request, Credentials), IntakeError> {
    let credentials = take_file(io_dir, paths::CREDENTIALS);
    let request = take_file(io_dir, paths::INPUT)?;
    let credentials = match credentials? {
        None => Credentials::default(),
        Some(bytes) => parse(paths::CREDENTIALS, &bytes)?,
    };
    let missing = IntakeError::Unreadable { name: paths::INPUT, source: io::ErrorKind::NotFound.into() };
    Ok((parse(paths::INPUT, &request.ok_or(missing)?)?, credentials))
}

/// A run by hand: the request is all of `input`, and the credentials are in the environment.
pub fn read(mut input: impl Read) -> Result<Request, IntakeError> {
    let name = "the request on stdin";
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|source| IntakeError::Unreadable { name, source })?;
    parse(name, &bytes)
}

/// `None` if there is no such file.
fn take_file(io_dir: &Path, name: &'static str) -> Result<Option<Vec<u8>>, IntakeError> {
    let file = io_dir.join(name);
    let read = fs::read(&file);
    if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    fs::remove_file(&file).map_err(|source| IntakeError::NotRemoved { name, source })?;
    read.map(Some).map_err(|source| IntakeError::Unreadable { name, source })
}

fn parse<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, IntakeError> {
    serde_json::from_slice(bytes).map_err(|source| IntakeError::Malformed { name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_gone_even_if_one_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(paths::CREDENTIALS), r#"{"environment":{"K":"v"}}"#).unwrap();
        fs::write(dir.path().join(paths::INPUT), "{").unwrap();
        assert!(matches!(take(dir.path()), Err(IntakeError::Malformed { name: paths::INPUT, .. })));
        fs::write(dir.path().join(paths::CREDENTIALS), "{").unwrap();
        fs::write(dir.path().join(paths::INPUT), "{}").unwrap();
        assert!(matches!(take(dir.path()), Err(IntakeError::Malformed { name: paths::CREDENTIALS, .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(matches!(take(dir.path()), Err(IntakeError::Unreadable { name: paths::INPUT, .. })));
    }
}
