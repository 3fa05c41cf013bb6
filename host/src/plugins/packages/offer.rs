//! What the way in hands to whoever asks the operator.

use super::{Agreed, Package};
use crate::plugins::{load, manifest::Manifest, rights::Rights};

/// A package that was fetched and lies ready. Dropped, it is gone.
pub struct Offer {
    pub package: Package,
    /// Pinned: what it is fetched from again.
    pub source: String,
    /// The operator's name for the signer, if the signer is trusted.
    pub signer: Option<String>,
    /// The version that it would replace.
    pub installed: Option<Agreed>,
    /// A plugin that is there and for which its name could be taken.
    pub resembles: Option<String>,
    pub(super) staging: tempfile::TempDir,
}

impl Offer {
    pub fn name(&self) -> &str {
        &self.package.manifest.name
    }

    /// What it asks for beyond what was agreed to for the installed version.
    pub fn beyond(&self) -> Vec<String> {
        let agreed = self.installed.as_ref().map(|installed| installed.rights.clone()).unwrap_or_default();
        Rights::of(&self.package.manifest).beyond(&agreed)
    }

    /// Nothing but what is installed already, its signature included.
    pub fn is_same(&self) -> bool {
        self.installed.as_ref().is_some_and(|installed| installed.files == self.package.files)
    }

    /// A version before the installed one (semver.org 11): somebody may want an old mistake back.
    pub fn is_older(&self) -> bool {
        let installed = self.installed.as_ref();
        installed.is_some_and(|installed| is_before(&self.package.manifest.version, &installed.version))
    }

    /// Whether a plugin that comes with the host would not be used any more.
    pub fn replaces_built_in(&self) -> bool {
        self.installed.is_none() && load::built_in().any(|name| name == self.name())
    }
}

/// What an update found.
pub enum Update {
    Current(String),
    Newer(Box<Offer>),
}

/// Where a package is now.
#[derive(Clone, Debug)]
pub struct Published {
    /// `oci://…:tag`
    pub reference: String,
    pub digest: String,
}

/// What an installed plugin asks for and nobody has agreed to.
#[derive(Clone, Debug)]
pub struct Pending {
    pub manifest: Manifest,
    pub beyond: Vec<String>,
    pub(super) digest: String,
}

/// A plugin that is installed no more.
#[derive(Debug)]
pub struct Removed {
    pub version: String,
}

fn is_before(one: &str, other: &str) -> bool {
    let read = |version: &str| semver::Version::parse(version).ok();
    read(one).zip(read(other)).is_some_and(|(one, other)| one.cmp_precedence(&other).is_lt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_they_are_meant() {
        for (one, other, before) in [
            ("1.9.0", "1.10.0", true),
            ("1.0.0-rc.1", "1.0.0", true),
            ("1.0.0-rc.2", "1.0.0-rc.10", true),
            ("1.0.0", "1.0.0-rc.1", false),
            ("1.0.0+a", "1.0.0+b", false),
            ("1.0.0", "1.0.0", false),
        ] {
            assert_eq!(is_before(one, other), before, "{one} {other}");
        }
    }
}
