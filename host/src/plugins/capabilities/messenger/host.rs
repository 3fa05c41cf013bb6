use mercury_bindings::mercury::plugin::messenger::{Error, Host, Recipient};

use crate::plugins::{Interface, capabilities::not_granted, state::State};

/// Characters of one message, as `wit/capabilities.wit` says.
const MOST_TEXT: usize = 4_096;

impl Host for State {
    async fn send(&mut self, to: Recipient, text: String) -> wasmtime::Result<Result<String, Error>> {
        self.count_call()?;
        if self.interface == Interface::ResultProcessor {
            return Ok(Err(Error::Denied("a result processor may send nowhere".into())));
        }
        let grant = &self.manifest.messenger;
        if grant.spaces.is_empty() {
            return Ok(Err(Error::Denied(not_granted("messenger", "[messenger] spaces = […]"))));
        }
        if text.trim().is_empty() || text.chars().count() > MOST_TEXT {
            return Ok(Err(Error::InvalidText(format!("a message has 1 to {MOST_TEXT} characters"))));
        }
        match self.services.messenger.get().cloned() {
            Some(messenger) => Ok(messenger.send(&self.manifest.name, grant, to, text).await),
            None => Ok(Err(Error::NotReady)),
        }
    }
}
