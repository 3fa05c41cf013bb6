use std::sync::Arc;

use mercury_bindings::mercury::plugin::identities::{Error, Host};

use super::Identities;
use crate::plugins::{
    Interface,
    capabilities::{inbox::own, not_granted},
    state::State,
};

/// Characters of the word for how a pair is known, as `wit/chat.wit` says.
const MOST_SOURCE: usize = 64;

impl State {
    /// The platform, and who keeps what is known of its people.
    fn identities(&self) -> Result<(String, Arc<dyn Identities>), Error> {
        if self.interface == Interface::ResultProcessor {
            return Err(Error::Denied("a result processor may say nothing of people".into()));
        }
        let grant = self.manifest.inbox.as_ref();
        let grant = grant.ok_or_else(|| Error::Denied(not_granted("identities", "[inbox] platform = …")))?;
        let starting = || Error::Other("the host is still starting; try again in a second".into());
        let identities = self.services.identities.get().cloned().ok_or_else(starting)?;
        Ok((grant.platform.clone(), identities))
    }
}

impl Host for State {
    async fn learn(&mut self, alias: String, person: String, source: String) -> wasmtime::Result<Result<bool, Error>> {
        self.count_call()?;
        let (platform, identities) = match self.identities() {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(why) = check(&platform, &alias, &person, &source) {
            return Ok(Err(Error::Invalid(why)));
        }
        Ok(identities.learn(&platform, alias, person, source).await)
    }

    async fn person(&mut self, alias: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.count_call()?;
        let (platform, identities) = match self.identities() {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(why) = own(&platform, "the alias", &alias) {
            return Ok(Err(Error::Invalid(why)));
        }
        Ok(identities.person(&alias).await)
    }
}

/// An adapter knows the people of its own platform only: with another's it could make anybody an admin.
fn check(platform: &str, alias: &str, person: &str, source: &str) -> Result<(), String> {
    own(platform, "the alias", alias)?;
    own(platform, "the person", person)?;
    let is_word = !source.trim().is_empty() && !source.chars().any(char::is_control);
    match is_word && source.chars().count() <= MOST_SOURCE {
        true => Ok(()),
        false => Err(format!("the source is no line of 1 to {MOST_SOURCE} characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_knows_its_own_people() {
        assert_eq!(check("p", "p:1@lid", "p:2@s", "message-key"), Ok(()));
        for (alias, person, source, says) in [
            ("q:1", "p:2", "s", "the alias `q:1` does not begin with `p:`"),
            ("p:1", "api:root", "s", "the person `api:root` does not begin with `p:`"),
            ("p:", "p:2", "s", "the alias `p:` is empty"),
            ("", "p:2", "s", "the alias"),
            ("p:1", "p:2\n", "s", "control character"),
            ("p:1", "p:2", " ", "the source"),
            ("p:1", "p:2", "a\nb", "the source"),
        ] {
            let why = check("p", alias, person, source).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        assert!(check("p", "p:1", "p:2", &"é".repeat(64)).is_ok());
        assert!(check("p", "p:1", "p:2", &"é".repeat(65)).is_err());
        assert!(check("p", &format!("p:{}", "1".repeat(600)), "p:2", "s").is_err());
    }
}
