//! The interfaces that the host calls: their names, and where a component exports them.

use mercury_bindings::exports::mercury::plugin as newest;
use serde::Deserialize;
use wasmtime::{
    Store as WasmStore,
    component::{Instance, InstancePre},
};

use super::{
    contract::{
        Contract,
        versioned::{self, Export},
    },
    state::State,
};

/// One table makes the enum of the manifest and the exports that are looked up once.
macro_rules! interfaces {
    ($($variant:ident $module:ident $name:literal $export:ty),+ $(,)?) => {
        /// An interface that the host calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Interface {
            $($variant),+
        }

        impl Interface {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        /// What a component exports of what its manifest says.
        #[derive(Default)]
        pub(super) struct Exports {
            $(pub(super) $module: Option<$export>),+
        }

        impl Exports {
            /// # Errors
            /// The first interface of `provides` that the component does not export.
            pub(super) fn find(
                contract: Contract,
                pre: &InstancePre<State>,
                provides: &[Interface],
            ) -> Result<Self, String> {
                let mut exports = Self::default();
                for &interface in provides {
                    match interface {
                        $(Interface::$variant => {
                            let found = <$export as Export>::find(contract, pre);
                            exports.$module = Some(found.map_err(|error| missing(contract, interface, &error))?);
                        })+
                    }
                }
                Ok(exports)
            }

            /// # Errors
            /// The first export whose types are not those of the contract.
            pub(super) fn check(&self, store: &mut WasmStore<State>, instance: &Instance) -> Result<(), String> {
                $(if let Some(export) = &self.$module {
                    export.fits(store, instance).map_err(|error| format!("{}: {error:#}", $name))?;
                })+
                Ok(())
            }
        }
    };
}

interfaces! {
    ChatAdapter chat_adapter "chat-adapter" newest::chat_adapter::GuestIndices,
    Webhook webhook "webhook" newest::webhook::GuestIndices,
    Poller poller "poller" newest::poller::GuestIndices,
    SocketClient socket_client "socket-client" newest::socket_client::GuestIndices,
    MessageEditor message_editor "message-editor" newest::message_editor::GuestIndices,
    Presence presence "presence" newest::presence::GuestIndices,
    PromptGuard prompt_guard "prompt-guard" versioned::PromptGuard,
    ToolGuard tool_guard "tool-guard" versioned::ToolGuard,
    ApiGuard api_guard "api-guard" newest::api_guard::GuestIndices,
    EgressGuard egress_guard "egress-guard" versioned::EgressGuard,
    RunHook run_hook "run-hook" newest::run_hook::GuestIndices,
    ResultProcessor result_processor "result-processor" versioned::ResultProcessor,
    Broker broker "broker" newest::broker::GuestIndices,
    Job job "job" newest::job::GuestIndices,
    Timer timer "timer" newest::timer::GuestIndices,
    TaskListener task_listener "task-listener" newest::task_listener::GuestIndices,
    Widget widget "widget" newest::widget::GuestIndices,
    ConnectionStatus connection_status "connection-status" newest::connection_status::GuestIndices,
    Lifecycle lifecycle "lifecycle" newest::lifecycle::GuestIndices,
}

/// Calls one function of an export, and notes the call where the plugin is being recorded:
/// `recorded!(store, guest, call_check(&caller, &tool))` for `guest.call_check(store, &caller, &tool).await`.
macro_rules! recorded {
    ($store:ident, $guest:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        let guest = $guest;
        $store.data_mut().begin_tape(stringify!($function).trim_start_matches("call_"), &($(&$argument,)*));
        let answer = guest.$function(&mut *$store, $($argument),*).await?;
        $store.data_mut().end_tape(&answer);
        Ok(answer)
    }};
}
pub(super) use recorded;

impl Interface {
    pub fn is_guard(self) -> bool {
        matches!(self, Self::PromptGuard | Self::ToolGuard | Self::ApiGuard | Self::EgressGuard)
    }
}

fn missing(contract: Contract, interface: Interface, error: &wasmtime::Error) -> String {
    let (name, version) = (interface.name(), contract.version());
    format!(
        "its manifest provides {name}, but the component does not export mercury:plugin/{name}@{version}: {error:#}. Export it, or take it out of `provides`"
    )
}
