use mercury_bindings::mercury::plugin::{
    inbox::{Error, Event, Host, Outcome, Refusal},
    types::ConversationKind,
};

use crate::plugins::{capabilities::not_granted, state::State};

impl Host for State {
    async fn accept(
        &mut self,
        _events: Vec<Event>,
        _cursor: Option<String>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        self.count_call()?;
        Ok(Err(Error::Denied(not_granted("inbox", "[inbox] platform = …"))))
    }

    async fn cursor(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(None)
    }

    async fn admits_file(
        &mut self,
        _conversation: String,
        _kind: ConversationKind,
        _author: String,
        _size_bytes: Option<u64>,
    ) -> wasmtime::Result<Result<u64, Refusal>> {
        self.count_call()?;
        Ok(Err(Refusal::NotLinked))
    }

    async fn bot_name(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(String::new())
    }
}
