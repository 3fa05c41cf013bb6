//! Publishing the run's one result. The rename is what the host waits for: a file under the
//! final name is complete.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mercury_protocol::io::{RunResult, Usage};
use mercury_protocol::paths;
use serde::Serialize;

/// Not synced to disk: the host that reads it shares our kernel's page cache, and a machine that
/// dies takes the run with it.
///
/// The agent may have put anything under both names: a link, a pipe, a folder. What is there is
/// removed, and the file is made anew, so that the seal in it goes nowhere else.
pub fn to_directory(io_dir: &Path, result: &RunResult) -> io::Result<()> {
    let file = io_dir.join(paths::RESULT);
    let partial = io_dir.join(format!("{}.tmp", paths::RESULT));
    remove(&partial)?;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    new.write_all(&serde_json::to_vec(result)?)?;
    if file.is_dir() {
        remove(&file)?;
    }
    fs::rename(&partial, &file)
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
            to_directory(&io_dir, &result).unwrap();
            assert!(fs::symlink_metadata(&file).unwrap().is_file() && !elsewhere.exists() && !partial.exists());
            fs::remove_dir_all(&io_dir).unwrap();
        }
    }
}
