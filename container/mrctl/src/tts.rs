//! `mrctl tts synthesize`, as the replaced system had it: a call of the plugin `voice-synth`, whose file
//! is put where `--out` says.

use std::fs;
use std::path::{Component, Path, PathBuf};

use mercury_protocol::{paths, socket};
use serde_json::{Map, Value};

use crate::client::{Request, Response};
use crate::error::Error;
use crate::line::Line;
use crate::show::Shown;

const NAME: &str = "tts synthesize";

pub(crate) fn request(line: &Line) -> Result<Request, Error> {
    let usage = || Error::usage(NAME);
    let text = line.option("text").ok_or_else(usage)?;
    // Before anything is spoken, and paid for.
    target(line.option("out").ok_or_else(usage)?, &workspace())?;
    let mut arguments = Map::from_iter([("text".to_owned(), Value::from(text))]);
    for name in ["language", "provider"] {
        arguments.extend(line.option(name).map(|value| (name.to_owned(), Value::from(value))));
    }
    let path = format!("{}/voice-synth/synthesize", socket::CAPABILITIES);
    Ok(Request::post(&path, Value::Object(arguments).to_string().into_bytes()))
}

pub(crate) fn show(line: &Line, response: &Response) -> Result<Shown, Error> {
    let answer: socket::CapabilityAnswer = serde_json::from_slice(&response.body).map_err(Error::NotJson)?;
    keep(line, &answer, &workspace())
}

/// This run's, by the variable that `entry` sets.
fn workspace() -> PathBuf {
    Path::new(paths::SPACES).join(std::env::var_os("SPACE_ID").unwrap_or_default())
}

/// Where the file goes: inside the workspace, by name and not by way of `..`.
fn target(out: &str, workspace: &Path) -> Result<PathBuf, Error> {
    let path = workspace.join(out);
    let outside = || Error::OutsideWorkspace(out.to_owned());
    let below = path.strip_prefix(workspace).map_err(|_| outside())?;
    let plain = below.file_name().is_some() && below.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !out.ends_with('/') { Ok(path) } else { Err(outside()) }
}

/// Moves the file from the outbox, where the host has put it, and says what there is on standard error,
/// or with `--json` as the plugin said it.
fn keep(line: &Line, answer: &socket::CapabilityAnswer, workspace: &Path) -> Result<Shown, Error> {
    let made = workspace.join(answer.files.first().ok_or(Error::NoFile)?);
    let path = target(line.option("out").unwrap_or_default(), workspace)?;
    let failed = |source| Error::NotWritten { path: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::rename(&made, &path).map_err(failed)?;
    let (kind, size) = (&answer.output["mimeType"], &answer.output["sizeBytes"]);
    let report = format!("wrote {} ({}, {size} bytes)\n", path.display(), kind.as_str().unwrap_or("audio"));
    match line.switches.contains(&"json") {
        true => Ok(Shown { out: format!("{}\n", answer.output), err: report }),
        false => Ok(Shown { out: String::new(), err: report }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(out: &str) -> Line {
        Line { options: vec![("text", "hi".into()), ("out", out.into())], ..Line::default() }
    }

    /// cli.md #38
    #[test]
    fn nothing_is_written_outside_the_workspace() {
        let workspace = Path::new("/spaces/main");
        for (out, expected) in [
            ("outbox/a.mp3", "/spaces/main/outbox/a.mp3"),
            ("a.mp3", "/spaces/main/a.mp3"),
            ("/spaces/main/deep/er/a.mp3", "/spaces/main/deep/er/a.mp3"),
            ("./a.mp3", "/spaces/main/./a.mp3"),
        ] {
            assert_eq!(target(out, workspace).unwrap(), Path::new(expected));
        }
        for out in ["/etc/x", "../other/x", "outbox/../../x", "/spaces/mainly/x", "/spaces/main", "", "outbox/", ".."] {
            assert!(matches!(target(out, workspace), Err(Error::OutsideWorkspace(_))), "{out}");
        }
        assert!(matches!(request(&line("/etc/x")), Err(Error::OutsideWorkspace(_))), "nothing is asked for");
        assert!(matches!(request(&Line::default()), Err(Error::Usage { .. })));
    }

    /// cli.md #38: a relative path lands in the space's workspace, and its folders are made.
    #[test]
    fn the_file_goes_where_it_was_wanted() {
        let workspace = tempfile::tempdir().unwrap();
        fs::create_dir(workspace.path().join("outbox")).unwrap();
        fs::write(workspace.path().join("outbox/mercury-tts-en.mp3"), "sound").unwrap();
        let answer = socket::CapabilityAnswer {
            output: json!({ "mimeType": "audio/mpeg", "sizeBytes": 5 }),
            files: vec!["outbox/mercury-tts-en.mp3".into()],
        };
        let shown = keep(&line("notes/deep/hi.mp3"), &answer, workspace.path()).unwrap();
        let path = workspace.path().join("notes/deep/hi.mp3");
        assert_eq!(shown.err, format!("wrote {} (audio/mpeg, 5 bytes)\n", path.display()));
        assert_eq!((shown.out.as_str(), fs::read_to_string(path).unwrap().as_str()), ("", "sound"));
        assert!(!workspace.path().join("outbox/mercury-tts-en.mp3").exists(), "it is not sent as well");
        let none = socket::CapabilityAnswer { files: Vec::new(), ..answer };
        assert!(matches!(keep(&line("x.mp3"), &none, workspace.path()), Err(Error::NoFile)));
    }

    #[test]
    fn the_plugin_is_asked() {
        let mut line = line("outbox/a.mp3");
        line.options.push(("language", "he-IL".into()));
        let request = request(&line).unwrap();
        assert_eq!(request.path, "/api/capability/voice-synth/synthesize");
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        assert_eq!(body, json!({ "text": "hi", "language": "he-IL" }));
    }
}
