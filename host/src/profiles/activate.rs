//! A profile becomes the active one, or none is.

use std::{
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{ALL, Fetched, ProfilesError};
use crate::{
    domain::active_profile::{self, Active},
    plugins::packages::{Listed, State},
    project,
};

const PERSONA: &str = "AGENTS.md";
/// Names that are tried for a persona that is kept.
const MOST_KEPT: u32 = 10_000;

/// What becomes of the global `AGENTS.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persona {
    /// The profile has none, or the very same: it stays as it is.
    Stays,
    /// There was none that anybody would miss.
    Written,
    /// There is another one, which is kept under this name.
    Replaces { kept: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activated {
    pub persona: Persona,
    /// The profile that was active before.
    pub before: Option<String>,
}

/// Whether the plugins that the profile needs are there, of which `listed` are all; `coming` are those that would be
/// installed along with it.
///
/// # Errors
/// With each that is not, why, and what to do.
pub fn check(fetched: &Fetched, listed: &[Listed], coming: &[String]) -> Result<(), ProfilesError> {
    let lacks = |name: &str| {
        if coming.iter().any(|coming| coming == name) {
            return None;
        }
        match listed.iter().find(|plugin| plugin.name == name).map(|plugin| &plugin.state) {
            // One that waits for a credential is there, and says so itself.
            Some(State::Ready | State::Inactive(_)) => None,
            Some(State::Off) => Some(format!("it is off. Set plugins.{name}.enabled: true in mercury.yaml")),
            Some(State::Refused(reason)) => Some(format!("it cannot be used: {reason}")),
            None => Some("it is not installed. Add it with `mercury plugins add`".to_owned()),
        }
    };
    let checked = fetched.profile.check_plugins(lacks);
    checked.map_err(|source| ProfilesError::Profile { place: fetched.place.clone(), source })
}

/// What would become of the persona. `blank` is one that nobody would miss, beside those that come along with
/// profiles of the host.
pub fn persona(data_dir: &Path, fetched: &Fetched, blank: &str) -> Result<Persona, ProfilesError> {
    let Some(wanted) = &fetched.persona else { return Ok(Persona::Stays) };
    let path = data_dir.join("global").join(PERSONA);
    let present = match std::fs::read(&path) {
        Ok(present) => present,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Persona::Written),
        Err(source) => return Err(ProfilesError::Unreadable { path, source }),
    };
    let is_ours = |text: &str| present == text.as_bytes();
    if is_ours(wanted) {
        return Ok(Persona::Stays);
    }
    if present.trim_ascii().is_empty() || is_ours(blank) || ALL.iter().any(|built_in| is_ours(built_in.persona)) {
        return Ok(Persona::Written);
    }
    let names = (1..MOST_KEPT).map(|number| path.with_file_name(format!("{PERSONA}.{number}")));
    match names.into_iter().find(|name| name.symlink_metadata().is_err()) {
        Some(kept) => Ok(Persona::Replaces { kept }),
        None => Err(ProfilesError::Occupied { path }),
    }
}

/// Puts the persona in its place and writes the record, which the next start of the host reads. Blocks.
///
/// # Errors
/// Then the profile before is still the active one, and the persona is as it was.
pub fn activate(data_dir: &Path, fetched: &Fetched, blank: &str) -> Result<Activated, ProfilesError> {
    let global = data_dir.join("global");
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o755).create(&global).map_err(ProfilesError::unwritable(&global))?;
    let change = persona(data_dir, fetched, blank)?;
    let path = global.join(PERSONA);
    // Bytes that are no text are nobody's blank: then it is kept, and taken back from there.
    let before = std::fs::read_to_string(&path).ok();
    if let Persona::Replaces { kept } = &change
        && let Err(source) = std::fs::copy(&path, kept)
    {
        // A copy that broke off; the original is still in its place.
        let _ = std::fs::remove_file(kept);
        return Err(ProfilesError::Unwritable { path: kept.clone(), source });
    }
    let record = data_dir.join(active_profile::FILE);
    let was_active = active(&record);
    let written = match (&change, &fetched.persona) {
        (Persona::Stays, _) | (_, None) => Ok(()),
        (_, Some(wanted)) => project::write(&path, wanted, 0o644).map_err(ProfilesError::unwritable(&path)),
    };
    let written = written.and_then(|()| {
        let text = active_profile::record(&fetched.profile);
        project::write(&record, &text, 0o600).map_err(ProfilesError::unwritable(&record))
    });
    if let Err(error) = written {
        take_back(&path, &change, before.as_deref());
        return Err(error);
    }
    Ok(Activated { persona: change, before: was_active })
}

/// The persona as it was.
fn take_back(path: &Path, change: &Persona, before: Option<&str>) {
    let taken_back = match (change, before) {
        (Persona::Stays, _) => Ok(()),
        (Persona::Replaces { kept }, _) => std::fs::rename(kept, path),
        (Persona::Written, Some(before)) => project::write(path, before, 0o644),
        (Persona::Written, None) => std::fs::remove_file(path),
    };
    if let Err(error) = taken_back
        && error.kind() != ErrorKind::NotFound
    {
        tracing::error!(path = %path.display(), %error, "the persona could not be put back as it was");
    }
}

fn active(record: &Path) -> Option<String> {
    let text = std::fs::read_to_string(record).ok()?;
    Active::read(&text).ok().map(|(active, _)| active.name)
}

/// From the next start on no profile is active; the persona stays. Returns which one was.
///
/// # Errors
/// Where the record cannot be removed.
pub fn clear(data_dir: &Path) -> Result<Option<String>, ProfilesError> {
    let record = data_dir.join(active_profile::FILE);
    let was_active = active(&record);
    match std::fs::remove_file(&record) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProfilesError::Unwritable { path: record, source }),
        Ok(()) => Ok(was_active),
    }
}
