//! Publishing the run's one result. The rename is what the host waits for: a file under the
//! final name is complete.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use mercury_protocol::io::{RunResult, Seal, Sealed, Usage};
use mercury_protocol::paths;
use serde::Serialize;
use sha2::Sha256;

/// Not synced to disk: the host that reads it shares our kernel's page cache, and a machine that
/// dies takes the run with it.
///
/// The agent may have put anything under both names: a link, a pipe, a folder. What is there is
/// removed, and the file is made anew. It may read and change the file, too: the seal is not in it, and
/// what was changed is no longer sealed.
pub fn to_directory(io_dir: &Path, result: &RunResult, seal: &Seal) -> io::Result<()> {
    let sealed = serde_json::to_string(result)?;
    let mac = mac(seal, &sealed).map_err(io::Error::other)?;
    let content = serde_json::to_vec(&Sealed { sealed, mac })?;
    let file = io_dir.join(paths::RESULT);
    let partial = io_dir.join(format!("{}.tmp", paths::RESULT));
    remove(&partial)?;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    new.write_all(&content)?;
    if file.is_dir() {
        remove(&file)?;
    }
    fs::rename(&partial, &file)
}

/// See [`Sealed::mac`]. Keys of any length are taken: there is no error in practice.
fn mac(seal: &Seal, text: &str) -> Result<String, InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(seal.0.as_bytes())?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Serialize)]
struct Marked<'a> {
    reply: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Usage>,
}

/// For a run by hand, without an IO directory: between two lines that carry `nonce`. A failure is
/// only told on stderr (agent-entry.md section 9).
pub fn between_markers(mut out: impl Write, nonce: &str, result: &RunResult) -> io::Result<()> {
    let Some(reply) = result.reply.as_deref().filter(|_| result.ok) else { return Ok(()) };
    let text = serde_json::to_string(&Marked { reply, usage: result.usage.as_ref() })?;
    let name = "MERCURY_CONTAINER_RESULT";
    writeln!(out, "---{name}_{nonce}_START---\n{text}\n---{name}_{nonce}_END---")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Whatever the agent prepared, the result is a file of its own, and its text is nowhere else.
    #[test]
    fn prepared_traps_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        let io_dir = dir.path().join("io");
        let (partial, file) = (io_dir.join("result.json.tmp"), io_dir.join("result.json"));
        let traps: [&dyn Fn(); 4] = [
            &|| symlink(&elsewhere, &partial).unwrap(),
            &|| symlink(&elsewhere, &file).unwrap(),
            &|| fs::create_dir_all(partial.join("x")).unwrap(),
            &|| fs::create_dir_all(file.join("x")).unwrap(),
        ];
        for trap in traps {
            fs::create_dir(&io_dir).unwrap();
            trap();
            let result = RunResult { ok: true, reply: Some("r".into()), ..RunResult::default() };
            to_directory(&io_dir, &result, &Seal::default()).unwrap();
            assert!(fs::symlink_metadata(&file).unwrap().is_file() && !elsewhere.exists() && !partial.exists());
            fs::remove_dir_all(&io_dir).unwrap();
        }
    }

    /// The host's `seal.rs` has the same example.
    #[test]
    fn the_mac_is_that_of_the_host() {
        let expected = "3c5ca76f98f52d8523d368b2214e793ba48095394163de6b0815bb11e9ec4458";
        assert_eq!(mac(&Seal("s3al".into()), r#"{"ok":true}"#).unwrap(), expected);
    }

    /// Whoever reads the file learns nothing to seal another result with.
    #[test]
    fn the_seal_is_not_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let seal = Seal("5ea1".repeat(16));
        to_directory(dir.path(), &RunResult { ok: true, ..RunResult::default() }, &seal).unwrap();
        let text = fs::read_to_string(dir.path().join("result.json")).unwrap();
        assert!(!text.contains(&seal.0), "{text}");
        let found: Sealed = serde_json::from_str(&text).unwrap();
        assert_eq!(found.mac, mac(&seal, &found.sealed).unwrap());
    }
}
