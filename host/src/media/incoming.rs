//! A file that is being written: it counts against its plugin from the first byte, and leaves nothing
//! behind unless it is finished.

use std::{io, os::unix::fs::OpenOptionsExt};

use tokio::{fs::File, io::AsyncWriteExt};

use super::{Description, Entry, MediaError, MediaStore, blocking, new_handle};
use crate::{clock, domain::media::Kind};

pub struct Incoming {
    store: MediaStore,
    owner: String,
    quota: u64,
    most: u64,
    handle: String,
    file: File,
    size: u64,
    finished: bool,
}

impl Incoming {
    pub(super) async fn begin(store: MediaStore, owner: String, quota: u64, most: u64) -> Result<Self, MediaError> {
        let handle = new_handle();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = tokio::fs::OpenOptions::from(options).open(store.path(&handle)).await?;
        Ok(Self { store, owner, quota, most, handle, file, size: 0, finished: false })
    }

    /// Bytes that may come, of this file and of its plugin's quota: whichever is less.
    pub fn room(&self) -> u64 {
        let used = self.store.index().used.get(&self.owner).copied().unwrap_or(0);
        (self.most - self.size).min(self.quota.saturating_sub(used))
    }

    /// # Errors
    /// [`MediaError::TooLarge`] and [`MediaError::Quota`], before anything too much is written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        let more = bytes.len() as u64;
        if self.size + more > self.most {
            return Err(MediaError::TooLarge { most: self.most });
        }
        {
            let mut index = self.store.index();
            let used = index.used.entry(self.owner.clone()).or_default();
            if *used + more > self.quota {
                return Err(MediaError::Quota { quota: self.quota });
            }
            *used += more;
        }
        self.size += more;
        Ok(self.file.write_all(bytes).await?)
    }

    /// Gives the file its handle.
    ///
    /// # Errors
    /// Where the disk refuses; nothing is left then.
    pub async fn finish(
        mut self,
        kind: Kind,
        mime_type: String,
        file_name: Option<String>,
    ) -> Result<Description, MediaError> {
        let description =
            Description { handle: self.handle.clone(), kind, mime_type, file_name, size_bytes: self.size };
        let entry = Entry { owner: self.owner.clone(), made_at: clock::millis(), description: description.clone() };
        self.file.flush().await?;
        let (row, json) = (self.store.row(&self.handle), serde_json::to_vec(&entry).map_err(io::Error::other)?);
        blocking(move || Ok(std::fs::write(row, json)?)).await?;
        self.store.index().entries.insert(self.handle.clone(), entry);
        self.finished = true;
        Ok(description)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.finished {
            self.store.index().refund(&self.owner, self.size);
            // One call of the kernel; the row was never written, or is of no use without its file.
            for path in [self.store.path(&self.handle), self.store.row(&self.handle)] {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
