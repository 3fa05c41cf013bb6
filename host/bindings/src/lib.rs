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
    additional_derives: [PartialEq, Clone],
});

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
