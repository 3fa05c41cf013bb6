//! Files of `/chat`, which travel as base64 inside JSON in both directions.
//!
//! What arrives is in memory anyway, as part of the body. What leaves is streamed from disk, a
//! piece at a time, whatever its size.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mercury_protocol::io::Attachment;
use serde::Deserialize;
use tokio::{io::AsyncReadExt, sync::mpsc};

use crate::{
    domain::{ids::SpaceId, media::safe_name},
    sandbox::{AgentUser, own},
    store::OutboundFile,
};

/// Files that one message may bring.
pub(super) const MOST_FILES: usize = 20;
/// Bytes that are encoded at a time; a multiple of three, so that pieces join without padding.
const PIECE: usize = 3 * 16 * 1024;

#[derive(Deserialize)]
pub(super) struct GivenFile {
    #[serde(default)]
    name: String,
    #[serde(default)]
    data: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("the data of file `{name}` is not valid base64: {reason}")]
    NotBase64 { name: String, reason: String },
    #[error("the file `{name}` cannot be written: {source}")]
    Write { name: String, source: io::Error },
}

/// Writes the files to the space's inbox. Those without name or data are skipped.
pub(super) fn save(
    spaces: &Path,
    space: &SpaceId,
    user: AgentUser,
    now: i64,
    files: Vec<GivenFile>,
) -> Result<Vec<Attachment>, FileError> {
    let mut saved = Vec::new();
    for file in files.into_iter().filter(|file| !file.name.is_empty() && !file.data.is_empty()) {
        let bytes = STANDARD
            .decode(file.data.trim())
            .map_err(|error| FileError::NotBase64 { name: file.name.clone(), reason: error.to_string() })?;
        // Random, so that files of one name and one moment are kept apart, whoever sent them.
        let name = format!("{now}-{:08x}-{}", rand::random::<u32>(), safe_name(&file.name));
        let path = write(spaces, space, user, &name, &bytes)
            .map_err(|source| FileError::Write { name: file.name.clone(), source })?;
        let mime = mime_guess::from_path(&path).first_or_octet_stream();
        saved.push(Attachment {
            path: format!("/spaces/{space}/inbox/{name}"),
            kind: match mime.type_().as_str() {
                kind @ ("image" | "audio" | "video") => kind.to_owned(),
                _ => "document".to_owned(),
            },
            mime_type: mime.to_string(),
            filename: Some(file.name),
            size_bytes: Some(bytes.len() as u64),
        });
    }
    Ok(saved)
}

/// Removes what [`save`] wrote for a message that turned out to be known already.
pub(super) fn forget(spaces: &Path, space: &SpaceId, saved: &[Attachment]) {
    for name in saved.iter().filter_map(|attachment| attachment.path.rsplit('/').next()) {
        let _ = std::fs::remove_file(spaces.join(space.as_str()).join("inbox").join(name));
    }
}

/// The inbox belongs to the agent, who may have put a link in its place: the path is opened step
/// by step without following any.
fn write(spaces: &Path, space: &SpaceId, user: AgentUser, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    use cap_fs_ext::DirExt;
    let workspace = spaces.join(space.as_str());
    for folder in [workspace.clone(), workspace.join("inbox")] {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
        }
        own(&folder, user)?;
    }
    let inbox =
        cap_std::fs::Dir::open_ambient_dir(&workspace, cap_std::ambient_authority())?.open_dir_nofollow("inbox")?;
    let mut options = cap_std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let file = inbox.open_with(name, &options)?;
    io::Write::write_all(&mut &file, bytes)?;
    rustix::fs::fchown(&file, Some(rustix::fs::Uid::from_raw(user.uid)), Some(rustix::fs::Gid::from_raw(user.gid)))?;
    Ok(workspace.join("inbox").join(name))
}

/// Sends `"files":[…]` piece by piece. A file that cannot be read is left out.
pub(super) async fn stream(data_dir: PathBuf, files: Vec<OutboundFile>, to: &mpsc::Sender<io::Result<Bytes>>) {
    let mut first = true;
    for file in files {
        let mut source = match tokio::fs::File::open(data_dir.join(&file.path)).await {
            Ok(source) => source,
            Err(error) => {
                tracing::warn!(file = file.filename, %error, "a file of the reply cannot be read and is left out");
                continue;
            }
        };
        let head =
            serde_json::json!({ "filename": file.filename, "mimeType": file.mime_type, "sizeBytes": file.size_bytes })
                .to_string();
        let opening =
            format!("{}{},\"data\":\"", if first { "" } else { "," }, head.strip_suffix('}').unwrap_or(&head));
        first = false;
        if to.send(Ok(opening.into())).await.is_err() || !send_encoded(&mut source, to).await {
            return;
        }
        if to.send(Ok(Bytes::from_static(b"\"}"))).await.is_err() {
            return;
        }
    }
}

/// `false` where the client is gone, or the file failed in the middle: then the answer breaks off.
async fn send_encoded(source: &mut tokio::fs::File, to: &mpsc::Sender<io::Result<Bytes>>) -> bool {
    let mut piece = vec![0; PIECE];
    loop {
        let mut filled = 0;
        while filled < PIECE {
            match source.read(&mut piece[filled..]).await {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => {
                    let _ = to.send(Err(error)).await;
                    return false;
                }
            }
        }
        if filled > 0 && to.send(Ok(STANDARD.encode(&piece[..filled]).into())).await.is_err() {
            return false;
        }
        if filled < PIECE {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_inbox() {
        for (given, expected) in [
            ("a b.txt", "a_b.txt"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            ("ä.png", "_.png"),
            ("C:\\x.doc", "x.doc"),
        ] {
            assert_eq!(safe_name(given), expected);
        }
    }

    #[test]
    fn an_inbox_that_is_a_link_is_refused() {
        let spaces = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::create_dir(spaces.path().join("main")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), spaces.path().join("main/inbox")).unwrap();
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let space = SpaceId::try_from("main".to_owned()).unwrap();
        let file = GivenFile { name: "x".into(), data: "eA==".into() };
        assert!(save(spaces.path(), &space, user, 1, vec![file]).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
