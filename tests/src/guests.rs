//! Components that no compiler would make: hand-written core modules, wrapped for a world of the
//! contract or of one that is not ours.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{
    Function, Resolve, WorldId, WorldItem,
    abi::{AbiVariant, WasmSignature, WasmType},
};

/// Bytes below which a guest of these suites keeps what it was written with; above, it allocates.
pub const HEAP: u32 = 128 << 10;

/// A world, and the packages that it is made of.
pub struct World {
    resolve: Resolve,
    world: WorldId,
}

/// A function that a guest imports or exports.
#[derive(Clone)]
pub struct Declared {
    /// `mercury:plugin/log@0.2.0`
    pub interface: String,
    /// `write`
    pub name: String,
    signature: WasmSignature,
}

impl Declared {
    /// Core types of its parameters, as in WAT.
    pub fn params(&self) -> Vec<&'static str> {
        self.signature.params.iter().map(core_type).collect()
    }

    /// Whether it has a result of its own, beside what it writes into memory.
    pub fn answers(&self) -> bool {
        !self.signature.results.is_empty()
    }

    fn in_wat(&self) -> String {
        let list = |word: &str, types: &[WasmType]| match types {
            [] => String::new(),
            types => format!(" ({word} {})", types.iter().map(core_type).collect::<Vec<_>>().join(" ")),
        };
        list("param", &self.signature.params) + &list("result", &self.signature.results)
    }
}

/// What a guest does: WAT for the places where it does something.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// The only export that is called, such as `prompt-guard` → `check`: its body.
    pub body: String,
    /// Body of what is called after the answer was read.
    pub after: String,
    /// In place of an allocator that works.
    pub realloc: Option<String>,
    /// Further definitions of the module.
    pub more: String,
    /// What lies in its memory, from an address on.
    pub data: BTreeMap<u32, Vec<u8>>,
}

impl World {
    /// Of the contract in `wit/`. `parts` is the inside of a world: `import …; export …;`.
    pub fn of_contract(parts: &str) -> Self {
        Self::of_edited_contract(str::to_owned, parts)
    }

    /// Of a contract that differs from that in `wit/` by an edit of its text.
    pub fn of_edited_contract(edit: impl Fn(&str) -> String, parts: &str) -> Self {
        let mut resolve = Resolve::default();
        push_folder(&mut resolve, &wit(), edit);
        Self::new(resolve, parts)
    }

    /// With the names of the frozen line 0.1, too.
    pub fn of_both_lines(parts: &str) -> Self {
        let mut resolve = Resolve::default();
        push_folder(&mut resolve, &wit(), str::to_owned);
        push_folder(&mut resolve, &wit().join("frozen/0.1"), str::to_owned);
        Self::new(resolve, parts)
    }

    /// Of a package that has nothing to do with Mercury.
    pub fn foreign(package: &str, parts: &str) -> Self {
        let mut resolve = Resolve::default();
        resolve.push_str("foreign.wit", package).unwrap();
        Self::new(resolve, parts)
    }

    fn new(mut resolve: Resolve, parts: &str) -> Self {
        let package = resolve.push_str("guest.wit", &format!("package test:guest; world guest {{ {parts} }}")).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        Self { resolve, world }
    }

    pub fn imports(&self) -> Vec<Declared> {
        let imports = self.resolve.worlds[self.world].imports.values().cloned().collect::<Vec<_>>();
        self.functions(&imports, AbiVariant::GuestImport)
    }

    pub fn exports(&self) -> Vec<Declared> {
        let exports = self.resolve.worlds[self.world].exports.values().cloned().collect::<Vec<_>>();
        self.functions(&exports, AbiVariant::GuestExport)
    }

    fn functions(&self, items: &[WorldItem], variant: AbiVariant) -> Vec<Declared> {
        let mut declared = Vec::new();
        for item in items {
            let WorldItem::Interface { id, .. } = item else { continue };
            let interface = self.resolve.id_of(*id).unwrap();
            for function in self.resolve.interfaces[*id].functions.values() {
                declared.push(self.declared(&interface, function, variant));
            }
        }
        declared
    }

    fn declared(&self, interface: &str, function: &Function, variant: AbiVariant) -> Declared {
        let signature = self.resolve.wasm_signature(variant, function);
        Declared { interface: interface.to_owned(), name: function.name.clone(), signature }
    }

    /// The component of a guest. It imports every function of the world, as `$<interface>.<function>` (`$log.write`).
    pub fn component(&self, guest: &Guest) -> Vec<u8> {
        let mut module = wat::parse_str(self.module(guest)).unwrap();
        embed_component_metadata(&mut module, &self.resolve, self.world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }

    fn module(&self, guest: &Guest) -> String {
        let mut wat = String::from("(module\n");
        for import in self.imports() {
            let short = import.interface.rsplit('/').next().unwrap().split('@').next().unwrap().to_owned();
            writeln!(
                wat,
                "(import \"{}\" \"{}\" (func ${short}.{}{}))",
                import.interface,
                import.name,
                import.name,
                import.in_wat()
            )
            .unwrap();
        }
        writeln!(wat, "(memory (export \"memory\") 64)\n(global $heap (mut i32) (i32.const {HEAP}))").unwrap();
        let allocate = "(global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 3)))";
        writeln!(
            wat,
            "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {})",
            guest.realloc.as_deref().unwrap_or(allocate)
        )
        .unwrap();
        for export in self.exports() {
            let (name, body) = (format!("{}#{}", export.interface, export.name), &guest.body);
            writeln!(wat, "(func (export \"{name}\"){} {body})", export.in_wat()).unwrap();
            if !guest.after.is_empty() {
                writeln!(wat, "(func (export \"cabi_post_{name}\") (param i32) {})", guest.after).unwrap();
            }
        }
        for (address, bytes) in &guest.data {
            let text: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            writeln!(wat, "(data (i32.const {address}) \"{text}\")").unwrap();
        }
        wat + &guest.more + ")"
    }
}

fn wit() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

fn push_folder(resolve: &mut Resolve, from: &Path, edit: impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let text = edit(&std::fs::read_to_string(entry.path()).unwrap());
        std::fs::write(folder.path().join(entry.file_name()), text).unwrap();
    }
    resolve.push_dir(folder.path()).unwrap();
}

fn core_type(of: &WasmType) -> &'static str {
    match of {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}
