use mercury_bindings::mercury::plugin::messenger::{Error, Host, Recipient};

use crate::plugins::{Interface, capabilities::not_granted, state::State};

impl Host for State {
    async fn send(&mut self, _to: Recipient, _text: String) -> wasmtime::Result<Result<String, Error>> {
        self.count_call()?;
        if self.interface == Interface::ResultProcessor {
            return Ok(Err(Error::Denied("a result processor may send nowhere".into())));
        }
        Ok(Err(Error::Denied(not_granted("messenger", "[messenger] spaces = […]"))))
    }
}
