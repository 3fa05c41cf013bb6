//! The host's bindings to `wit/`, in a crate of their own: they are slow to compile and rarely
//! touched. Nothing here is written by hand but the options.
#![allow(missing_docs, clippy::all, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "everything",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq, Clone],
});
