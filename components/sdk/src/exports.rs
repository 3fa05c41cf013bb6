//! What a component may export, a module for each interface: implement its `Guest`, and name the
//! type in its `export!`. A component exports as many of them as it likes.

/// One interface: its types and trait, and the macro that exports them.
macro_rules! interface {
    ($module:ident, $about:literal, $inline:literal, $world:literal, $bindings:literal, [$($used:literal = $shared:ident),*]) => {
        #[doc = $about]
        pub mod $module {
            pub use self::bindings::exports::mercury::plugin::$module::*;

            /// Exports a type that implements [`Guest`] as this interface of the component.
            #[doc(inline)]
            pub use self::bindings::export;

            // Generated code calls the canonical ABI.
            #[allow(unsafe_code, missing_docs, unreachable_pub, unused_imports)]
            #[doc(hidden)]
            pub mod bindings {
                wit_bindgen::generate!({
                    path: "../../wit",
                    inline: $inline,
                    world: $world,
                    pub_export_macro: true,
                    default_bindings_module: $bindings,
                    additional_derives: [PartialEq],
                    with: { $($used: crate::capabilities::$shared),* },
                });
            }
        }
    };
}

interface!(
    chat_adapter,
    "An adapter: how a chat platform is reached.",
    "package mercury:sdk; world chat-adapter-part { export mercury:plugin/chat-adapter@0.2.0; }",
    "mercury:sdk/chat-adapter-part",
    "mercury_plugin::chat_adapter::bindings",
    [
        "mercury:plugin/types@0.2.0" = types,
        "mercury:plugin/trouble@0.2.0" = trouble,
        "mercury:plugin/deliveries@0.2.0" = deliveries
    ]
);
interface!(
    webhook,
    "For an adapter: what arrives at `/webhooks/<platform>`.",
    "package mercury:sdk; world webhook-part { export mercury:plugin/webhook@0.2.0; }",
    "mercury:sdk/webhook-part",
    "mercury_plugin::webhook::bindings",
    [
        "mercury:plugin/types@0.2.0" = types,
        "mercury:plugin/credentials@0.2.0" = credentials,
        "mercury:plugin/http@0.2.0" = http
    ]
);
interface!(
    poller,
    "For an adapter: long polling.",
    "package mercury:sdk; world poller-part { export mercury:plugin/poller@0.2.0; }",
    "mercury:sdk/poller-part",
    "mercury_plugin::poller::bindings",
    ["mercury:plugin/trouble@0.2.0" = trouble]
);
interface!(
    socket_client,
    "For an adapter: what happens on its websockets.",
    "package mercury:sdk; world socket-client-part { export mercury:plugin/socket-client@0.2.0; }",
    "mercury:sdk/socket-client-part",
    "mercury_plugin::socket_client::bindings",
    []
);
interface!(
    message_editor,
    "For an adapter whose platform can change a sent message.",
    "package mercury:sdk; world message-editor-part { export mercury:plugin/message-editor@0.2.0; }",
    "mercury:sdk/message-editor-part",
    "mercury_plugin::message_editor::bindings",
    ["mercury:plugin/deliveries@0.2.0" = deliveries]
);
interface!(
    presence,
    "For an adapter whose platform can show that somebody types.",
    "package mercury:sdk; world presence-part { export mercury:plugin/presence@0.2.0; }",
    "mercury:sdk/presence-part",
    "mercury_plugin::presence::bindings",
    []
);
interface!(
    prompt_guard,
    "A guard on prompts. A late answer, a trap or a panic counts as a denial.",
    "package mercury:sdk; world prompt-guard-part { export mercury:plugin/prompt-guard@0.2.0; }",
    "mercury:sdk/prompt-guard-part",
    "mercury_plugin::prompt_guard::bindings",
    ["mercury:plugin/types@0.2.0" = types, "mercury:plugin/verdicts@0.2.0" = verdicts]
);
interface!(
    tool_guard,
    "A guard on the agent's tool calls. A late answer, a trap or a panic counts as a denial.",
    "package mercury:sdk; world tool-guard-part { export mercury:plugin/tool-guard@0.2.0; }",
    "mercury:sdk/tool-guard-part",
    "mercury_plugin::tool_guard::bindings",
    ["mercury:plugin/types@0.2.0" = types, "mercury:plugin/verdicts@0.2.0" = verdicts]
);
interface!(
    api_guard,
    "A guard on the calls that an agent makes on its run's socket.",
    "package mercury:sdk; world api-guard-part { export mercury:plugin/api-guard@0.2.0; }",
    "mercury:sdk/api-guard-part",
    "mercury_plugin::api_guard::bindings",
    ["mercury:plugin/types@0.2.0" = types, "mercury:plugin/verdicts@0.2.0" = verdicts]
);
interface!(
    egress_guard,
    "A guard on what an agent reaches through the host's proxy. `ask` counts as a denial.",
    "package mercury:sdk; world egress-guard-part { export mercury:plugin/egress-guard@0.2.0; }",
    "mercury:sdk/egress-guard-part",
    "mercury_plugin::egress_guard::bindings",
    ["mercury:plugin/types@0.2.0" = types, "mercury:plugin/verdicts@0.2.0" = verdicts]
);
interface!(
    run_hook,
    "Adds to a run before its container starts, or blocks it.",
    "package mercury:sdk; world run-hook-part { export mercury:plugin/run-hook@0.2.0; }",
    "mercury:sdk/run-hook-part",
    "mercury_plugin::run_hook::bindings",
    ["mercury:plugin/types@0.2.0" = types]
);
interface!(
    result_processor,
    "Changes the agent's reply before it is delivered, or withholds it. Failures come through here as well: `failure` is then set and `reply` holds the text that the person would read.",
    "package mercury:sdk; world result-processor-part { export mercury:plugin/result-processor@0.2.0; }",
    "mercury:sdk/result-processor-part",
    "mercury_plugin::result_processor::bindings",
    ["mercury:plugin/types@0.2.0" = types]
);
interface!(
    broker,
    "Serves calls that the agent makes, with credentials that never enter its container.",
    "package mercury:sdk; world broker-part { export mercury:plugin/broker@0.2.0; }",
    "mercury:sdk/broker-part",
    "mercury_plugin::broker::bindings",
    ["mercury:plugin/types@0.2.0" = types]
);
interface!(
    job,
    "Work on the host's clock.",
    "package mercury:sdk; world job-part { export mercury:plugin/job@0.2.0; }",
    "mercury:sdk/job-part",
    "mercury_plugin::job::bindings",
    []
);
interface!(
    timer,
    "A wake-up that `timers.set` asked for.",
    "package mercury:sdk; world timer-part { export mercury:plugin/timer@0.2.0; }",
    "mercury:sdk/timer-part",
    "mercury_plugin::timer::bindings",
    []
);
interface!(
    task_listener,
    "The end of an agent run that `tasks.start` asked for.",
    "package mercury:sdk; world task-listener-part { export mercury:plugin/task-listener@0.2.0; }",
    "mercury:sdk/task-listener-part",
    "mercury_plugin::task_listener::bindings",
    []
);
interface!(
    widget,
    "A panel of the dashboard. The host sanitises the HTML.",
    "package mercury:sdk; world widget-part { export mercury:plugin/widget@0.2.0; }",
    "mercury:sdk/widget-part",
    "mercury_plugin::widget::bindings",
    []
);
interface!(
    connection_status,
    "How the service stands that the plugin's `[connection]` presents.",
    "package mercury:sdk; world connection-status-part { export mercury:plugin/connection-status@0.2.0; }",
    "mercury:sdk/connection-status-part",
    "mercury_plugin::connection_status::bindings",
    []
);
interface!(
    lifecycle,
    "Start, new spaces, shutdown.",
    "package mercury:sdk; world lifecycle-part { export mercury:plugin/lifecycle@0.2.0; }",
    "mercury:sdk/lifecycle-part",
    "mercury_plugin::lifecycle::bindings",
    []
);
