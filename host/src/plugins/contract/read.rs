//! What a component says of itself, read from its bytes without compiling anything.

use std::collections::BTreeSet;

use semver::Version;
use wasmparser::{ComponentExternName, Encoding, Parser, Payload};

use super::{Contract, ContractError, PACKAGE, line_of};

/// What a component says of itself.
#[derive(Debug, PartialEq)]
pub struct Declaration {
    /// The line that it was built for.
    pub contract: Contract,
    /// The version, which may be a later one of the line than the host's.
    pub version: Version,
    /// Interfaces of the contract that it imports: `http`.
    pub imports: BTreeSet<String>,
    /// Interfaces of the contract that it exports.
    pub exports: BTreeSet<String>,
}

impl Declaration {
    /// # Errors
    /// Where it is no component, or none of a contract that this host speaks.
    pub fn read(wasm: &[u8]) -> Result<Self, ContractError> {
        let (imports, exports) = names(wasm)?;
        let mut highest: Option<(Version, &str)> = None;
        let mut found = Self {
            contract: Contract::NEWEST,
            version: Contract::NEWEST.version(),
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
        };
        let sides = imports.iter().map(|name| (name, true)).chain(exports.iter().map(|name| (name, false)));
        for (full, imported) in sides {
            let Some((interface, version)) = of_contract(full)? else { continue };
            match &highest {
                Some((known, other)) if line_of(known) != line_of(&version) => {
                    return Err(ContractError::Mixed { one: (*other).to_owned(), other: full.clone() });
                }
                Some((known, _)) if *known >= version => {}
                _ => highest = Some((version, full)),
            }
            let side = if imported { &mut found.imports } else { &mut found.exports };
            side.insert(interface.to_owned());
        }
        let (version, _) = highest.ok_or(ContractError::None)?;
        found.contract = Contract::of(&version).ok_or_else(|| ContractError::Unknown { version: version.clone() })?;
        found.version = version;
        Ok(found)
    }
}

/// Interface and version of `mercury:plugin/http@0.2.0`; nothing for names of other packages.
fn of_contract(name: &str) -> Result<Option<(&str, Version)>, ContractError> {
    let Some(rest) = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else { return Ok(None) };
    let unversioned = || ContractError::Unversioned { interface: name.to_owned() };
    let (interface, version) = rest.split_once('@').ok_or_else(unversioned)?;
    Ok(Some((interface, version.parse().map_err(|_| unversioned())?)))
}

/// The names of what the component itself imports and exports, and not those of what is nested in it.
fn names(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>), ContractError> {
    let malformed =
        |error: wasmparser::BinaryReaderError| ContractError::NotAComponent { detail: format!(": {error}") };
    let full = |name: ComponentExternName<'_>| format!("{}{}", name.name, name.version_suffix.unwrap_or_default());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ContractError::NotAComponent { detail: ", it is a core module".to_owned() });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(full(import.map_err(malformed)?.name));
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(full(export.map_err(malformed)?.name));
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_split_at_its_version() {
        let read = |name| of_contract(name).map_err(|error| error.to_string());
        assert_eq!(read("mercury:plugin/tool-guard@0.2.0"), Ok(Some(("tool-guard", Version::new(0, 2, 0)))));
        for other in ["wasi:cli/stderr@0.2.6", "mercury:plugins/log@0.2.0", "run", "mercury:plugin", ""] {
            assert_eq!(read(other), Ok(None), "{other}");
        }
        for unversioned in ["mercury:plugin/log", "mercury:plugin/log@", "mercury:plugin/log@two"] {
            assert!(read(unversioned).unwrap_err().contains("without a version"), "{unversioned}");
        }
    }

    #[test]
    fn a_version_belongs_to_one_line() {
        let line = |text: &str| Contract::of(&text.parse().unwrap());
        assert_eq!(line("0.1.7"), Some(Contract::V0_1));
        assert_eq!((line("0.2.0"), line("0.2.99")), (Some(Contract::V0_2), Some(Contract::V0_2)));
        for unknown in ["0.0.1", "0.3.0", "1.0.0", "1.2.0", "0.2.0-draft"] {
            assert_eq!(line(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, header: bool) {
            let mut wasm = if header { b"\0asm\x0d\0\x01\0".to_vec() } else { Vec::new() };
            wasm.extend(bytes);
            let _ = Declaration::read(&wasm);
        }
    }
}
