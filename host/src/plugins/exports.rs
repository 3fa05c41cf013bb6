//! The interfaces that the host calls: their names, and where a component exports them.

use mercury_bindings::exports::mercury::plugin as newest;
use serde::Deserialize;
use wasmtime::component::InstancePre;

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
    Lifecycle lifecycle "lifecycle" newest::lifecycle::GuestIndices,
}

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
