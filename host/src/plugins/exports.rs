//! The interfaces that the host calls: their names, and where a component exports them.

use mercury_bindings::exports::mercury::plugin as contract;
use serde::Deserialize;
use wasmtime::component::InstancePre;

use super::state::State;

/// One table makes the enum of the manifest and the exports that are looked up once.
macro_rules! interfaces {
    ($($variant:ident $module:ident $name:literal),+ $(,)?) => {
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
            $(pub(super) $module: Option<contract::$module::GuestIndices>),+
        }

        impl Exports {
            /// # Errors
            /// The first interface of `provides` that the component does not export.
            pub(super) fn find(pre: &InstancePre<State>, provides: &[Interface]) -> Result<Self, String> {
                let mut exports = Self::default();
                for &interface in provides {
                    match interface {
                        $(Interface::$variant => {
                            let found = contract::$module::GuestIndices::new(pre);
                            exports.$module = Some(found.map_err(|error| missing(interface, &error))?);
                        })+
                    }
                }
                Ok(exports)
            }
        }
    };
}

interfaces! {
    ChatAdapter chat_adapter "chat-adapter",
    Webhook webhook "webhook",
    Poller poller "poller",
    SocketClient socket_client "socket-client",
    MessageEditor message_editor "message-editor",
    Presence presence "presence",
    PromptGuard prompt_guard "prompt-guard",
    ToolGuard tool_guard "tool-guard",
    ApiGuard api_guard "api-guard",
    EgressGuard egress_guard "egress-guard",
    RunHook run_hook "run-hook",
    ResultProcessor result_processor "result-processor",
    Broker broker "broker",
    Job job "job",
    Timer timer "timer",
    TaskListener task_listener "task-listener",
    Widget widget "widget",
    Lifecycle lifecycle "lifecycle",
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

fn missing(interface: Interface, error: &wasmtime::Error) -> String {
    let name = interface.name();
    format!("its manifest provides {name}, but the component does not export mercury:plugin/{name}@0.2.0: {error:#}")
}
