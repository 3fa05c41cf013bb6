//! What is kept in `kv`: a space's state, and a copy of its vault while a run is at work. Memory of the
//! component is only a cache, and calls reach different instances.

use std::collections::BTreeSet;

use mercury_plugin::{kv, signatures};
use serde::{Deserialize, Serialize};

use crate::{
    check::Files,
    copy::{self, Index},
    plan::Space,
};

fn failed(error: kv::Error) -> String {
    match error {
        kv::Error::Denied(why) | kv::Error::Storage(why) | kv::Error::Other(why) => why,
        kv::Error::QuotaExceeded => "the plugin's storage is full".to_owned(),
        kv::Error::TooLarge => "a value is larger than 1 MiB".to_owned(),
    }
}

fn state_key(space: &str) -> String {
    format!("space/{space}")
}

pub(super) fn load(space: &str) -> Result<Space, String> {
    Ok(read(space)?.1)
}

fn read(space: &str) -> Result<(Option<Vec<u8>>, Space), String> {
    let bytes = kv::get(&state_key(space)).map_err(failed)?;
    let state = match &bytes {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| format!("the state of {space}: {error}"))?,
        None => Space::default(),
    };
    Ok((bytes, state))
}

/// Changes the state of a space, however many calls want to at once.
pub(super) fn change<R>(space: &str, change: impl Fn(&mut Space) -> R) -> Result<R, String> {
    loop {
        let (before, mut state) = read(space)?;
        let outcome = change(&mut state);
        let after = serde_json::to_vec(&state).map_err(|error| error.to_string())?;
        if kv::replace(&state_key(space), before.as_deref(), &after).map_err(failed)? {
            return Ok(outcome);
        }
    }
}

/// A copy of the vault, and the run that it was made for: with another's nothing may be undone.
#[derive(Serialize, Deserialize)]
struct Copy {
    run: String,
    index: Index,
}

fn index_key(space: &str) -> String {
    format!("copy/{space}")
}

fn blob_key(space: &str, digest: &str) -> String {
    format!("blob/{space}/{digest}")
}

fn digest(bytes: &[u8]) -> String {
    signatures::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps a copy of the vault, in the place of the last one. What did not change is not written again.
pub(super) fn keep_copy(space: &str, run: &str, files: &Files) -> Result<(), String> {
    let mut wanted = BTreeSet::new();
    let known: BTreeSet<String> = keys(&blob_key(space, ""))?.into_iter().collect();
    let index = copy::index(files, |bytes| {
        let digest = digest(bytes);
        let key = blob_key(space, &digest);
        if !known.contains(&key) && wanted.insert(key.clone()) {
            kv::set(&key, bytes).map_err(failed)?;
        }
        wanted.insert(key);
        Ok::<_, String>(digest)
    })?;
    let text = serde_json::to_vec(&Copy { run: run.to_owned(), index }).map_err(|error| error.to_string())?;
    kv::set(&index_key(space), &text).map_err(failed)?;
    for stale in known.difference(&wanted) {
        kv::remove(stale).map_err(failed)?;
    }
    Ok(())
}

/// The copy that was made for that run, if one was.
pub(super) fn copy(space: &str, run: &str) -> Result<Option<Files>, String> {
    let kept = kv::get(&index_key(space)).map_err(failed)?;
    let kept = kept.and_then(|text| serde_json::from_slice::<Copy>(&text).ok());
    let Some(kept) = kept.filter(|kept| kept.run == run) else { return Ok(None) };
    let files = copy::files(kept.index, |path, digest| {
        let bytes = kv::get(&blob_key(space, digest)).map_err(failed)?;
        bytes.ok_or_else(|| format!("the copy of {path} is gone"))
    })?;
    Ok(Some(files))
}

fn keys(prefix: &str) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = kv::keys(prefix, all.last().map(String::as_str)).map_err(failed)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn verdict_key(id: &str) -> String {
    format!("verdict/{id}")
}

/// What the check of a run said; empty means that all is well.
pub(super) fn keep_verdict(id: &str, problem: Option<&str>) -> Result<(), String> {
    kv::set(&verdict_key(id), problem.unwrap_or_default().as_bytes()).map_err(failed)
}

/// None: the run was never checked.
pub(super) fn verdict(id: &str) -> Result<Option<String>, String> {
    let bytes = kv::get(&verdict_key(id)).map_err(failed)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn forget_verdict(id: &str) {
    let _ = kv::remove(&verdict_key(id));
}
