//! What a model can do, as far as anybody said so. Pure.
//!
//! The first who knows decides: the operator for all models, the operator for one model, pi's own
//! registry (read out by `scripts/capabilities.mjs`), and else a guess.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use mercury_protocol::io::{Capabilities, CapabilitySource};
use serde_json::Value as Json;

const DATA: &str = include_str!("capabilities.tsv");

/// What the operator said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Of all models.
    pub all: Option<Capabilities>,
    /// Of single models, by their exact id.
    pub by_model: BTreeMap<String, Capabilities>,
}

impl Known {
    pub fn of(&self, provider: &str, model: &str) -> Capabilities {
        let said = self.all.or_else(|| self.by_model.get(model.trim()).copied());
        said.or_else(|| builtin(provider, model)).unwrap_or_default()
    }
}

/// A capability that an extension or a skill can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    Tools,
    Vision,
    AudioInput,
    AudioOutput,
    ExtendedThinking,
}

impl Requirement {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Vision => "vision",
            Self::AudioInput => "audio-input",
            Self::AudioOutput => "audio-output",
            Self::ExtendedThinking => "extended-thinking",
        }
    }
}

/// Whether some single model of the chain can do all that is asked for. Of a model that nobody knows
/// everything is believed: a guess must not take a function away.
pub fn satisfied(required: &[Requirement], chain: &[Capabilities]) -> bool {
    let can = |model: &Capabilities, requirement: &Requirement| match requirement {
        Requirement::Tools => model.tools,
        Requirement::Vision => model.vision,
        Requirement::AudioInput => model.audio_input,
        Requirement::AudioOutput => model.audio_output,
        Requirement::ExtendedThinking => model.extended_thinking,
    };
    let all = |model: &Capabilities| required.iter().all(|requirement| can(model, requirement));
    required.is_empty() || chain.iter().any(|model| model.source == CapabilitySource::Default || all(model))
}

/// A mapping of optional flags, over the defaults.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(said: &Json, source: CapabilitySource) -> Result<Capabilities, String> {
    let said = said.as_object().ok_or("must be a mapping of flags")?;
    let mut parsed = Capabilities { source, ..Capabilities::default() };
    for (name, value) in said {
        let field = match name.as_str() {
            "tools" => &mut parsed.tools,
            "vision" => &mut parsed.vision,
            "audio_input" => &mut parsed.audio_input,
            "audio_output" => &mut parsed.audio_output,
            "extended_thinking" => &mut parsed.extended_thinking,
            // Entries of the replaced system may carry more.
            _ => continue,
        };
        *field = value.as_bool().ok_or_else(|| format!("{name} must be true or false"))?;
    }
    Ok(parsed)
}

fn builtin(provider: &str, model: &str) -> Option<Capabilities> {
    static MODELS: LazyLock<HashMap<(&str, &str), &str>> = LazyLock::new(|| {
        let mut provider = "";
        let mut models = HashMap::new();
        for (name, flags) in DATA.lines().filter(|line| !line.starts_with('#')).filter_map(|it| it.split_once('\t')) {
            if name == "@" {
                provider = flags;
            } else {
                models.insert((provider, name), flags);
            }
        }
        models
    });
    let flags = MODELS.get(&(provider, model))?;
    Some(Capabilities {
        vision: flags.contains('v'),
        extended_thinking: flags.contains('r'),
        source: CapabilitySource::Builtin,
        ..Capabilities::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// agent-entry.md #10
    #[test]
    fn the_first_who_knows_decides() {
        let toolless = parse(&json!({ "tools": false }), CapabilitySource::Env).unwrap();
        let blind = parse(&json!({ "vision": false }), CapabilitySource::Yaml).unwrap();
        let by_model = BTreeMap::from([("claude-haiku-4-5".to_owned(), blind)]);
        let known = Known { all: Some(toolless), by_model: by_model.clone() };
        for model in ["claude-haiku-4-5", "no-such-model"] {
            let found = known.of("anthropic", model);
            assert_eq!((found.tools, found.source), (false, CapabilitySource::Env));
        }
        let known = Known { all: None, by_model };
        let found = known.of("anthropic", " claude-haiku-4-5 ");
        assert_eq!((found.vision, found.source), (false, CapabilitySource::Yaml), "over the registry");
        let found = Known::default().of("anthropic", "claude-haiku-4-5");
        assert_eq!((found.tools, found.vision, found.source), (true, true, CapabilitySource::Builtin));
        for (provider, model) in [("anthropic", "no-such-model"), ("nobody", "claude-haiku-4-5")] {
            let found = Known::default().of(provider, model);
            assert_eq!((found.tools, found.vision, found.source), (true, false, CapabilitySource::Default));
        }
    }

    /// agent-entry.md #10: wrong types are told.
    #[test]
    fn flags_are_flags() {
        assert!(parse(&json!({ "tools": "no" }), CapabilitySource::Env).unwrap_err().contains("tools"));
        assert!(parse(&json!([]), CapabilitySource::Env).is_err());
        assert!(parse(&json!({ "tools": true, "note": "x" }), CapabilitySource::Env).is_ok());
    }

    /// agent-entry.md #11
    #[test]
    fn requirements() {
        use Requirement::{Tools, Vision};
        let builtin = Capabilities { source: CapabilitySource::Builtin, ..Capabilities::default() };
        let unknown = Capabilities::default();
        assert!(!satisfied(&[Tools, Vision], &[builtin]));
        assert!(satisfied(&[Tools, Vision], &[unknown]));
        assert!(satisfied(&[Tools, Vision], &[builtin, unknown]));
        assert!(satisfied(&[], &[builtin]) && satisfied(&[], &[]));
        let toolless_eye = Capabilities { tools: false, vision: true, ..builtin };
        assert!(!satisfied(&[Tools, Vision], &[builtin, toolless_eye]), "by a single model");
        assert!(satisfied(&[Vision], &[builtin, toolless_eye]));
    }
}
