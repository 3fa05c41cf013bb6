//! Exports by the line of the contract that their component was built for: one enum for each interface
//! that more than one line has, called with the newest line's values.

use mercury_bindings::{
    exports::mercury::plugin::{
        self as v0_2,
        result_processor::{Outcome, RunResult},
    },
    mercury::plugin::{
        types::{Caller, Media},
        verdicts::Verdict,
    },
    v0_1::exports::mercury::plugin as v0_1,
};
use wasmtime::{
    Store as WasmStore,
    component::{Instance, InstancePre},
};

use super::{Contract, v0_1 as old};
use crate::plugins::{EgressRequest, exports::recorded, state::State};

/// An export that is looked up once, when its component is loaded.
pub(in crate::plugins) trait Export: Sized {
    /// # Errors
    /// Where the component does not export it, or its line of the contract does not have it.
    fn find(contract: Contract, pre: &InstancePre<State>) -> wasmtime::Result<Self>;

    /// # Errors
    /// Where its types are not those of the contract, which only an instance shows.
    fn fits(&self, store: &mut WasmStore<State>, instance: &Instance) -> wasmtime::Result<()>;
}

/// Interfaces that the line 0.1 did not have.
macro_rules! since_0_2 {
    ($($module:ident),+ $(,)?) => {
        $(impl Export for v0_2::$module::GuestIndices {
            fn find(contract: Contract, pre: &InstancePre<State>) -> wasmtime::Result<Self> {
                match contract {
                    Contract::V0_1 => Err(wasmtime::Error::msg("that line of the contract has no such interface")),
                    Contract::V0_2 => Self::new(pre),
                }
            }

            fn fits(&self, store: &mut WasmStore<State>, instance: &Instance) -> wasmtime::Result<()> {
                self.load(store, instance).map(drop)
            }
        })+
    };
}

since_0_2!(
    chat_adapter,
    webhook,
    poller,
    socket_client,
    message_editor,
    presence,
    api_guard,
    run_hook,
    broker,
    job,
    timer,
    task_listener,
    widget,
    connection_status,
    lifecycle,
);

/// Interfaces that both lines have.
macro_rules! since_0_1 {
    ($($name:ident $module:ident),+ $(,)?) => {
        $(pub(in crate::plugins) enum $name {
            V0_1(v0_1::$module::GuestIndices),
            V0_2(v0_2::$module::GuestIndices),
        }

        impl Export for $name {
            fn find(contract: Contract, pre: &InstancePre<State>) -> wasmtime::Result<Self> {
                Ok(match contract {
                    Contract::V0_1 => Self::V0_1(v0_1::$module::GuestIndices::new(pre)?),
                    Contract::V0_2 => Self::V0_2(v0_2::$module::GuestIndices::new(pre)?),
                })
            }

            fn fits(&self, store: &mut WasmStore<State>, instance: &Instance) -> wasmtime::Result<()> {
                match self {
                    Self::V0_1(export) => export.load(store, instance).map(drop),
                    Self::V0_2(export) => export.load(store, instance).map(drop),
                }
            }
        })+
    };
}

since_0_1!(
    PromptGuard prompt_guard,
    ToolGuard tool_guard,
    EgressGuard egress_guard,
    ResultProcessor result_processor,
);

type Store = WasmStore<State>;

impl PromptGuard {
    pub(in crate::plugins) async fn check(
        &self,
        store: &mut Store,
        instance: &Instance,
        caller: &Caller,
        prompt: &str,
        attachments: &[Media],
    ) -> wasmtime::Result<Verdict> {
        match self {
            Self::V0_1(export) => {
                export.load(&mut *store, instance)?.call_check(store, caller, prompt, attachments).await
            }
            Self::V0_2(export) => {
                recorded!(store, export.load(&mut *store, instance)?, call_check(caller, prompt, attachments))
            }
        }
    }
}

impl ToolGuard {
    pub(in crate::plugins) async fn check(
        &self,
        store: &mut Store,
        instance: &Instance,
        caller: &Caller,
        tool: &str,
        arguments: &str,
    ) -> wasmtime::Result<Verdict> {
        match self {
            Self::V0_1(export) => export.load(&mut *store, instance)?.call_check(store, caller, tool, arguments).await,
            Self::V0_2(export) => {
                recorded!(store, export.load(&mut *store, instance)?, call_check(caller, tool, arguments))
            }
        }
    }
}

impl EgressGuard {
    pub(in crate::plugins) async fn check(
        &self,
        store: &mut Store,
        instance: &Instance,
        caller: &Caller,
        request: &EgressRequest,
    ) -> wasmtime::Result<Verdict> {
        match self {
            Self::V0_1(export) => {
                export.load(&mut *store, instance)?.call_check(store, caller, &old::egress_request(request)).await
            }
            Self::V0_2(export) => recorded!(store, export.load(&mut *store, instance)?, call_check(caller, request)),
        }
    }
}

impl ResultProcessor {
    pub(in crate::plugins) async fn process(
        &self,
        store: &mut Store,
        instance: &Instance,
        result: &RunResult,
    ) -> wasmtime::Result<Result<Outcome, String>> {
        match self {
            Self::V0_1(export) => {
                let outcome = export.load(&mut *store, instance)?.call_process(store, &old::run_result(result)).await?;
                Ok(outcome.map(old::outcome))
            }
            Self::V0_2(export) => recorded!(store, export.load(&mut *store, instance)?, call_process(result)),
        }
    }
}
