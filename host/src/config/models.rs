//! What is said of models: where they are, what they cost, which may be asked for.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::domain::price::{Price, Rates};

/// Who holds the model credentials during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialMode {
    /// The host. Where the operator did not insist on it, a provider that the gateway cannot serve is
    /// treated as under [`CredentialMode::Env`].
    Gateway { insisted: bool },
    /// The agent: a file gives them to `entry`, and `entry` to `pi`'s environment.
    Env,
}

pub(super) fn credential_mode(text: Option<&str>) -> CredentialMode {
    match text {
        Some("env") => CredentialMode::Env,
        text => CredentialMode::Gateway { insisted: text.is_some() },
    }
}

pub(super) fn endpoints(value: Option<&Json>) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let map = value.as_object().ok_or("model.endpoints must map providers to URLs")?;
    map.iter()
        .map(|(provider, url)| {
            let url = url.as_str().filter(|url| url.starts_with("http://") || url.starts_with("https://"));
            url.map(|url| (provider.clone(), url.to_owned()))
                .ok_or_else(|| format!("model.endpoints.{provider} must be an http or https URL"))
        })
        .collect()
}

pub(super) fn prices(value: Option<&Json>) -> Result<BTreeMap<String, Price>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let map = value.as_object().ok_or("model.prices must map `provider/model` to prices")?;
    map.iter()
        .map(|(model, rates)| {
            let fail = |what: &str| format!("model.prices.{model} {what}");
            let rates = rates.as_object().ok_or_else(|| fail("must be a mapping"))?;
            if !model.contains('/') {
                return Err(fail("must be named as provider/model"));
            }
            const FIELDS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];
            if let Some(unknown) = rates.keys().find(|key| !FIELDS.contains(&key.as_str())) {
                return Err(fail(&format!("has the unknown field `{unknown}`; allowed are {}", FIELDS.join(", "))));
            }
            let rate = |name: &str| match rates.get(name) {
                Some(rate) => {
                    let number = rate.as_f64().filter(|rate| (0.0..=1e6).contains(rate));
                    number.map(Some).ok_or_else(|| fail(&format!("`{name}` must be US dollars per million tokens")))
                }
                None => Ok(None),
            };
            let (input, output) = match (rate("input")?, rate("output")?) {
                (Some(input), Some(output)) => (input, output),
                _ => return Err(fail("needs `input` and `output`, in US dollars per million tokens")),
            };
            let base = Rates {
                input,
                output,
                cache_read: rate("cache_read")?.unwrap_or(input),
                cache_write: rate("cache_write")?.unwrap_or(input),
            };
            Ok((model.clone(), Price { base, tiers: Vec::new() }))
        })
        .collect()
}

pub(super) fn allowed(models: Vec<String>) -> Result<Vec<String>, String> {
    let whole =
        |model: &String| model.split_once('/').is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty());
    match models.iter().find(|model| !whole(model)) {
        Some(model) => Err(format!(
            "agent.allowed_models / MERCURY_AGENT_ALLOWED_MODELS: `{model}` is not provider/model, such as anthropic/claude-haiku-4-5 or groq/*"
        )),
        None => Ok(models),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prices_are_read_and_mistakes_named() {
        let prices_of = |value: Json| prices(Some(&value));
        let read = prices_of(json!({"groq/own": {"input": 1, "output": 2.5, "cache_read": 0}})).unwrap();
        assert_eq!(read["groq/own"].base, Rates { input: 1.0, output: 2.5, cache_read: 0.0, cache_write: 1.0 });
        for (value, part) in [
            (json!([]), "must map"),
            (json!({"own": {"input": 1, "output": 1}}), "provider/model"),
            (json!({"a/b": {"input": 1}}), "needs `input` and `output`"),
            (json!({"a/b": {"input": -1, "output": 1}}), "`input` must be"),
            (json!({"a/b": {"input": 1, "output": 1, "cached": 1}}), "unknown field `cached`"),
        ] {
            let problem = prices_of(value).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn allowed_models_name_their_provider() {
        assert!(allowed(vec!["groq/*".into(), "openrouter/a/b".into()]).is_ok());
        assert!(allowed(vec!["claude-haiku-4-5".into()]).unwrap_err().contains("claude-haiku-4-5"));
        assert_eq!(credential_mode(None), CredentialMode::Gateway { insisted: false });
        assert_eq!(credential_mode(Some("gateway")), CredentialMode::Gateway { insisted: true });
        assert_eq!(credential_mode(Some("env")), CredentialMode::Env);
    }
}
