//! What the text assigns, as sets of values that a variable may hold.
//!
//! The sets do not follow the order of execution: a loop or a function may run text in any
//! order, so a value assigned anywhere counts everywhere. Order matters only for `definite`:
//! whether an assignment has certainly happened before the present place. A variable that is
//! not definite is unknown, since it may be unset or come from the environment.

use std::collections::{BTreeMap, BTreeSet};

/// Most values of one variable, and the longest, before it counts as unknown.
const MAX_VALUES: usize = 16;
const MAX_VALUE_BYTES: usize = 4096;

/// Names that were certainly assigned before the present place.
pub(crate) type Definite = BTreeSet<String>;

#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// `None`: anything.
    values: BTreeMap<String, Option<BTreeSet<String>>>,
    pub(crate) definite: Definite,
    /// Any variable may have been changed by something that is not looked into.
    tainted: bool,
    /// The field separator was changed: unquoted expansions split elsewhere.
    separators_changed: bool,
    looked_up: BTreeSet<String>,
    /// Something changed after it was looked up: another pass is due.
    pub(crate) stale: bool,
}

impl Variables {
    /// The values that `name` may hold here, or `None` if that cannot be told.
    pub(crate) fn lookup(&mut self, name: &str) -> Option<Vec<String>> {
        self.looked_up.insert(name.to_owned());
        if self.tainted || !self.definite.contains(name) {
            return None;
        }
        self.values.get(name)?.as_ref().map(|values| values.iter().cloned().collect())
    }

    /// Whether the text assigns `name` anywhere that has been seen.
    pub(crate) fn assigned(&mut self, name: &str) -> bool {
        self.looked_up.insert(name.to_owned());
        self.tainted || self.values.contains_key(name)
    }

    pub(crate) fn separators_changed(&self) -> bool {
        self.separators_changed || self.tainted
    }

    /// Adds a value: `None` where it cannot be told.
    pub(crate) fn assign(&mut self, name: &str, value: Option<&str>) {
        if name == "IFS" && !self.separators_changed {
            self.separators_changed = true;
            self.stale = true;
        }
        let entry = self.values.entry(name.to_owned());
        let new = matches!(entry, std::collections::btree_map::Entry::Vacant(_));
        let slot = entry.or_insert_with(|| Some(BTreeSet::new()));
        let changed = match (slot.as_mut(), value) {
            (None, _) => false,
            (Some(values), Some(value)) if value.len() <= MAX_VALUE_BYTES && values.len() < MAX_VALUES => {
                values.insert(value.to_owned())
            }
            (Some(values), Some(value)) if values.contains(value) => false,
            (Some(_), _) => {
                *slot = None;
                true
            }
        };
        if (changed || new) && self.looked_up.contains(name) {
            self.stale = true;
        }
    }

    /// From now on any variable may hold anything.
    pub(crate) fn taint(&mut self) {
        self.stale |= !self.tainted;
        self.tainted = true;
    }
}
