//! Which models a run may ask for: those of the chain, and what the operator added.

use super::registry;
use crate::config::Leg;

/// The operator's words for models.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    chain: Vec<Leg>,
    /// `provider/model`; a `*` at the end stands for anything.
    patterns: Vec<String>,
}

/// pi reads what follows the last colon as how hard to think (its `docs/cli.md`).
const THINKING: &[&str] = &["off", "minimal", "low", "medium", "high", "xhigh", "max"];

impl Allowed {
    pub(super) fn new(chain: &[Leg], patterns: &[String]) -> Self {
        Self { chain: chain.to_vec(), patterns: patterns.to_vec() }
    }

    pub(super) fn permits(&self, provider: &str, model: &str) -> bool {
        self.chain.iter().any(|leg| leg.provider == provider && stands_for(provider, &leg.model, model))
            || self.patterns.iter().any(|pattern| matches(pattern, provider, model))
    }

    /// Providers that are named beside the chain's own.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().filter_map(|pattern| pattern.split_once('/')).map(|(provider, _)| provider)
    }
}

fn matches(pattern: &str, provider: &str, model: &str) -> bool {
    let Some((of, name)) = pattern.split_once('/') else { return false };
    let fits = match name.strip_suffix('*') {
        Some(beginning) => model.starts_with(beginning),
        None => model == name,
    };
    of == provider && fits
}

/// Whether pi may make `model` out of what the chain calls `name`: the id itself, perhaps with the
/// provider before or a thinking level behind it; where it is no known id, the ids that contain it.
fn stands_for(provider: &str, name: &str, model: &str) -> bool {
    let bare = name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    let level = bare.rsplit_once(':').filter(|(_, level)| THINKING.contains(level)).map(|(id, _)| id);
    let ids = [Some(name), Some(bare), level];
    if ids.iter().flatten().any(|id| id.eq_ignore_ascii_case(model)) {
        return true;
    }
    let Some(known) = registry::provider(provider) else { return false };
    let exact = ids.iter().flatten().any(|id| known.knows(id));
    let part = level.unwrap_or(bare).to_lowercase();
    !exact && !part.is_empty() && known.knows(model) && model.to_lowercase().contains(&part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(chain: &[(&str, &str)], patterns: &[&str]) -> Allowed {
        let leg = |(provider, model): &(&str, &str)| Leg { provider: (*provider).into(), model: (*model).into() };
        let patterns: Vec<_> = patterns.iter().map(|it| it.to_string()).collect();
        Allowed::new(&chain.iter().map(leg).collect::<Vec<_>>(), &patterns)
    }

    #[test]
    fn the_chain_and_nothing_else() {
        let chain = allowed(&[("anthropic", "claude-opus-4-8"), ("openrouter", "z-ai/glm-5:high")], &[]);
        assert!(chain.permits("anthropic", "claude-opus-4-8"));
        assert!(chain.permits("openrouter", "z-ai/glm-5"));
        for (provider, model) in [
            ("anthropic", "claude-opus-4-8-20260101"),
            ("anthropic", "claude-opus-4-5"),
            ("openrouter", "claude-opus-4-8"),
            ("anthropic", ""),
        ] {
            assert!(!chain.permits(provider, model), "{provider}/{model}");
        }
    }

    #[test]
    fn a_part_of_an_id_stands_for_the_ids_that_pi_may_make_of_it() {
        let chain = allowed(&[("anthropic", "sonnet-4"), ("groq", "my-own")], &[]);
        assert!(chain.permits("anthropic", "claude-sonnet-4-5") && chain.permits("groq", "my-own"));
        assert!(!chain.permits("anthropic", "claude-opus-4-8"));
        assert!(!chain.permits("anthropic", "sonnet-4-of-nobody"), "ids that are known only");
    }

    #[test]
    fn patterns_add_models() {
        let more = allowed(&[], &["anthropic/claude-haiku-*", "openai/gpt-5.5", "groq/*", "nonsense"]);
        assert!(more.permits("anthropic", "claude-haiku-4-5") && !more.permits("anthropic", "claude-opus-5"));
        assert!(more.permits("openai", "gpt-5.5") && !more.permits("openai", "gpt-5.5-pro"));
        assert!(more.permits("groq", "anything"));
        assert_eq!(more.providers().collect::<Vec<_>>(), ["anthropic", "openai", "groq"]);
    }
}
