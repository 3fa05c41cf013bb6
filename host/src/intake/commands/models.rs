//! `/model`: which of the configured models a space asks first.

use super::super::Intake;
use crate::{
    clock,
    config::Leg,
    domain::{
        command::ModelCommand,
        space_settings::{ACTIVE_MODEL, SpaceSettings},
    },
    store::{Inbound, StoreError},
};

pub(super) const HELP: &str = "\
/model list: the models that there are
/model active: the one that is asked here
/model switch N or NAME: ask another one here";

impl Intake {
    pub(super) async fn model(
        &self,
        inbound: &Inbound,
        command: ModelCommand,
        settings: &SpaceSettings,
    ) -> Result<String, StoreError> {
        let message = &inbound.message;
        let chain = &self.config.model_chain;
        let active = self.config.active_leg(settings.text(ACTIVE_MODEL)).or(chain.first());
        Ok(match command {
            ModelCommand::Help => HELP.into(),
            ModelCommand::List => list(chain, active),
            ModelCommand::Active => active.map(Leg::name).unwrap_or_default(),
            ModelCommand::Switch(None) => "Which one? Write `/model switch N`; `/model list` shows them.".into(),
            ModelCommand::Switch(Some(wanted)) => match find(chain, &wanted) {
                Some(leg) => {
                    let values = vec![(ACTIVE_MODEL, Some(leg.name()))];
                    let (space, by) = (Some(&message.space), message.author.as_str());
                    self.store.set_space_settings(space, values, by, clock::millis()).await?;
                    format!("From now on I ask {} here.", leg.name())
                }
                None => format!("There is no model `{wanted}`. `/model list` shows those that there are."),
            },
            ModelCommand::Unknown(verb) => format!("I do not know `/model {verb}`.\n{HELP}"),
        })
    }
}

/// By its place from 1, or its name with or without the provider.
fn find<'a>(chain: &'a [Leg], wanted: &str) -> Option<&'a Leg> {
    if let Ok(number) = wanted.parse::<usize>() {
        return chain.get(number.checked_sub(1)?);
    }
    chain.iter().find(|leg| leg.model == wanted || leg.name() == wanted)
}

fn list(chain: &[Leg], active: Option<&Leg>) -> String {
    let line = |(at, leg): (usize, &Leg)| {
        format!("{}. {}{}", at + 1, leg.name(), if Some(leg) == active { " (active)" } else { "" })
    };
    chain.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Leg> {
        [("a", "one"), ("b", "two")]
            .map(|(provider, model)| Leg { provider: provider.into(), model: model.into() })
            .into()
    }

    #[test]
    fn models_have_places_and_names() {
        let chain = chain();
        let found = |wanted| find(&chain, wanted).map(|leg| leg.model.as_str());
        assert_eq!(found("1"), Some("one"));
        assert_eq!(found("two"), Some("two"));
        assert_eq!(found("b:two"), Some("two"));
        for wanted in ["0", "3", "a:two", "", "-1"] {
            assert_eq!(found(wanted), None, "{wanted}");
        }
        assert_eq!(list(&chain, chain.get(1)), "1. a:one\n2. b:two (active)");
    }
}
