//! Components' own state, each in a namespace that it cannot leave.

use rusqlite::{OptionalExtension, Transaction, params, types::Value};

use super::{Store, StoreError};

/// Keys of one plugin, however small: each costs the database more than its bytes.
const MOST_KEYS: u64 = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum KvError {
    #[error("the quota of {quota} bytes is used up")]
    Quota { quota: u64 },
    #[error("there are {MOST_KEYS} keys already")]
    Keys,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    pub async fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.read(move |db| {
            db.query_row("SELECT value FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key], |row| {
                row.get(0)
            })
            .optional()
        })
        .await
    }

    /// Whether anything is kept of the plugin.
    pub async fn kv_keeps(&self, plugin: &str) -> Result<bool, StoreError> {
        let plugin = plugin.to_owned();
        self.read(move |db| db.prepare_cached("SELECT 1 FROM plugin_kv WHERE plugin = ?1 LIMIT 1")?.exists([plugin]))
            .await
    }

    /// Sets `key` to `value`. With `expected` only if that is the present value (`Some(None)`: only
    /// if there is none); tells whether it did.
    pub async fn kv_set(
        &self,
        plugin: &str,
        key: &str,
        value: Vec<u8>,
        expected: Option<Option<Vec<u8>>>,
        quota: u64,
    ) -> Result<bool, KvError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.write(move |db| {
            let present: Option<Vec<u8>> = db
                .query_row("SELECT value FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key], |row| {
                    row.get(0)
                })
                .optional()?;
            let others = usage_of_others(db, &plugin, &key, present.as_deref())?;
            if expected.is_some_and(|expected| expected != present) {
                return Ok(Ok(false));
            }
            if others.bytes + key.len() as u64 + value.len() as u64 > quota {
                return Ok(Err(KvError::Quota { quota }));
            }
            if others.keys >= MOST_KEYS {
                return Ok(Err(KvError::Keys));
            }
            db.execute(
                "INSERT INTO plugin_kv (plugin, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value",
                params![plugin, key, value],
            )?;
            Ok(Ok(true))
        })
        .await?
    }

    pub async fn kv_remove(&self, plugin: &str, key: &str) -> Result<bool, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.write(move |db| {
            Ok(db.execute("DELETE FROM plugin_kv WHERE plugin = ?1 AND key = ?2", params![plugin, key])? == 1)
        })
        .await
    }

    /// Keys that begin with `prefix`, sorted, at most 1,000 after `after`.
    pub async fn kv_keys(&self, plugin: &str, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let (plugin, after) = (plugin.to_owned(), after.map(str::to_owned));
        let from = after.clone().filter(|after| after.as_str() > prefix).unwrap_or_else(|| prefix.to_owned());
        // In the database's order every text comes before any bytes.
        let until = behind_prefix(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
        self.read(move |db| {
            // A range of the index: however many other keys there are, none of them is looked at.
            db.prepare_cached(
                "SELECT key FROM plugin_kv WHERE plugin = ?1 AND key >= ?2 AND key < ?3 AND key IS NOT ?4
                 ORDER BY key LIMIT 1000",
            )?
            .query_map(params![plugin, from, until, after], |row| row.get(0))?
            .collect()
        })
        .await
    }
}

/// What a plugin keeps.
struct Usage {
    keys: u64,
    bytes: u64,
}

/// Beside `key`, whose present value is `present`.
fn usage_of_others(db: &Transaction<'_>, plugin: &str, key: &str, present: Option<&[u8]>) -> rusqlite::Result<Usage> {
    let usage = db
        .query_row("SELECT keys, bytes FROM plugin_kv_usage WHERE plugin = ?1", params![plugin], |row| {
            Ok(Usage { keys: row.get::<_, i64>(0)?.unsigned_abs(), bytes: row.get::<_, i64>(1)?.unsigned_abs() })
        })
        .optional()?
        .unwrap_or(Usage { keys: 0, bytes: 0 });
    Ok(match present {
        None => usage,
        Some(value) => Usage {
            keys: usage.keys.saturating_sub(1),
            bytes: usage.bytes.saturating_sub(key.len() as u64 + value.len() as u64),
        },
    })
}

