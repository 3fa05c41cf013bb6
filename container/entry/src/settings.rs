//! Which models a run asks when its request does not say: by the variables of the replaced system,
//! for a run by hand and for hosts that set them. Pure.

use mercury_protocol::io::{Capabilities, Leg, ModelSettings};
use serde_json::Value;

/// agent-entry.md section 2.
const PROVIDER: &str = "anthropic";
const MODEL: &str = "claude-opus-4-8";
const RETRIES: f64 = 2.0;
const MOST_RETRIES: f64 = 5.0;
const BUDGET_MS: f64 = 120_000.0;
const LEAST_BUDGET_MS: f64 = 5_000.0;

/// `asked` as it is if it names a model; otherwise what the variables say.
pub fn resolve(asked: ModelSettings, variable: impl Fn(&str) -> Option<String>) -> ModelSettings {
    if !asked.chain.is_empty() {
        return asked;
    }
    let set = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    // What is no number counts as unset.
    let number = |name: &str, usual: f64| {
        set(name).and_then(|text| text.parse::<f64>().ok()).filter(|it| it.is_finite()).unwrap_or(usual)
    };
    let mut chain = legs(set("MODEL_CHAIN").as_deref());
    if chain.is_empty() {
        let provider = set("MODEL_PROVIDER").unwrap_or_else(|| PROVIDER.into());
        chain.push(Leg { provider, model: set("MODEL").unwrap_or_else(|| MODEL.into()), ..Leg::default() });
    }
    for (leg, found) in chain.iter_mut().zip(capabilities(set("MODEL_CHAIN_CAPABILITIES").as_deref())) {
        leg.capabilities = found;
    }
    let override_prompt = set("OVERRIDE_PI_SYSTEM_PROMPT").is_some_and(|it| it == "1" || it == "true");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a range without a sign")]
    ModelSettings {
        chain,
        max_retries_per_leg: number("MODEL_RETRY_MAX_PER_LEG", RETRIES).clamp(0.0, MOST_RETRIES) as u32,
        budget_ms: number("MODEL_CHAIN_BUDGET_MS", BUDGET_MS).max(LEAST_BUDGET_MS) as u64,
        override_system_prompt: asked.override_system_prompt || override_prompt,
        subagent_models: asked.subagent_models,
        hosted: asked.hosted,
    }
}

/// The items that name a provider and a model; none if it is no list.
fn legs(text: Option<&str>) -> Vec<Leg> {
    let leg = |item: &Value| {
        let field = |name: &str| match item.get(name)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|it| !it.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Some(Leg { provider: field("provider")?, model: field("model")?, ..Leg::default() })
    };
    list(text).iter().filter_map(leg).collect()
}

fn capabilities(text: Option<&str>) -> Vec<Capabilities> {
    list(text).iter().map(capable).collect()
}

fn list(text: Option<&str>) -> Vec<Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Field by field: what is of another type than it should be is not said at all.
fn capable(said: &Value) -> Capabilities {
    let usual = Capabilities::default();
    let flag = |name: &str, usual: bool| said.get(name).and_then(Value::as_bool).unwrap_or(usual);
    Capabilities {
        tools: flag("tools", usual.tools),
        vision: flag("vision", usual.vision),
        audio_input: flag("audio_input", usual.audio_input),
        audio_output: flag("audio_output", usual.audio_output),
        extended_thinking: flag("extended_thinking", usual.extended_thinking),
        source: said.get("source").and_then(|it| serde_json::from_value(it.clone()).ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercury_protocol::io::CapabilitySource;

    fn resolved(variables: &[(&str, &str)]) -> ModelSettings {
        let find = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        resolve(ModelSettings::default(), find)
    }

    fn names(settings: &ModelSettings) -> Vec<String> {
        settings.chain.iter().map(|leg| format!("{}/{}", leg.provider, leg.model)).collect()
    }

    /// agent-entry.md #6
    #[test]
    fn legs_without_a_model_are_left_out() {
        let text = r#"[{"provider":" a ","model":"m"},{"provider":"b"},{"provider":"c","model":" n"},7]"#;
        assert_eq!(names(&resolved(&[("MODEL_CHAIN", text)])), ["a/m", "c/n"]);
    }

    /// agent-entry.md #7
    #[test]
    fn without_a_chain_there_is_one_leg() {
        for text in ["not json", "[]", "{}", "[{\"provider\":\"\",\"model\":\"m\"}]"] {
            let single = [("MODEL_CHAIN", text), ("MODEL_PROVIDER", "p"), ("MODEL", "m")];
            assert_eq!(names(&resolved(&single)), ["p/m"], "{text}");
        }
        assert_eq!(names(&resolved(&[])), ["anthropic/claude-opus-4-8"]);
        let asked = ModelSettings {
            chain: vec![Leg { provider: "h".into(), model: "x".into(), ..Leg::default() }],
            ..ModelSettings::default()
        };
        assert_eq!(resolve(asked.clone(), |_| Some("[]".into())), asked, "the request goes before the variables");
    }

    /// agent-entry.md #8
    #[test]
    fn numbers_are_kept_in_their_ranges() {
        for (text, retries) in [("9", 5), ("-1", 0), ("x", 2), ("3", 3), ("", 2)] {
            assert_eq!(resolved(&[("MODEL_RETRY_MAX_PER_LEG", text)]).max_retries_per_leg, retries, "{text}");
        }
        for (text, budget) in [("10", 5_000), ("x", 120_000), ("60000", 60_000), ("NaN", 120_000)] {
            assert_eq!(resolved(&[("MODEL_CHAIN_BUDGET_MS", text)]).budget_ms, budget, "{text}");
        }
    }

    /// agent-entry.md #9
    #[test]
    fn capabilities_are_taken_field_by_field() {
        let chain = r#"[{"provider":"a","model":"1"},{"provider":"a","model":"2"},{"provider":"a","model":"3"}]"#;
        let said = r#"[{"tools":false,"vision":true,"source":"yaml"},{"tools":"no","source":"somewhere"}]"#;
        let all = resolved(&[("MODEL_CHAIN", chain), ("MODEL_CHAIN_CAPABILITIES", said)]).chain;
        let first = all[0].capabilities;
        assert_eq!((first.tools, first.vision, first.source), (false, true, CapabilitySource::Yaml));
        assert_eq!([all[1].capabilities, all[2].capabilities], [Capabilities::default(); 2]);
        for broken in ["{", "{}", "[3]"] {
            let all = resolved(&[("MODEL_CHAIN_CAPABILITIES", broken)]).chain;
            assert_eq!(all[0].capabilities, Capabilities::default(), "{broken}");
        }
    }
}
