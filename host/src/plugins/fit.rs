//! Which of the plugins that are there can be used with one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    conflicts::conflict,
    load::{LoadError, Set},
    manifest::Manifest,
    packages::{Loadable, Origin},
    plugin::Plugin,
};

/// Whether a start with these goes through, as far as their manifests tell.
///
/// # Errors
/// Where the host must not run without one that would be left out.
pub(super) fn check(mut waiting: Vec<Loadable>) -> Result<(), LoadError> {
    waiting.sort_by_key(|source| rank(&source.origin));
    let left_out = |source: Loadable, reason: String| match source.manifest.is_essential() {
        true => Err(LoadError::Plugin { name: source.manifest.name, path: source.path, reason }),
        false => Ok(()),
    };
    let mut kept: Vec<Loadable> = Vec::new();
    for source in waiting {
        match kept.iter().find_map(|other| conflict(&source.manifest, &other.manifest)) {
            Some(reason) => left_out(source, format!("{reason}. Switch one of them off"))?,
            None => kept.push(source),
        }
    }
    while let Some((at, reason)) = unmet(kept.iter().map(|source| &source.manifest)) {
        left_out(kept.remove(at), reason)?;
    }
    Ok(())
}

/// The host's own stay, and what was agreed to comes before what lies there by hand.
fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::BuiltIn => 0,
        Origin::Package(_) => 1,
        Origin::Folder => 2,
    }
}

/// The first that needs one that is not among them, by its place, and why that is so.
fn unmet<'a>(manifests: impl Iterator<Item = &'a Manifest> + Clone) -> Option<(usize, String)> {
    let names: BTreeSet<&str> = manifests.clone().map(|manifest| manifest.name.as_str()).collect();
    manifests.enumerate().find_map(|(at, manifest)| {
        let needed = manifest.depends.iter().find(|name| !names.contains(name.as_str()))?;
        Some((at, format!("it needs the plugin `{needed}`, which is not loaded. Add or enable that one")))
    })
}

impl Set {
    /// Takes away what cannot be used beside another, and what needs something that is not there. Returns the
    /// updates that are not taken, and why: their versions before go on.
    ///
    /// # Errors
    /// Where the host must not run without one of them.
    pub(super) fn fit(&mut self, in_use: &Self) -> Result<BTreeMap<String, String>, LoadError> {
        let mut not_taken = BTreeMap::new();
        self.leave_out_conflicting(in_use, &mut not_taken)?;
        self.leave_out_dependents(in_use, &mut not_taken)?;
        self.plugins.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(not_taken)
    }

    /// Takes away what needs a plugin that is not loaded, and what needs that.
    fn leave_out_dependents(
        &mut self,
        in_use: &Self,
        not_taken: &mut BTreeMap<String, String>,
    ) -> Result<(), LoadError> {
        while let Some((at, reason)) = unmet(self.plugins.iter().map(|plugin| plugin.manifest())) {
            let plugin = self.plugins.remove(at);
            self.do_without(&plugin, reason, in_use, not_taken)?;
        }
        Ok(())
    }

    /// Of the same [`rank`], what is in use comes before what is new.
    fn leave_out_conflicting(
        &mut self,
        in_use: &Self,
        not_taken: &mut BTreeMap<String, String>,
    ) -> Result<(), LoadError> {
        let mut waiting = std::mem::take(&mut self.plugins);
        // An update is new, too: it must not take the place of another that stays as it is.
        let is_new = |plugin: &Arc<Plugin>| !in_use.plugins.iter().any(|used| Arc::ptr_eq(used, plugin));
        waiting.sort_by_key(|plugin| (rank(&plugin.origin), is_new(plugin)));
        for plugin in waiting {
            match self.conflict(&plugin) {
                Some(reason) => {
                    self.do_without(&plugin, format!("{reason}. Switch one of them off"), in_use, not_taken)?;
                }
                None => self.plugins.push(plugin),
            }
        }
        Ok(())
    }

    /// Why the plugin cannot be used beside those that are here.
    fn conflict(&self, plugin: &Plugin) -> Option<String> {
        self.plugins.iter().find_map(|kept| conflict(&plugin.manifest, &kept.manifest))
    }

    /// Goes on with the version that is in use, where the plugin is an update of it, or else without it.
    fn do_without(
        &mut self,
        plugin: &Arc<Plugin>,
        reason: String,
        in_use: &Self,
        not_taken: &mut BTreeMap<String, String>,
    ) -> Result<(), LoadError> {
        let before = in_use.plugins.iter().find(|used| used.name() == plugin.name() && !Arc::ptr_eq(used, plugin));
        match before.filter(|before| self.conflict(before).is_none()) {
            Some(before) => {
                self.plugins.push(before.clone());
                not_taken.insert(plugin.name().to_owned(), reason);
                Ok(())
            }
            None => self.leave_out(plugin, reason),
        }
    }

    /// # Errors
    /// Where the host must not run without it.
    fn leave_out(&mut self, plugin: &Plugin, reason: String) -> Result<(), LoadError> {
        let name = plugin.name().to_owned();
        if plugin.manifest.is_essential() {
            let path = plugin.folder.clone().unwrap_or_else(|| PathBuf::from(format!("built-in {name}")));
            return Err(LoadError::Plugin { name, path, reason });
        }
        tracing::error!(plugin = name, reason, "a plugin cannot be used and is left out");
        self.disabled.push((name, reason));
        Ok(())
    }
}
