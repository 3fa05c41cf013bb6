//! What the operator says that models can do. A mistake there costs a warning, not the start: the
//! models are then taken as pi knows them.

use std::{collections::BTreeMap, path::Path};

use mercury_protocol::io::{Capabilities, CapabilitySource};
use serde_json::Value as Json;

use crate::domain::capabilities::{Known, parse};

/// In the data directory: `models`, then by model id the flags that differ.
const FILE: &str = "model-capabilities.yaml";

pub(super) fn read(said: Option<&Json>, data_dir: &Path, warnings: &mut Vec<String>) -> Known {
    let all = said.and_then(|said| match parse(said, CapabilitySource::Env) {
        Ok(all) => Some(all),
        Err(reason) => {
            warnings.push(format!("model.capabilities / MERCURY_MODEL_CAPABILITIES is ignored: {reason}"));
            None
        }
    });
    let path = data_dir.join(FILE);
    let by_model = match std::fs::read_to_string(&path) {
        Ok(text) => of_file(&text).unwrap_or_else(|reason| {
            warnings.push(format!("{} is ignored: {reason}", path.display()));
            BTreeMap::new()
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => {
            warnings.push(format!("{} is ignored: {error}", path.display()));
            BTreeMap::new()
        }
    };
    Known { all, by_model }
}

fn of_file(text: &str) -> Result<BTreeMap<String, Capabilities>, String> {
    let root: Json = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let models = root.get("models").and_then(Json::as_object).ok_or("it has no mapping `models`")?;
    models
        .iter()
        .map(|(model, said)| {
            let said = parse(said, CapabilitySource::Yaml).map_err(|reason| format!("models.{model}: {reason}"))?;
            Ok((model.trim().to_owned(), said))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// agent-entry.md #10: the file, and that a broken one is passed over with a warning.
    #[test]
    fn the_file_is_read_or_passed_over() {
        let data = tempfile::tempdir().unwrap();
        let mut warnings = Vec::new();
        assert_eq!(read(None, data.path(), &mut warnings), Known::default());
        std::fs::write(data.path().join(FILE), "models:\n  my-model:\n    tools: false\n").unwrap();
        let known = read(None, data.path(), &mut warnings);
        assert!(!known.of("any", "my-model").tools && known.of("any", "other").tools && warnings.is_empty());
        let known = read(Some(&json!({ "vision": true })), data.path(), &mut warnings);
        assert!(known.of("any", "my-model").vision && known.of("any", "my-model").tools, "for all models");
        for broken in ["models: [", "models:\n  m:\n    tools: maybe\n", "other: 1\n"] {
            std::fs::write(data.path().join(FILE), broken).unwrap();
            warnings.clear();
            assert_eq!(read(Some(&json!("x")), data.path(), &mut warnings), Known::default());
            assert_eq!(warnings.len(), 2, "{broken}: {warnings:?}");
        }
    }
}
