//! What is known of providers and models beforehand: where their APIs are, and what they cost.
//! The data are pi's own, read out by `scripts/models.mjs`.

use std::{collections::HashMap, sync::LazyLock};

use super::api::Api;
use crate::domain::price::{Price, Rates};

const DATA: &str = include_str!("models.tsv");

#[derive(Debug, Default)]
pub(super) struct Provider {
    /// API → base URL.
    bases: HashMap<Api, &'static str>,
    /// Model → price, where that is known.
    models: HashMap<&'static str, Option<Price>>,
}

static PROVIDERS: LazyLock<HashMap<&'static str, Provider>> = LazyLock::new(|| read(DATA));

/// The provider, if the gateway can serve it.
pub(super) fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.get(name)
}

impl Provider {
    pub(super) fn base(&self, api: Api) -> Option<&'static str> {
        self.bases.get(&api).copied()
    }

    pub(super) fn price(&self, model: &str) -> Option<&Price> {
        self.models.get(model)?.as_ref()
    }

    pub(super) fn knows(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }
}

fn read(data: &'static str) -> HashMap<&'static str, Provider> {
    let mut providers: HashMap<&str, Provider> = HashMap::new();
    let mut current = "";
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("@") => {
                let (Some(name), Some(api), Some(base)) = (fields.next(), fields.next(), fields.next()) else {
                    continue;
                };
                current = name;
                if let Some(api) = Api::from_registry(api) {
                    providers.entry(name).or_default().bases.insert(api, base);
                }
            }
            Some(model) => {
                let price = price(fields);
                providers.entry(current).or_default().models.insert(model, price);
            }
            None => {}
        }
    }
    providers
}

fn price<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Price> {
    let base = rates(fields.next()?)?;
    let tier = |field: &str| {
        let (above, rest) = field.split_once(' ')?;
        Some((above.parse().ok()?, rates(rest)?))
    };
    Some(Price { base, tiers: fields.filter_map(tier).collect() })
}

fn rates(field: &str) -> Option<Rates> {
    let mut numbers = field.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Rates { input: next()?, output: next()?, cache_read: next()?, cache_write: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_understood() {
        let lines: Vec<_> = DATA.lines().filter(|line| !line.starts_with('#')).collect();
        for line in &lines {
            let mut fields = line.split('\t');
            if fields.next() == Some("@") {
                let (api, base) = (fields.nth(1).unwrap(), fields.next().unwrap());
                assert!(Api::from_registry(api).is_some() && base.starts_with("https://"), "{line}");
            } else {
                let tiers = fields.clone().skip(1).count();
                match price(fields.clone()) {
                    Some(price) => {
                        assert_eq!(price.tiers.len(), tiers, "{line}");
                        assert!(price.tiers.is_sorted_by_key(|(above, _)| *above), "{line}");
                        assert!(price.base.input >= 0.0 && price.base.output >= 0.0, "{line}");
                    }
                    None => assert_eq!(fields.next(), Some("?"), "{line}"),
                }
            }
        }
        assert!(lines.len() > 1000);
    }

    #[test]
    fn providers_and_prices() {
        let anthropic = provider("anthropic").unwrap();
        assert_eq!(anthropic.base(Api::Anthropic), Some("https://api.anthropic.com"));
        assert_eq!(anthropic.base(Api::Chat), None);
        let price = anthropic.price("claude-opus-4-8").unwrap();
        assert_eq!((price.base.input, price.base.output), (5.0, 25.0));
        let openrouter = provider("openrouter").unwrap();
        assert_eq!(openrouter.base(Api::Anthropic), Some("https://openrouter.ai/api"));
        assert_eq!(openrouter.base(Api::Chat), Some("https://openrouter.ai/api/v1"));
        assert!(openrouter.knows("openrouter/auto") && openrouter.price("openrouter/auto").is_none());
        assert!(provider("openai").unwrap().models.values().flatten().any(|price| !price.tiers.is_empty()));
        assert!(provider("amazon-bedrock").is_none() && provider("openai-codex").is_none());
    }
}
