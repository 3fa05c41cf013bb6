//! Any bytes as the `result.json` of a run, which an agent may write itself: only what is sealed with the
//! run's seal is a result, and whatever is in it ends the run in one way.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use mercury::{
    domain::{
        ids::{RunId, SpaceId},
        outcome::{Ending, Found, decide},
    },
    sandbox::Directories,
};
use mercury_protocol::{
    io::{Seal, Sealed},
    paths,
};
use sha2::Sha256;

const SEAL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// # Panics
/// Where bytes pass that nobody sealed, or a sealed result is taken for a forged one.
pub fn check(bytes: &[u8]) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let found = read(data.path(), bytes);
    assert!(!matches!(found, Found::Result(_)), "it is not sealed");
    let _ = decide(Ending::Result, found, false, 64, "");

    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(SEAL.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    let mac: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let sealed = Sealed { sealed: text, mac };
    let found = read(data.path(), &serde_json::to_vec(&sealed).expect("plain text"));
    assert!(matches!(found, Found::Result(_) | Found::Unusable(_)), "{found:?}");
    if let Found::Result(result) = &found {
        let (ok, said) = (result.ok, result.reply.clone());
        let decided = decide(Ending::Result, found, false, 64, "");
        assert_eq!(decided.is_ok(), ok);
        assert!(decided.is_err() || decided.is_ok_and(|result| result.reply == said));
    }

    // The same seal under another text.
    let forged = Sealed { sealed: format!("{} ", sealed.sealed), ..sealed };
    let found = read(data.path(), &serde_json::to_vec(&forged).expect("plain text"));
    assert_eq!(found, Found::Forged);
}

fn read(data: &Path, bytes: &[u8]) -> Found {
    let space = SpaceId::try_from("main".to_owned()).expect("a plain name");
    let directories = Directories::new(data, &space, &RunId::from_stored("r".into()), "c", Seal(SEAL.into()));
    std::fs::create_dir_all(&directories.io).expect("a temporary folder");
    std::fs::write(directories.io.join(paths::RESULT), bytes).expect("a temporary file");
    directories.read_result()
}
