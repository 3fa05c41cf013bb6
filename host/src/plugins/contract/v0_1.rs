//! The line 0.1 in terms of the newest: three interfaces that a component may import, and a
//! processor's values. What did not change since needs no word here.

use mercury_bindings::{
    exports::mercury::plugin::result_processor as newest,
    mercury::plugin::{kv as newest_kv, log as newest_log, settings as newest_settings},
    v0_1::{
        exports::mercury::plugin::{egress_guard as old_egress, result_processor as old},
        mercury::plugin::{kv, log, settings},
    },
};
use wasmtime::component::{HasSelf, Linker};

use crate::plugins::{EgressRequest, state::State};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    kv::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    settings::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    // Types only. They are the newest line's, under the old name.
    for vocabulary in ["types", "verdicts"] {
        linker.instance(&format!("mercury:plugin/{vocabulary}@0.1.0"))?;
    }
    Ok(())
}

impl log::Host for State {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => newest_log::Level::Trace,
            log::Level::Debug => newest_log::Level::Debug,
            log::Level::Info => newest_log::Level::Info,
            log::Level::Warn => newest_log::Level::Warn,
            log::Level::Error => newest_log::Level::Error,
        };
        newest_log::Host::write(self, level, message).await
    }
}

impl settings::Host for State {
    async fn get(&mut self, key: String, space: Option<String>) -> wasmtime::Result<Option<String>> {
        newest_settings::Host::get(self, key, space).await
    }
}

type Kv<T> = wasmtime::Result<Result<T, kv::Error>>;

impl kv::Host for State {
    async fn get(&mut self, key: String) -> Kv<Option<Vec<u8>>> {
        Ok(newest_kv::Host::get(self, key).await?.map_err(kv_error))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Kv<()> {
        Ok(newest_kv::Host::set(self, key, value).await?.map_err(kv_error))
    }

    async fn replace(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Kv<bool> {
        Ok(newest_kv::Host::replace(self, key, expected, value).await?.map_err(kv_error))
    }

    async fn remove(&mut self, key: String) -> Kv<bool> {
        Ok(newest_kv::Host::remove(self, key).await?.map_err(kv_error))
    }

    async fn keys(&mut self, prefix: String, after: Option<String>) -> Kv<Vec<String>> {
        Ok(newest_kv::Host::keys(self, prefix, after).await?.map_err(kv_error))
    }
}

fn kv_error(error: newest_kv::Error) -> kv::Error {
    match error {
        newest_kv::Error::QuotaExceeded => kv::Error::QuotaExceeded,
        newest_kv::Error::TooLarge => kv::Error::TooLarge,
        // 0.1 had no word of its own for what the manifest lacks.
        newest_kv::Error::Denied(text) | newest_kv::Error::Storage(text) => kv::Error::Storage(text),
        newest_kv::Error::Other(text) => kv::Error::Other(text),
    }
}

pub(super) fn egress_request(request: &EgressRequest) -> old_egress::Request {
    old_egress::Request {
        host: request.host.clone(),
        port: request.port,
        method: request.method.clone(),
        path: request.path.clone(),
        listed: request.listed,
    }
}

pub(super) fn run_result(result: &newest::RunResult) -> old::RunResult {
    let failure =
        |failure: &newest::Failure| old::Failure { reason: failure.reason.clone(), message: failure.message.clone() };
    old::RunResult {
        run: result.run.clone(),
        caller: result.caller.clone(),
        platform: result.platform.clone(),
        prompt: result.prompt.clone(),
        reply: result.reply.clone(),
        failure: result.failure.as_ref().map(failure),
        attachments: result.attachments.clone(),
        usage: result.usage.clone(),
        duration_ms: result.duration_ms,
    }
}

pub(super) fn outcome(outcome: old::Outcome) -> newest::Outcome {
    match outcome {
        old::Outcome::Deliver(delivery) => {
            newest::Outcome::Deliver(newest::Delivery { reply: delivery.reply, attachments: delivery.attachments })
        }
        old::Outcome::Suppress(why) => newest::Outcome::Suppress(why),
    }
}
