//! Files that a component may read during one call, wherever they lie.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Component, Path},
    sync::Arc,
};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};

use super::{Description, new_handle};
use crate::domain::media::{Kind, mime_of_name};

/// An open file with a handle of its own. It is open, not copied: what a path leads to may change.
#[derive(Clone, Debug)]
pub struct Lent {
    description: Description,
    file: Arc<File>,
}

impl Lent {
    pub(super) fn opened(description: Description, file: File) -> Self {
        Self { description, file: Arc::new(file) }
    }

    /// A file of the host's own. Opens it: not for the async runtime.
    ///
    /// # Errors
    /// Where it cannot be opened or is no regular file.
    pub fn of_host(path: &Path, kind: Kind, mime_type: String, file_name: Option<String>) -> io::Result<Self> {
        Self::regular(File::open(path)?, kind, mime_type, file_name)
    }

    /// A file of a space, by its path below `workspace` (`inbox/1700-a.pdf`). The agent may write
    /// there, so no link is followed and no pipe waited for. Opens it: not for the async runtime.
    ///
    /// # Errors
    /// Where the path leads out, over a link, or to no regular file.
    pub fn of_space(workspace: &Path, path: &Path, kind: Kind, mime_type: Option<String>) -> io::Result<Self> {
        let leads_out = || io::Error::new(io::ErrorKind::InvalidInput, "is no path below the space's folder");
        let mut folder = Dir::open_ambient_dir(workspace, ambient_authority())?;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else { return Err(leads_out()) };
            if parts.peek().is_some() {
                folder = folder.open_dir_nofollow(name)?;
                continue;
            }
            let mut options = OpenOptions::new();
            options.read(true).follow(FollowSymlinks::No).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
            let file = folder.open_with(name, &options)?.into_std();
            let name = name.to_string_lossy().into_owned();
            let mime_type = mime_type.unwrap_or_else(|| mime_of_name(&name).to_owned());
            return Self::regular(file, kind, mime_type, Some(name));
        }
        Err(leads_out())
    }

    fn regular(file: File, kind: Kind, mime_type: String, file_name: Option<String>) -> io::Result<Self> {
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        let description = Description { handle: new_handle(), kind, mime_type, file_name, size_bytes: found.len() };
        Ok(Self { description, file: Arc::new(file) })
    }

    /// The same file under the name that the person shall see.
    #[must_use]
    pub fn named(mut self, file_name: Option<String>) -> Self {
        self.description.file_name = file_name;
        self
    }

    pub fn description(&self) -> &Description {
        &self.description
    }

    pub fn handle(&self) -> &str {
        &self.description.handle
    }

    /// At most `length` bytes from `offset` on: fewer at the end, none behind it.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = self.description.size_bytes.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(length)];
        let file = self.file.clone();
        let read = move || {
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(more) => filled += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}
