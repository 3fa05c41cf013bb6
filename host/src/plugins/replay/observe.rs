//! Between a guest and the host's functions: notes what passes, where the plugin is being recorded.
//!
//! One table names every function that a guest may call. Where one is missing the host does not
//! compile, so none is forgotten.

use mercury_bindings::mercury::plugin as imports;
use serde::Serialize;
use wasmtime::component::HasData;

use super::serial;
use crate::plugins::state::State;

/// The host's functions as a guest finds them.
pub(in crate::plugins) struct Observed<'a>(&'a mut State);

pub(in crate::plugins) fn observed(state: &mut State) -> Observed<'_> {
    Observed(state)
}

/// For `add_to_linker`.
pub(in crate::plugins) struct Observing;

impl HasData for Observing {
    type Data<'a> = Observed<'a>;
}

impl Observed<'_> {
    /// The arguments, before the host's function takes them.
    fn arguments(&self, arguments: &impl Serialize) -> Option<serde_json::Value> {
        self.0.tape.as_ref()?;
        serial::to_json(arguments).ok()
    }

    fn note(&mut self, interface: &str, function: &str, arguments: Option<serde_json::Value>, answer: &impl Serialize) {
        if let (Some(tape), Some(arguments)) = (self.0.tape.as_mut(), arguments) {
            tape.note(interface, function, arguments, answer);
        }
    }
}

macro_rules! functions {
    ($($interface:ident { $($function:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => {$(
        impl imports::$interface::Host for Observed<'_> {$(
            async fn $function(&mut self, $($argument: $type),*) -> wasmtime::Result<$answer> {
                let noted = self.arguments(&($(&$argument,)*));
                let answer = imports::$interface::Host::$function(self.0, $($argument),*).await?;
                self.note(stringify!($interface), stringify!($function), noted, &answer);
                Ok(answer)
            }
        )*}
    )*};
}

use imports::{
    credentials as c, history as hi, http as h, identities as id, inbox as i, kv as k, log as l, media as m,
    messenger as me, sockets as s, tasks as t, timers as ti, types as ty,
};

functions! {
    log {
        write(level: l::Level, message: String) -> ();
    }
    credentials {
        present(name: String) -> bool;
        matches(name: String, candidate: String) -> Result<bool, c::Error>;
        hmac_sha256(name: String, message: Vec<u8>) -> Result<Vec<u8>, c::Error>;
    }
    signatures {
        ed25519(public_key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> bool;
        rsa_sha256(modulus: Vec<u8>, exponent: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> bool;
        sha256(message: Vec<u8>) -> Vec<u8>;
    }
    http {
        fetch(request: h::Request) -> Result<h::Response, h::Error>;
        download(request: h::Request, kind: ty::MediaKind, file_name: Option<String>, most_bytes: Option<u64>) -> Result<h::Downloaded, h::Error>;
    }
    kv {
        get(key: String) -> Result<Option<Vec<u8>>, k::Error>;
        set(key: String, value: Vec<u8>) -> Result<(), k::Error>;
        replace(key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<bool, k::Error>;
        remove(key: String) -> Result<bool, k::Error>;
        keys(prefix: String, after: Option<String>) -> Result<Vec<String>, k::Error>;
    }
    settings {
        get(key: String, space: Option<String>) -> Option<String>;
    }
    permissions {
        has(person: String, space: String, permission: String) -> bool;
        denied_programs(caller: ty::Caller) -> Vec<String>;
    }
    media {
        read(handle: String, offset: u64, length: u32) -> Result<Vec<u8>, m::Error>;
        create(kind: ty::MediaKind, mime_type: String, file_name: String, bytes: Vec<u8>) -> Result<ty::Media, m::Error>;
    }
    sockets {
        open(name: String, uri: String, headers: h::Headers, credentials: Vec<c::Credential>) -> Result<(), h::Error>;
        send(name: String, frame: s::Frame, credentials: Vec<c::Credential>) -> Result<(), h::Error>;
        close(name: String) -> ();
    }
    timers {
        set(name: String, after_ms: u64) -> Result<(), ti::Error>;
        cancel(name: String) -> ();
    }
    messenger {
        send(to: me::Recipient, text: String) -> Result<String, me::Error>;
    }
    history {
        spaces() -> Result<Vec<String>, hi::Error>;
        entries(space: String, after: Option<u64>, limit: u32) -> Result<Vec<hi::Entry>, hi::Error>;
    }
    tasks {
        start(id: String, space: String, prompt: String, system_prompt: Option<String>) -> Result<(), t::Error>;
        start_confined(id: String, space: String, prompt: String, system_prompt: Option<String>, confinement: t::Confinement, tools: Option<Vec<String>>) -> Result<(), t::Error>;
    }
    inbox {
        accept(events: Vec<i::Event>, cursor: Option<String>) -> Result<Vec<i::Outcome>, i::Error>;
        cursor() -> Option<String>;
        admits_file(conversation: String, kind: ty::ConversationKind, author: String, size_bytes: Option<u64>) -> Result<u64, i::Refusal>;
        bot_name() -> String;
    }
    identities {
        learn(alias: String, person: String, source: String) -> Result<bool, id::Error>;
        person(alias: String) -> Result<Option<String>, id::Error>;
    }
}
