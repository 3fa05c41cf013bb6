//! What a copy of a vault says of each file, apart from the bytes, which are kept by their digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::{Entry, Files};

/// What lay at each path.
pub type Index = BTreeMap<String, Kept>;

/// An [`Entry`], with a digest in the place of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Kept {
    File(String),
    Large(u64),
    Other,
}

/// # Errors
/// Those of `keep`, which is given the bytes of every file and returns their digest.
pub fn index<E>(files: &Files, mut keep: impl FnMut(&[u8]) -> Result<String, E>) -> Result<Index, E> {
    let kept = files.iter().map(|(path, entry)| {
        let kept = match entry {
            Entry::File(bytes) => Kept::File(keep(bytes)?),
            Entry::Large(bytes) => Kept::Large(*bytes),
            Entry::Other => Kept::Other,
        };
        Ok((path.clone(), kept))
    });
    kept.collect()
}

/// The files as they were.
///
/// # Errors
/// Those of `fetch`, which is given the path and digest of every file.
pub fn files<E>(index: Index, fetch: impl Fn(&str, &str) -> Result<Vec<u8>, E>) -> Result<Files, E> {
    let files = index.into_iter().map(|(path, kept)| {
        let entry = match kept {
            Kept::File(digest) => Entry::File(fetch(&path, &digest)?),
            Kept::Large(bytes) => Entry::Large(bytes),
            Kept::Other => Entry::Other,
        };
        Ok((path, entry))
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use jiff::civil::date;

    use super::*;
    use crate::{check::check, plan::Work};

    /// What a run did not touch is not its doing, also a day on which somebody wrote a great deal.
    #[test]
    fn a_copy_is_what_was_copied() {
        let vault: Files = [
            (".messages/2026-06-01.jsonl", Entry::Large(17 << 20)),
            ("people/ada.md", Entry::File(b"Ada".to_vec())),
            ("people/link.md", Entry::Other),
        ]
        .into_iter()
        .map(|(path, entry)| (path.to_owned(), entry))
        .collect();
        let mut blobs = BTreeMap::new();
        let kept = index(&vault, |bytes| {
            blobs.insert("digest".to_owned(), bytes.to_vec());
            Ok::<_, Infallible>("digest".to_owned())
        });
        let text = serde_json::to_vec(&kept.unwrap()).unwrap();
        let kept: Index = serde_json::from_slice(&text).unwrap();
        let before = files(kept, |_, digest| blobs.get(digest).cloned().ok_or(())).unwrap();
        assert_eq!(before, vault);
        let work = Work::Day { date: date(2026, 6, 2), from: 0, lines: 1 };
        assert_eq!(check(&work, &before, &vault), Ok(()));
    }

    /// Of a run that was at work when the host was renewed.
    #[test]
    fn an_older_copy_is_read() {
        let kept: Index = serde_json::from_str(r#"{"people/ada.md":"digest","people/link.md":null}"#).unwrap();
        assert_eq!(kept["people/ada.md"], Kept::File("digest".into()));
        assert_eq!(kept["people/link.md"], Kept::Other);
    }
}
