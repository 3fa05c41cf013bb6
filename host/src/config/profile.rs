//! The profile that is active, by its record in the data directory.
//!
//! A record that cannot be read stops the start, unlike in the replaced system: members would else hold what the
//! profile takes from them.

use std::{io::ErrorKind, path::Path};

use crate::domain::active_profile::{Active, FILE};

/// `named` is what the environment says, which only reminds.
pub(super) fn read(data_dir: &Path, named: Option<&str>, warnings: &mut Vec<String>) -> Result<Option<Active>, String> {
    let path = data_dir.join(FILE);
    let remedy = "Remove it to go on without a profile, and activate one with `mercury profiles apply`";
    let refuse = |reason: &str| format!("{} does not say which profile is active: {reason}. {remedy}", path.display());
    let active = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (active, odd) = Active::read(&text).map_err(|reason| refuse(&reason))?;
            warnings.extend(odd.iter().map(|odd| format!("{}: {odd}", path.display())));
            Some(active)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(&error.to_string())),
    };
    let present = active.as_ref().map(|active| active.name.as_str());
    if let Some(named) = named.filter(|named| present != Some(named)) {
        let present = present.unwrap_or("none");
        warnings.push(format!(
            "MERCURY_PROFILE says `{named}` and changes nothing: the active profile is {present}. Activate it with \
             `mercury profiles apply {named}`"
        ));
    }
    Ok(active)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// permissions.md #15: no record is no profile; one that cannot be read is not taken for none.
    #[test]
    fn the_record_is_read_or_refused() {
        let data = tempfile::tempdir().unwrap();
        let mut warnings = Vec::new();
        assert_eq!(read(data.path(), None, &mut warnings), Ok(None));
        let path = data.path().join(FILE);
        std::fs::write(&path, "{\"name\": \"research\", \"memberPermissions\": [\"prompt\"]}").unwrap();
        let active = read(data.path(), Some("research"), &mut warnings).unwrap().unwrap();
        assert_eq!(active.members.unwrap(), ["prompt", "media.receive", "media.send"]);
        assert!(warnings.is_empty(), "{warnings:?}");
        read(data.path(), Some("coding"), &mut warnings).unwrap();
        assert!(warnings[0].contains("the active profile is research"), "{warnings:?}");
        std::fs::write(&path, "{\"name\": \"a\", \"memberPermissions\": \"prompt\"}").unwrap();
        assert_eq!(read(data.path(), None, &mut warnings).unwrap().unwrap().members, None);
        assert!(warnings[1].contains("no list"), "{warnings:?}");
        for broken in ["", "{\"memberPermissions\": [\"prompt\"]", "[]"] {
            std::fs::write(&path, broken).unwrap();
            let refused = read(data.path(), None, &mut warnings).unwrap_err();
            assert!(refused.contains("active-profile.json") && refused.contains("Remove it"), "{refused}");
        }
    }
}
