//! The host's bindings to `wit/`, in a crate of their own: they are slow to compile and rarely
//! touched. Nothing here is written by hand but the options.
//!
//! The newest line of the contract is at the crate's root; each older one that is still loaded has a
//! module, made from its frozen copy.
#![allow(missing_docs, clippy::all, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "everything",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq, Clone, serde::Serialize],
});

/// Generated flags take no derives. Names as in the contract, one string each.
impl serde::Serialize for exports::mercury::plugin::chat_adapter::Features {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = [
            (Self::TYPING, "typing"),
            (Self::FILES, "files"),
            (Self::THREADS, "threads"),
            (Self::EDITS, "edits"),
            (Self::CHOICES, "choices"),
        ];
        serializer.collect_seq(names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name))
    }
}

impl serde::Serialize for mercury::plugin::tasks::Confinement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names =
            [(Self::NO_NETWORK, "no-network"), (Self::READ_ONLY, "read-only"), (Self::OWN_FOLDERS, "own-folders")];
        serializer.collect_seq(names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name))
    }
}

/// The line 0.1. Vocabulary that did not change since is the newest line's, so that it needs no
/// conversion; were it to drift apart, old components would be refused when they are loaded.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/frozen/0.1",
        world: "everything",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [PartialEq, Clone],
        with: {
            "mercury:plugin/types": crate::mercury::plugin::types,
            "mercury:plugin/verdicts": crate::mercury::plugin::verdicts,
        },
    });
}
