//! What is said of models: where they are, what they cost, which may be asked for.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Leg, settings::Settings, source, value::Value};
use crate::domain::{
    budget::Budgets,
    price::{Price, Rates},
};

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

impl Settings {
    /// The environment's chain beats the file's `model.chain`, which beats `model_chain`; without any,
    /// the primary model and, if both of its keys are set, the fallback.
    pub(super) fn model_chain(
        &mut self,
        file: &source::File,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<Leg>, String> {
        const MOST: usize = 7;
        let from_env = environment.get("MERCURY_MODEL_CHAIN").is_some_and(|text| !text.trim().is_empty());
        let filled = |value: &&Json| from_env || value.as_array().is_none_or(|legs| !legs.is_empty());
        let chain = self.json("model_chain").filter(filled).or_else(|| self.json("model_chain_top").filter(filled));
        let Some(chain) = chain.cloned() else {
            let mut legs = vec![Leg {
                provider: self.text("model_provider").unwrap_or_default(),
                model: self.text("model").unwrap_or_default(),
            }];
            if let (Some(provider), Some(model)) = (self.text("model_fallback_provider"), self.text("model_fallback")) {
                legs.push(Leg { provider, model });
            }
            return Ok(legs);
        };
        let place = match (&file.path, from_env) {
            (Some(path), false) => format!("{}: model.chain", path.display()),
            _ => "MERCURY_MODEL_CHAIN".into(),
        };
        let legs = chain.as_array().filter(|legs| !legs.is_empty());
        let legs = legs.ok_or_else(|| format!("{place} must be a list of {{provider, model}}, not empty"))?;
        let mut legs = legs
            .iter()
            .enumerate()
            .map(|(index, leg)| {
                let field = |name| leg.get(name).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty());
                match (field("provider"), field("model")) {
                    (Some(provider), Some(model)) => Ok(Leg { provider: provider.into(), model: model.into() }),
                    _ => Err(format!("{place}[{index}] needs `provider` and `model`, both as text")),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if legs.len() > MOST && !from_env {
            return Err(format!("{place} has {} models; at most {MOST} are allowed", legs.len()));
        }
        if legs.len() > MOST {
            self.warnings.push(format!("{place} has {} models; only the first {MOST} are used", legs.len()));
            legs.truncate(MOST);
        }
        Ok(legs)
    }

    pub(super) fn budgets(&self) -> Budgets {
        let limit = |name| match self.values.get(name) {
            Some(Value::Number(usd)) => Some((usd * 1e6).round() as u64),
            _ => None,
        };
        Budgets {
            run: limit("budget_run"),
            person_day: limit("budget_person_day"),
            space_day: limit("budget_space_day"),
            day: limit("budget_day"),
        }
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
