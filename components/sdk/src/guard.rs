//! For a guard: it looks at prompts and at the agent's tool calls, and allows, denies or asks.
//!
//! A guard's answer is due in 2 s (`design/architecture.md`); a late one, a trap or a panic
//! counts as a denial.

pub use self::bindings::exports::mercury::plugin::prompt_guard::Guest as PromptGuard;
pub use self::bindings::exports::mercury::plugin::tool_guard::Guest as ToolGuard;
pub use self::bindings::mercury::plugin::types::{Caller, ConversationKind, Media, MediaKind};
pub use self::bindings::mercury::plugin::verdicts::{Question, Verdict};
pub use self::bindings::mercury::plugin::{kv, settings};

/// Exports a type that implements [`PromptGuard`] and [`ToolGuard`] as the component.
#[doc(inline)]
pub use self::bindings::export;

/// Lines for the host's log, under the plugin's name.
pub mod log {
    pub use super::bindings::mercury::plugin::log::Level;
    use super::bindings::mercury::plugin::log::write;

    /// A detail that only a developer wants.
    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }

    /// Something that an operator may want to know.
    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    /// Something that an operator should look at; the plugin went on.
    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    /// The plugin could not do its work.
    pub fn error(message: &str) {
        write(Level::Error, message);
    }
}

// Generated code calls the canonical ABI.
#[allow(unsafe_code, missing_docs, unreachable_pub)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "guard",
        pub_export_macro: true,
        default_bindings_module: "mercury_plugin::guard::bindings",
    });
}
