//! Received and produced files of the caller's space.

use std::io;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Callers, PageQuery};
use crate::{
    http::{ApiError, Given, Input, Query},
    retention,
};

const INBOX: &str = "inbox";
const OUTBOX: &str = "outbox";

#[derive(Deserialize)]
pub(super) struct Wanted {
    folder: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

/// Without a word about either folder both are meant; naming one makes the other `false`. A misspelt
/// name is refused: it would mean both.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    inbox: Option<bool>,
    outbox: Option<bool>,
}

impl Given for Purge {
    const EXAMPLE: &'static str = "{\"inbox\": true}";
    const OPTIONAL: bool = true;
}

impl Purge {
    fn means(&self) -> (bool, bool) {
        match (self.inbox, self.outbox) {
            (None, None) => (true, true),
            (inbox, outbox) => (inbox.unwrap_or(false), outbox.unwrap_or(false)),
        }
    }
}

/// `GET /api/media?folder=outbox`: by name.
pub(super) async fn list(
    State(callers): State<Callers>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "media.purge").await?;
    let folder = match wanted.folder.as_deref() {
        None | Some(INBOX) => INBOX,
        Some(OUTBOX) => OUTBOX,
        Some(_) => {
            let (error, next) = ("There is no such folder", "Send ?folder=inbox or ?folder=outbox");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_folder", error, next));
        }
    };
    let page = PageQuery { limit: wanted.limit, after: wanted.after }.page()?;
    let workspace = callers.config.spaces_dir().join(caller.space.as_str());
    let after = page.after.as_ref().map(|(_, name)| name.clone()).unwrap_or_default();
    let most = page.wanted() as usize;
    let files = callers.storage.walk(move || retention::list(&workspace, folder, &after, most)).await;
    let files = files.map_err(|error| broken(folder, "read", &error))?;
    let (files, next) = page.cut(files, |file| (0, file.name.clone()));
    Ok(Json(json!({ "folder": folder, "files": files, "next": next })))
}

/// What messages brought that still wait for their run, or are just being taken, is kept.
pub(super) async fn purge(
    State(callers): State<Callers>,
    caller: Caller,
    Input(given): Input<Purge>,
) -> Result<Json<Value>, ApiError> {
    callers.require(&caller, "media.purge").await?;
    let workspace = callers.config.spaces_dir().join(caller.space.as_str());
    let (of_inbox, of_outbox) = given.means();
    let (mut inbox, mut outbox) = (0, 0);
    if of_inbox {
        let done = retention::purge_inbox(&callers.storage, &callers.store, &caller.space, workspace.clone()).await?;
        inbox = done.map_err(|error| broken(INBOX, "cleared", &error))?;
    }
    if of_outbox {
        let done = callers.storage.walk(move || retention::purge(&workspace, OUTBOX, |_| false)).await;
        outbox = done.map_err(|error| broken(OUTBOX, "cleared", &error))?;
    }
    tracing::info!(space = %caller.space, by = caller.id, inbox, outbox, "received and produced files were removed");
    Ok(Json(json!({ "purged": { INBOX: inbox, OUTBOX: outbox }, "total": inbox + outbox })))
}

fn broken(folder: &str, done: &str, error: &io::Error) -> ApiError {
    let error = format!("The {folder} cannot be {done}: {error}");
    let next = "Look at the folder in the workspace: it has to be a plain folder";
    ApiError::new(StatusCode::CONFLICT, "folder_unusable", error, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// http-api.md #20 in part.
    #[test]
    fn what_is_meant() {
        for (body, meant) in [
            ("{}", Some((true, true))),
            ("{\"inbox\": true}", Some((true, false))),
            ("{\"outbox\": true}", Some((false, true))),
            ("{\"inbox\": false}", Some((false, false))),
            ("{\"inbox\": true, \"outbox\": true}", Some((true, true))),
            ("{\"inboks\": true}", None),
        ] {
            assert_eq!(serde_json::from_str::<Purge>(body).ok().map(|given| given.means()), meant, "{body}");
        }
    }
}
