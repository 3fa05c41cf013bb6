//! What an agent run that a plugin asks for is denied of what other runs of its space have.

use serde::{Deserialize, Serialize};

/// Everything is denied by being said: the default denies nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Confinement {
    /// No network, whatever the operator gave agents.
    pub no_network: bool,
    /// Nothing of the workspace can be changed.
    pub read_only: bool,
    /// Of the workspace only these folders; everything else is empty. `None`: all of it.
    pub folders: Option<Vec<Folder>>,
    /// Tools that the agent may call. `None`: all that there are.
    pub tools: Option<Vec<String>>,
}

/// A folder of the workspace, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    pub name: String,
    pub write: bool,
}

impl Confinement {
    pub fn allows(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|allowed| allowed == tool))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_tools_are_allowed() {
        let with = |tools: Option<&[&str]>| Confinement {
            tools: tools.map(|tools| tools.iter().map(|tool| (*tool).to_owned()).collect()),
            ..Confinement::default()
        };
        assert!(with(None).allows("bash"));
        assert!(with(Some(&["read", "write"])).allows("read"));
        for refused in ["bash", "Read", "read ", ""] {
            assert!(!with(Some(&["read", "write"])).allows(refused), "{refused}");
        }
        assert!(!with(Some(&[])).allows("read"));
    }

    /// It is kept in the database: a word that a later version wrote must not be lost silently, for it
    /// denies something.
    #[test]
    fn what_is_kept_is_read_as_it_was() {
        let all = Confinement {
            no_network: true,
            read_only: true,
            folders: Some(vec![Folder { name: "knowledge".into(), write: true }]),
            tools: Some(vec!["read".into()]),
        };
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Confinement>(&text).unwrap(), all);
        assert!(serde_json::from_str::<Confinement>(r#"{"no-clock":true}"#).is_err());
    }
}
