//! The account of WhatsApp that the replaced system had linked, which an import leaves where it was.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::super::Api;
use crate::{config::real_path, http::ApiError, sandbox::remove_tree};

/// Below the data directory, where nobody said otherwise.
const OWN: &str = "whatsapp-auth";

#[derive(Debug, thiserror::Error)]
enum PurgeError {
    #[error("{} lies in {}, with what the host keeps, and is not removed", folder.display(), data_dir.display())]
    Inside { folder: PathBuf, data_dir: PathBuf },
    #[error("{} has {} in it, and is not removed", folder.display(), place.display())]
    Holds { folder: PathBuf, place: PathBuf },
    #[error("{} cannot be removed: {source}", folder.display())]
    Failed { folder: PathBuf, source: io::Error },
}

/// `POST /api/console/adapters/whatsapp/purge`
pub(in super::super) async fn purge(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let (config, project) = (api.config.clone(), api.project.clone());
    let removed = tokio::task::spawn_blocking(move || {
        let places = project.map(|project| project.places()).unwrap_or_default();
        let others: Vec<PathBuf> = places.into_iter().chain([config.auth_path.clone()]).collect();
        remove(&config.whatsapp_auth_dir, &config.data_dir, &others)
    });
    match removed.await.map_err(|error| super::broken(error.to_string()))? {
        Ok(true) => Ok(Json(json!({ "wiped": true }))),
        Ok(false) => Ok(Json(json!({ "wiped": true, "alreadyAbsent": true }))),
        Err(error) => {
            let (status, next) = match error {
                PurgeError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "Remove it by hand"),
                PurgeError::Inside { .. } | PurgeError::Holds { .. } => {
                    (StatusCode::CONFLICT, "Name a folder of its own with runtime.whatsapp_auth_dir")
                }
            };
            Err(ApiError::new(status, "purge_failed", error.to_string(), next))
        }
    }
}

/// Whether there was something. What a link leads to is what is meant, and the link goes with it. Blocks.
fn remove(folder: &Path, data_dir: &Path, others: &[PathBuf]) -> Result<bool, PurgeError> {
    let (real, data) = (real_path(folder), real_path(data_dir));
    if real.starts_with(&data) && !real.starts_with(data.join(OWN)) {
        return Err(PurgeError::Inside { folder: folder.to_owned(), data_dir: data_dir.to_owned() });
    }
    for place in others.iter().map(PathBuf::as_path).chain([data_dir]) {
        if real_path(place).starts_with(&real) {
            return Err(PurgeError::Holds { folder: folder.to_owned(), place: place.to_owned() });
        }
    }
    let removed = match real.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(_) => remove_tree(&real).map(|()| true),
    };
    let removed = removed.and_then(|removed| match folder.symlink_metadata() {
        Ok(found) if found.is_symlink() => fs::remove_file(folder).map(|()| removed),
        _ => Ok(removed),
    });
    removed.map_err(|source| PurgeError::Failed { folder: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// However it is named: neither what the host keeps nor the operator's files go with the account.
    #[test]
    fn nothing_but_the_account_goes() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["project", "data/spaces/main", "elsewhere/keys", "alone"] {
            fs::create_dir_all(at(folder)).unwrap();
            fs::write(at(folder).join("file"), "").unwrap();
        }
        symlink(at("data"), at("by-link")).unwrap();
        symlink(at("data/spaces"), at("to-spaces")).unwrap();
        symlink(at("elsewhere"), at("to-keys")).unwrap();
        symlink(at("project"), at("to-project")).unwrap();
        let others = [at("project"), at("to-keys/keys/file")];
        for (folder, data) in [
            ("project", "data"),
            ("alone/../project", "data"),
            ("to-project", "data"),
            (".", "data"),
            ("data", "data"),
            ("data/spaces", "data"),
            ("data/spaces/main", "data"),
            ("alone/../data/spaces", "data"),
            ("to-spaces", "data"),
            ("data", "by-link"),
            ("by-link", "data"),
            ("by-link/spaces", "data"),
            ("data/spaces", "by-link"),
            ("data/whatsapp-auth/../spaces", "by-link"),
            ("elsewhere", "data"),
            ("to-keys", "data"),
            ("elsewhere/keys", "data"),
        ] {
            let refused = remove(&at(folder), &at(data), &others);
            assert!(
                matches!(refused, Err(PurgeError::Inside { .. } | PurgeError::Holds { .. })),
                "{folder} with {data}: {refused:?}"
            );
        }
        for folder in ["project", "data/spaces/main", "elsewhere/keys", "alone"] {
            assert!(at(folder).join("file").exists(), "{folder}");
        }

        fs::create_dir(at("data/whatsapp-auth")).unwrap();
        symlink(at("alone"), at("to-alone")).unwrap();
        for (folder, data) in [("data/whatsapp-auth", "data"), ("data/whatsapp-auth", "by-link"), ("to-alone", "data")]
        {
            let there = at(folder).exists();
            assert_eq!(remove(&at(folder), &at(data), &others).unwrap(), there, "{folder}");
            assert!(at(folder).symlink_metadata().is_err(), "{folder}");
            assert!(!remove(&at(folder), &at(data), &others).unwrap(), "{folder}: it is gone already");
        }
        assert!(!at("alone").exists() && at("project/file").exists());
    }
}
