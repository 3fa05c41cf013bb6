//! For an egress guard: it looks at every request that an agent makes through the host's proxy,
//! and allows or denies it.
//!
//! The operator's list is asked first and told as `listed`. `allow` opens a host that is not listed
//! only where the operator named the plugin in `agent.egress_plugins`. An answer is due in 2 s; a
//! late one, a trap, a panic and `ask` count as a denial.

pub use self::bindings::exports::mercury::plugin::egress_guard::{Guest as EgressGuard, Request};
pub use self::bindings::mercury::plugin::types::Caller;
pub use self::bindings::mercury::plugin::verdicts::{Question, Verdict};
pub use self::bindings::mercury::plugin::{kv, settings};

/// Exports a type that implements [`EgressGuard`] as the component.
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
        world: "egress",
        pub_export_macro: true,
        default_bindings_module: "mercury_plugin::egress::bindings",
    });
}
