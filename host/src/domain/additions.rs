//! What run hooks add to a run: merged in the order of the hooks, within limits.

use std::collections::BTreeMap;

use super::environment;

/// Bytes that one hook may add to the system prompt, as `wit/run.wit` says.
const MOST_SYSTEM_PROMPT: usize = 16 << 10;
/// Bytes that one hook may put behind the prompt, as `wit/run.wit` says.
const MOST_PROMPT: usize = 256 << 10;
/// Bytes of one hook's variables together. Linux takes 128 KiB for a single one.
const MOST_ENVIRONMENT: usize = 64 << 10;

/// What one hook wants to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub system_prompt: Option<String>,
    pub prompt: Option<String>,
    pub environment: Vec<(String, String)>,
}

/// Why what a hook gave cannot be taken: it counts as a failure of the hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {what} has {bytes} bytes; at most {most} are taken")]
pub struct TooLarge {
    what: &'static str,
    bytes: usize,
    most: usize,
}

/// What all hooks together add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    system_prompts: Vec<String>,
    prompts: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

impl Additions {
    /// Takes what a hook gave; of two variables of one name the later one stays. Returns the names that
    /// were dropped: those that are not in `declared`, and the host's own whatever was declared.
    ///
    /// # Errors
    /// Where a part is larger than the contract allows. Nothing is taken then.
    pub fn add(&mut self, given: Given, declared: &[String]) -> Result<Vec<String>, TooLarge> {
        let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let variables = given.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        for (what, bytes, most) in [
            ("system prompt", size(&given.system_prompt), MOST_SYSTEM_PROMPT),
            ("prompt", size(&given.prompt), MOST_PROMPT),
            ("environment", variables, MOST_ENVIRONMENT),
        ] {
            if bytes > most {
                return Err(TooLarge { what, bytes, most });
            }
        }
        let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        self.system_prompts.extend(text(given.system_prompt));
        self.prompts.extend(text(given.prompt));
        let mut dropped = Vec::new();
        for (name, value) in given.environment {
            if declared.contains(&name) && !environment::is_the_hosts(&name) && !value.contains('\0') {
                self.environment.insert(name, value);
            } else {
                dropped.push(name);
            }
        }
        Ok(dropped)
    }

    pub fn system_prompt(&self) -> Option<String> {
        joined(&self.system_prompts)
    }

    /// What stands behind the prompt, after a blank line.
    pub fn prompt(&self) -> Option<String> {
        joined(&self.prompts)
    }
}

fn joined(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(system: &str, prompt: &str, environment: &[(&str, &str)]) -> Given {
        Given {
            system_prompt: Some(system.into()),
            prompt: Some(prompt.into()),
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    /// extensions.md #5, pipeline.md #41
    #[test]
    fn texts_are_joined_and_the_last_writer_wins() {
        let mut all = Additions::default();
        let declared = ["K".to_owned()];
        assert!(all.add(given("A", "p1", &[("K", "1")]), &declared).unwrap().is_empty());
        assert!(all.add(given("B", "p2", &[("K", "2")]), &declared).unwrap().is_empty());
        assert_eq!((all.system_prompt().as_deref(), all.prompt().as_deref()), (Some("A\nB"), Some("p1\np2")));
        assert_eq!(all.environment["K"], "2");
        assert_eq!(Additions::default().prompt(), None);
    }

    /// extensions.md #8, W3: an identity is not replaced even where the manifest was let to list it.
    #[test]
    fn undeclared_and_reserved_names_are_dropped() {
        let mut all = Additions::default();
        let names = ["CALLER_ID", "API_SOCKET", "PATH", "LD_PRELOAD", "ANTHROPIC_API_KEY", "MERCURY_X", "OTHER"];
        let variables: Vec<_> = names.iter().map(|name| (*name, "x")).chain([("MINE", "y")]).collect();
        let declared: Vec<String> = names[..6].iter().map(|name| (*name).to_owned()).chain(["MINE".into()]).collect();
        assert_eq!(all.add(given("", "", &variables), &declared).unwrap(), names);
        assert_eq!(all.environment, [("MINE".to_owned(), "y".to_owned())].into());
    }

    #[test]
    fn what_is_too_large_is_not_taken_at_all() {
        let mut all = Additions::default();
        let large = |bytes: usize| "x".repeat(bytes);
        let declared = ["K".to_owned()];
        for (system, prompt, value) in [(16 << 10, 256 << 10, 1), (1, 1, (64 << 10) - 1)] {
            all.add(given(&large(system), &large(prompt), &[("K", &large(value))]), &declared).unwrap();
        }
        let before = all.clone();
        for (system, prompt, value) in [((16 << 10) + 1, 1, 1), (1, (256 << 10) + 1, 1), (1, 1, 64 << 10)] {
            all.add(given(&large(system), &large(prompt), &[("K", &large(value))]), &declared).unwrap_err();
        }
        assert_eq!(all, before);
    }

    proptest! {
        /// Whatever hooks give, only declared names that are not the host's reach the container.
        #[test]
        fn only_declared_names_pass(names in proptest::collection::vec("[A-Z_]{1,12}", 0..20), declared in proptest::collection::vec("[A-Z_]{1,12}", 0..20)) {
            let mut all = Additions::default();
            let environment = names.iter().map(|name| (name.clone(), "v".to_owned())).collect();
            all.add(Given { environment, ..Given::default() }, &declared).unwrap();
            prop_assert!(all.environment.keys().all(|name| declared.contains(name) && !environment::is_the_hosts(name)));
        }
    }
}
