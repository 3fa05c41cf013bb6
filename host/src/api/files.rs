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

impl GivenFile {
    /// Of its content, about: three for four letters.
    pub(super) fn bytes(&self) -> u64 {
        if self.name.is_empty() { 0 } else { self.data.trim().len() as u64 / 4 * 3 }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("the data of file `{name}` is not valid base64: {reason}")]
    NotBase64 { name: String, reason: String },
    #[error("the file `{name}` cannot be written: {source}")]
    Write { name: String, source: io::Error },
}

/// Writes the files to the space's inbox: all of them, or none. Those without name or data are skipped.
pub(super) fn save(
    spaces: &Path,
    space: &SpaceId,
    user: AgentUser,
    now: i64,
    files: Vec<GivenFile>,
) -> Result<Vec<Attachment>, FileError> {
    let mut saved = Vec::new();
    for file in files.into_iter().filter(|file| !file.name.is_empty() && !file.data.is_empty()) {
        match save_one(spaces, space, user, now, file) {
            Ok(attachment) => saved.push(attachment),
            Err(error) => {
                forget(spaces, space, &saved);
                return Err(error);
            }
        }
    }
    Ok(saved)
}

fn save_one(
    spaces: &Path,
    space: &SpaceId,
    user: AgentUser,
    now: i64,
    file: GivenFile,
) -> Result<Attachment, FileError> {
    let bytes = STANDARD
        .decode(file.data.trim())
        .map_err(|error| FileError::NotBase64 { name: file.name.clone(), reason: error.to_string() })?;
    // Random, so that files of one name and one moment are kept apart, whoever sent them.
    let name = format!("{now}-{:08x}-{}", rand::random::<u32>(), safe_name(&file.name));
    let path = write(spaces, space, user, &name, &bytes)
        .map_err(|source| FileError::Write { name: file.name.clone(), source })?;
    let mime = mime_guess::from_path(&path).first_or_octet_stream();
    Ok(Attachment {
        path: format!("/spaces/{space}/inbox/{name}"),
        kind: match mime.type_().as_str() {
            kind @ ("image" | "audio" | "video") => kind.to_owned(),
            _ => "document".to_owned(),
        },
        mime_type: mime.to_string(),
        filename: Some(file.name),
        size_bytes: Some(bytes.len() as u64),
    })
}

/// Those with a name and data, as files of a message that were never kept.
pub(super) fn withheld(files: &[GivenFile]) -> Vec<Attachment> {
    let given = files.iter().filter(|file| !file.name.is_empty() && !file.data.is_empty());
    let attachment = |file: &GivenFile| Attachment {
        path: String::new(),
        kind: "document".to_owned(),
        mime_type: "application/octet-stream".to_owned(),
        filename: Some(file.name.clone()),
        size_bytes: None,
    };
    given.map(attachment).collect()
}

/// Removes what [`save`] wrote for a message that is not taken. What cannot be removed is logged.
pub(super) fn forget(spaces: &Path, space: &SpaceId, saved: &[Attachment]) {
    let names: Vec<_> = saved.iter().filter_map(|attachment| Some(attachment.path.rsplit_once('/')?.1)).collect();
    let removed: io::Result<()> = inbox_of(&spaces.join(space.as_str())).and_then(|inbox| {
        // Each of them, whatever becomes of the others.
        let outcomes: Vec<_> = names.iter().map(|name| inbox.remove_file(name)).collect();
        outcomes.into_iter().collect()
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%space, %error, "files of a message that was not taken stay behind");
        }
        _ => {}
    }
}

fn inbox_of(workspace: &Path) -> io::Result<cap_std::fs::Dir> {
    use cap_fs_ext::DirExt;
    cap_std::fs::Dir::open_ambient_dir(workspace, cap_std::ambient_authority())?.open_dir_nofollow("inbox")
}

/// The inbox belongs to the agent, who may have put a link in its place: the path is opened step
/// by step without following any.
fn write(spaces: &Path, space: &SpaceId, user: AgentUser, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let workspace = spaces.join(space.as_str());
    for folder in [workspace.clone(), workspace.join("inbox")] {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
        }
        own(&folder, user)?;
    }
    let inbox = inbox_of(&workspace)?;
    let mut options = cap_std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let file = inbox.open_with(name, &options)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
    let written = io::Write::write_all(&mut &file, bytes)
        .and_then(|()| rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(io::Error::from));
    if let Err(error) = written {
        // Half a file is of no use to anybody; where the disk is full it is in the way.
        let _ = inbox.remove_file(name);
        return Err(error);
    }
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

    fn saved(spaces: &Path, data: &[&str]) -> Result<Vec<Attachment>, FileError> {
        let user = AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let files = data.iter().map(|data| GivenFile { name: "x".into(), data: (*data).into() }).collect();
        save(spaces, &main(), user, 1, files)
    }

    fn main() -> SpaceId {
        SpaceId::try_from("main".to_owned()).unwrap()
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn all_files_of_a_message_or_none() {
        let spaces = tempfile::tempdir().unwrap();
        let inbox = spaces.path().join("main/inbox");
        assert!(saved(spaces.path(), &["eA==", "eA==", "%%%"]).is_err());
        assert_eq!(files(&inbox), 0);
        let kept = saved(spaces.path(), &["eA==", "eA=="]).unwrap();
        assert_eq!(files(&inbox), 2);
        forget(spaces.path(), &main(), &kept[..1]);
        assert_eq!(files(&inbox), 1);
        // Whatever lies in the inbox's place by then: nothing is removed behind a link.
        let elsewhere = spaces.path().join("elsewhere");
        std::fs::rename(&inbox, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &inbox).unwrap();
        forget(spaces.path(), &main(), &kept);
        assert_eq!(files(&elsewhere), 1);
    }

    #[test]
    fn an_inbox_that_is_a_link_is_refused() {
        let spaces = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::create_dir(spaces.path().join("main")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), spaces.path().join("main/inbox")).unwrap();
        assert!(saved(spaces.path(), &["eA=="]).is_err());
        assert_eq!(files(elsewhere.path()), 0);
    }
}