/// The first text behind all that begin with `prefix`, in the order of the database, which is that of
/// UTF-8's bytes. `None` where there is none.
fn behind_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The step over the surrogates is in the range of characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn behind_a_prefix() {
        for (prefix, behind) in [
            ("", None),
            ("a", Some("b")),
            ("a\u{7f}", Some("a\u{80}")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ] {
            assert_eq!(behind_prefix(prefix).as_deref(), behind, "{prefix:?}");
        }
    }

    /// Writing 100,000 keys would take long: the count is set.
    #[tokio::test]
    async fn keys_are_counted_however_small() {
        let (_folder, store) = store();
        assert!(store.kv_set("a", "k", Vec::new(), None, 1_000).await.unwrap());
        store.write(|db| db.execute("UPDATE plugin_kv_usage SET keys = 100000", [])).await.unwrap();
        assert!(matches!(store.kv_set("a", "l", Vec::new(), None, 1_000).await, Err(KvError::Keys)));
        assert!(store.kv_set("a", "k", vec![1], None, 1_000).await.unwrap(), "one that is there may change");
        assert!(store.kv_remove("a", "k").await.unwrap());
        assert!(store.kv_set("a", "l", Vec::new(), None, 1_000).await.unwrap());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(String, usize),
        Replace(String, usize, usize),
        Remove(String),
        Purge,
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[ab]{0,3}", "[a\u{0}\u{7f}\u{80}\u{d7ff}\u{10ffff}]{0,2}"]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (key(), 0..40_usize).prop_map(|(key, size)| Step::Set(key, size)),
            2 => (key(), 0..4_usize, 0..40_usize).prop_map(|(key, old, new)| Step::Replace(key, old, new)),
            2 => key().prop_map(Step::Remove),
            1 => Just(Step::Purge),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever a plugin does, its usage is what lies there, within the quota, and its keys are found
        /// as a sorted map would find them. Its neighbour's stay as they are.
        #[test]
        fn a_store_is_a_map_with_a_quota(steps in prop::collection::vec(step(), 1..40), prefixes in prop::collection::vec(key(), 4)) {
            const QUOTA: u64 = 120;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (_folder, store) = store();
                store.kv_set("neighbour", "a", vec![7; 90], None, QUOTA).await.unwrap();
                let mut model = BTreeMap::<String, Vec<u8>>::new();
                for step in steps {
                    let size = |model: &BTreeMap<String, Vec<u8>>| model.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() as u64;
                    match step {
                        Step::Set(key, length) => {
                            let mut next = model.clone();
                            next.insert(key.clone(), vec![1; length]);
                            let set = store.kv_set("a", &key, vec![1; length], None, QUOTA).await;
                            prop_assert_eq!(set.is_ok(), size(&next) <= QUOTA);
                            if set.is_ok() {
                                model = next;
                            }
                        }
                        Step::Replace(key, old, new) => {
                            let expected = Some(vec![1; old]).filter(|_| old > 0);
                            let mut next = model.clone();
                            next.insert(key.clone(), vec![1; new]);
                            let set = store.kv_set("a", &key, vec![1; new], Some(expected.clone()), QUOTA).await;
                            match model.get(&key) == expected.as_ref() {
                                false => prop_assert!(!set.unwrap()),
                                true if size(&next) <= QUOTA => {
                                    prop_assert!(set.unwrap());
                                    model = next;
                                }
                                true => prop_assert!(set.is_err()),
                            }
                        }
                        Step::Remove(key) => {
                            prop_assert_eq!(store.kv_remove("a", &key).await.unwrap(), model.remove(&key).is_some());
                        }
                        Step::Purge => {
                            prop_assert_eq!(store.purge_plugin("a").await.unwrap().keys, model.len());
                            model.clear();
                        }
                    }
                    let usage = store.read(|db| {
                        db.query_row("SELECT keys, bytes FROM plugin_kv_usage WHERE plugin = 'a'", [], |row| {
                            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                        })
                        .optional()
                    });
                    prop_assert_eq!(usage.await.unwrap().unwrap_or_default(), (model.len() as i64, size(&model) as i64));
                }
                for prefix in prefixes {
                    let known: Vec<_> = model.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
                    let found = store.kv_keys("a", &prefix, None).await.unwrap();
                    prop_assert_eq!(&found, &known);
                    if let Some(first) = known.first() {
                        prop_assert_eq!(store.kv_keys("a", &prefix, Some(first)).await.unwrap(), &known[1..]);
                    }
                }
                prop_assert_eq!(store.kv_get("neighbour", "a").await.unwrap(), Some(vec![7; 90]));
                Ok(())
            })?;
        }
    }
}
