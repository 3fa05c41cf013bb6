//! The seal of a run: how the host tells a result of `entry` from one that the agent wrote.
//!
//! Derived from the run's id and a key of this data directory, so that a restarted host knows the
//! seals of the runs that it adopts, and nothing about them has to be kept.

use std::{
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hmac::{Hmac, KeyInit, Mac};
use mercury_protocol::io::{Seal, Sealed};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::ids::RunId;

/// In the data directory, readable by the host alone.
const FILE: &str = "seal.key";
/// Bytes of the key: as many as the hash gives.
const LENGTH: usize = 32;

#[derive(Debug)]
pub(super) struct SealKey(SecretSlice<u8>);

impl SealKey {
    /// That of the data directory; made where there is none.
    pub(super) fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(key) if key.len() == LENGTH => return Ok(Self(key.into())),
            // Cut short by a full disk or an accident: seals of running agents are lost with it.
            Ok(_) => std::fs::remove_file(&path)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let key: [u8; LENGTH] = rand::random();
        let fresh = data_dir.join(format!("{FILE}.{:08x}", rand::random::<u32>()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&key)?;
        file.sync_all()?;
        // Another process of this data directory, such as a doctor, may have been faster: its key stays.
        let linked = std::fs::hard_link(&fresh, &path);
        std::fs::remove_file(&fresh)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => std::fs::read(&path).map(|key| Self(key.into())),
        }
    }

    /// 64 hexadecimal digits.
    pub(super) fn seal(&self, run: &RunId) -> Seal {
        Seal(mac(self.0.expose_secret(), run.as_str().as_bytes()))
    }
}

/// Whether a result was sealed with the seal that was given, without telling by the time that it
/// takes how much of it is right. With no seal none is.
pub(super) fn is_genuine(given: &Seal, found: &Sealed) -> bool {
    let expected = mac(given.0.as_bytes(), found.sealed.as_bytes());
    !given.0.is_empty() && !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(found.mac.as_bytes()))
}

/// 64 hexadecimal digits.
fn mac(key: &[u8], message: &[u8]) -> String {
    // Infallible: this construction takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(message);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn seals_differ_by_run_and_data_directory_and_last() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |id: &str| RunId::from_stored(id.into());
        let key = SealKey::of(one.path()).unwrap();
        let seal = key.seal(&run("a"));
        assert_eq!(seal.0.len(), 64);
        assert_ne!(seal, key.seal(&run("b")));
        assert_ne!(seal, SealKey::of(other.path()).unwrap().seal(&run("a")));
        assert_eq!(seal, SealKey::of(one.path()).unwrap().seal(&run("a")), "a restarted host knows it");
        let mode = std::fs::metadata(one.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, std::fs::read_dir(one.path()).unwrap().count()), (0o600, 1));
        assert!(!format!("{key:?} {seal:?}").contains(&seal.0[..8]));
        std::fs::write(one.path().join(FILE), "short").unwrap();
        assert_ne!(seal, SealKey::of(one.path()).unwrap().seal(&run("a")));
    }

    /// `entry`'s `publish.rs` has the same example.
    #[test]
    fn only_the_whole_proof_of_the_very_text_is_genuine() {
        let right = "3c5ca76f98f52d8523d368b2214e793ba48095394163de6b0815bb11e9ec4458";
        let genuine = |seal: &str, text: &str, mac: &str| {
            is_genuine(&Seal(seal.into()), &Sealed { sealed: text.into(), mac: mac.into() })
        };
        let text = r#"{"ok":true}"#;
        assert!(genuine("s3al", text, right));
        for wrong in ["", "s3al", &right[..63], &format!("{right}0"), &right.to_uppercase(), &right.replace('3', "4")] {
            assert!(!genuine("s3al", text, wrong), "{wrong}");
        }
        assert!(!genuine("s3al", r#"{"ok":true }"#, right));
        assert!(!genuine("other", text, right));
        assert!(!genuine("", text, "") && !genuine("", text, &mac(b"", text.as_bytes())));
    }

    /// The bytes that a test seals a result as.
    pub(in crate::sandbox) fn sealed(seal: &str, text: &str) -> Vec<u8> {
        let sealed = Sealed { sealed: text.into(), mac: mac(seal.as_bytes(), text.as_bytes()) };
        serde_json::to_vec(&sealed).unwrap()
    }
}
