//! For a result processor: it changes the agent's reply before it is delivered, or withholds it.
//!
//! Failures come through here as well: `failure` is then set and `reply` holds the text that
//! the person would read.

pub use self::bindings::exports::mercury::plugin::result_processor::{
    Delivery, Failure, Guest as ResultProcessor, Outcome, RunResult,
};
pub use self::bindings::mercury::plugin::types::{Caller, ConversationKind, Media, MediaKind, Usage};
pub use self::bindings::mercury::plugin::{kv, settings};

/// Exports a type that implements [`ResultProcessor`] as the component.
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
        world: "processor",
        pub_export_macro: true,
        default_bindings_module: "mercury_plugin::processor::bindings",
    });
}
