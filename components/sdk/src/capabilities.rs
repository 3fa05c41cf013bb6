//! What a component may ask of the host. The manifest names what it needs; a call that was not
//! granted returns an error that names the missing line.

pub use self::bindings::mercury::plugin::{
    credentials, deliveries, history, http, identities, inbox, kv, media, messenger, permissions, settings, signatures,
    sockets, tasks, timers, trouble, types, verdicts,
};

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
        world: "capabilities",
        generate_all,
        additional_derives: [PartialEq],
    });
}
