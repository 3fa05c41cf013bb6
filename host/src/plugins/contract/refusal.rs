//! Why a component cannot be used, in words that name both versions and the way out.

use semver::Version;

use super::{Contract, PACKAGE, line_of};

#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error(
        "it is not a WebAssembly component{detail}. Build it for `wasm32-wasip2`, or make a component of a core module with `wasm-tools component new`"
    )]
    NotAComponent { detail: String },
    #[error(
        "it neither imports nor exports anything of {PACKAGE}, so it is no plugin of Mercury. Build it against the wit/ folder of this host ({PACKAGE}@{})",
        Contract::NEWEST.version()
    )]
    None,
    #[error(
        "it names {interface} without a version, so nobody can tell which contract it means. Build it against the wit/ folder of this host ({PACKAGE}@{})",
        Contract::NEWEST.version()
    )]
    Unversioned { interface: String },
    #[error(
        "it mixes two lines of the contract, {one} and {other}. Build all of it, and what it is composed of, against one wit/ folder; this host's is {PACKAGE}@{}",
        Contract::NEWEST.version()
    )]
    Mixed { one: String, other: String },
    #[error("it was built for {PACKAGE}@{version}, and this host speaks {}. {}", spoken(), way_out(version))]
    Unknown { version: Version },
    #[error(
        "it was built for {PACKAGE}@{version}, and does not fit {PACKAGE}@{spoken} as this host speaks it: {detail}. {}",
        misfit_way_out(version, spoken)
    )]
    Misfit { version: Version, spoken: Version, detail: String },
}

/// `0.1.0 and 0.2.0`.
fn spoken() -> String {
    format!("{} and {}", Contract::V0_1.version(), Contract::V0_2.version())
}

fn way_out(version: &Version) -> String {
    let newest = Contract::NEWEST.version();
    if *version > newest {
        format!("Update the host, or build the component against the wit/ folder of this host ({PACKAGE}@{newest})")
    } else {
        format!("Build the component anew, against the wit/ folder of this host ({PACKAGE}@{newest})")
    }
}

/// Within a line a later version may only have more: then a later host has it. Everything else was
/// built against a contract that somebody changed.
fn misfit_way_out(version: &Version, spoken: &Version) -> String {
    if version > spoken && line_of(version) == line_of(spoken) {
        format!(
            "Update the host to one that speaks {version}, or build the component against the wit/ folder of this host"
        )
    } else {
        "Its WIT files are not those of that version: build it against an unchanged copy of the wit/ folder of this host"
            .to_owned()
    }
}
