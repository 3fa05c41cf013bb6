//! Reading what the host left in the IO directory: the request, and the credentials, which are
//! gone from there before anything else happens.

use std::fs;
use std::io;
use std::path::Path;

use mercury_protocol::io::{Credentials, Request};
use mercury_protocol::paths;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum IntakeError {
    #[error("could not read {name}: {source}")]
    Unreadable { name: &'static str, source: io::Error },
    #[error("could not parse {name}: {source}")]
    Malformed { name: &'static str, source: serde_json::Error },
    /// Nothing is started while the agent could read them.
    #[error("could not remove the credentials file: {0}")]
    NotRemoved(io::Error),
}

/// The credentials file is deleted whether or not the rest can be read.
pub fn read(io_dir: &Path) -> Result<(Request, Credentials), IntakeError> {
    let credentials = take_credentials(&io_dir.join(paths::CREDENTIALS))?;
    let name = paths::INPUT;
    let bytes = fs::read(io_dir.join(name)).map_err(|source| IntakeError::Unreadable { name, source })?;
    let request = serde_json::from_slice(&bytes).map_err(|source| IntakeError::Malformed { name, source })?;
    Ok((request, credentials))
}

fn take_credentials(file: &Path) -> Result<Credentials, IntakeError> {
    let name = paths::CREDENTIALS;
    let read = fs::read(file);
    if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Credentials::default());
    }
    fs::remove_file(file).map_err(IntakeError::NotRemoved)?;
    let bytes = read.map_err(|source| IntakeError::Unreadable { name, source })?;
    serde_json::from_slice(&bytes).map_err(|source| IntakeError::Malformed { name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_gone_even_if_the_request_is_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(paths::CREDENTIALS), r#"{"environment":{"K":"v"}}"#).unwrap();
        fs::write(dir.path().join(paths::INPUT), "{").unwrap();
        assert!(matches!(read(dir.path()), Err(IntakeError::Malformed { name: paths::INPUT, .. })));
        assert!(!dir.path().join(paths::CREDENTIALS).exists());
    }
}
