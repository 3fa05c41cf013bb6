//! The lines of the contract `mercury:plugin` that this host speaks.
//!
//! A line is what semantic versioning calls compatible: `0.2.x`, from 1.0 on `1.x`. Within one,
//! interfaces and functions are only added, so its components link by themselves. A breaking change
//! is a new line: a new variant here (the compiler then names every place that has to know it), new
//! bindings, and the old folder frozen under `wit/frozen/`. Components of the lines before the newest
//! keep working.
//!
//! The version is read from the component's own bytes before anything is compiled. Never from the
//! manifest, which may be wrong about it.

mod read;
mod refusal;
mod v0_1;
pub(super) mod versioned;

use semver::Version;
use wasmtime::component::Linker;

pub use read::Declaration;
pub use refusal::ContractError;

use super::state::State;

/// The package of `wit/`.
const PACKAGE: &str = "mercury:plugin";

/// A line of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    V0_1,
    V0_2,
}

impl Contract {
    pub const NEWEST: Self = Self::V0_2;

    /// The version of the line that this host speaks.
    pub fn version(self) -> Version {
        match self {
            Self::V0_1 => Version::new(0, 1, 0),
            Self::V0_2 => Version::new(0, 2, 0),
        }
    }

    /// The line to which a version belongs, if this host speaks it.
    fn of(version: &Version) -> Option<Self> {
        [Self::V0_1, Self::V0_2].into_iter().find(|line| line_of(&line.version()) == line_of(version))
    }
}

/// Two versions of one line are compatible; a pre-release is so only with itself.
fn line_of(version: &Version) -> (u64, u64, &str) {
    let minor = if version.major == 0 { version.minor } else { 0 };
    (version.major, minor, version.pre.as_str())
}

/// Links the lines before the newest, which has one function in `engine.rs` for each of its interfaces.
pub(super) fn link_old_lines(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    v0_1::link(linker)
}
