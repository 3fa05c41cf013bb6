//! Whose files pass: those of a message before anything sees them, those that a run made before they are sent.
//! The host's own runs and admins are never held up.

use std::{io, path::Path};

use cap_fs_ext::DirExt;
use cap_std::{ambient_authority, fs::Dir};
use mercury_protocol::{io::Attachment, paths};

use super::Runs;
use crate::{
    domain::{failure::Failure, notices::Notice, roles::Held, run::Run},
    sandbox::{Directories, remove_tree},
    store::{NewOutbound, StoreError},
};

impl Runs {
    /// What the run's caller may do in its space.
    pub(super) async fn held(&self, run: &Run) -> Result<Held, StoreError> {
        self.plugins.held(&run.space, &run.role).await
    }

    /// Takes away the files of a message whose person may not send any, and those that were never kept. The
    /// agent is told how many there were.
    pub(super) async fn admit_files(
        &self,
        run: &mut Run,
        directories: &Directories,
        held: &Held,
    ) -> Result<(), Failure> {
        let passes = run.is_of_plugin() || held.may_receive();
        let (kept, refused): (Vec<_>, Vec<_>) =
            run.attachments.iter().cloned().partition(|file| passes && !file.path.is_empty());
        if refused.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(refused.len()).unwrap_or(u32::MAX);
        tracing::warn!(run = Self::log_name(&run.id), space = %run.space, role = run.role, count, "files are withheld from the agent");
        let (workspace, inbox) = (directories.workspace.clone(), format!("{}/{}/inbox/", paths::SPACES, run.space));
        // Before the rows: they name what is to be deleted.
        let _ = tokio::task::spawn_blocking(move || delete(&workspace, &inbox, &refused)).await;
        let stored = self.store.keep_files(&run.id, kept.clone(), count).await;
        stored.map_err(|error| Failure::Storage { detail: error.to_string() })?;
        run.attachments = kept;
        run.withheld += count;
        Ok(())
    }

    /// Whether files go out with the run's reply.
    pub(super) async fn may_send(&self, run: &Run) -> bool {
        if run.is_of_plugin() {
            return true;
        }
        match self.held(run).await {
            Ok(held) => held.may_send(),
            Err(error) => {
                tracing::error!(run = Self::log_name(&run.id), %error, "whether files may be sent cannot be found out; they are not");
                false
            }
        }
    }

    /// Keeps back the files of a reply whose person may not be sent any, and says so in its text. They stay in
    /// the space's outbox.
    pub(super) async fn withhold_files(&self, run: &Run, reply: &mut NewOutbound) {
        if reply.files.is_empty() {
            return;
        }
        let settings = self.store.space_settings(&run.space).await;
        let files = std::mem::take(&mut reply.files).len();
        tracing::warn!(run = Self::log_name(&run.id), space = %run.space, role = run.role, files, "files are not sent");
        let configured = self.config.voice.locale;
        let notice = Notice::Withheld { files }.say(settings.map_or(configured, |set| set.locale(configured)));
        reply.reply = match reply.reply.trim_end() {
            "" => notice,
            text => format!("{text}\n\n{notice}"),
        };
        let copies = self.delivery_folder(run);
        let _ = tokio::task::spawn_blocking(move || remove_tree(&copies)).await;
    }
}

/// Deletes files of the space's inbox. Whatever else their paths say is left alone.
fn delete(workspace: &Path, inbox: &str, files: &[Attachment]) {
    let opened = Dir::open_ambient_dir(workspace, ambient_authority()).and_then(|dir| dir.open_dir_nofollow("inbox"));
    for file in files.iter().filter(|file| !file.path.is_empty()) {
        let plain =
            file.path.strip_prefix(inbox).filter(|name| !name.is_empty() && !name.contains('/') && *name != "..");
        let deleted = match (plain, &opened) {
            (Some(name), Ok(folder)) => folder.remove_file(name),
            (None, _) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file of the inbox")),
            (_, Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match deleted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = file.path, %error, "a file that is withheld stays where it is");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Attachment {
        let (kind, mime_type) = ("document".into(), "text/plain".into());
        Attachment { path: path.into(), kind, mime_type, filename: None, size_bytes: None }
    }

    /// permissions.md #20: what lies in the inbox goes, and nothing else does, whatever a path or a link says.
    #[test]
    fn only_the_inbox_is_emptied() {
        let data = tempfile::tempdir().unwrap();
        let workspace = data.path().join("main");
        std::fs::create_dir_all(workspace.join("inbox/folder")).unwrap();
        std::fs::create_dir(workspace.join("notes")).unwrap();
        for path in ["inbox/1-a.txt", "inbox/kept.txt", "inbox/folder/x", "notes/n", "top"] {
            std::fs::write(workspace.join(path), "x").unwrap();
        }
        std::os::unix::fs::symlink(workspace.join("notes/n"), workspace.join("inbox/link")).unwrap();
        let files = [
            "/spaces/main/inbox/1-a.txt",
            "/spaces/main/inbox/../notes/n",
            "/spaces/main/inbox/..",
            "/spaces/main/inbox/folder/x",
            "/spaces/main/inbox/link",
            "/spaces/main/notes/n",
            "/spaces/other/inbox/kept.txt",
            "",
        ];
        delete(&workspace, "/spaces/main/inbox/", &files.map(file));
        let there = |path: &str| std::fs::symlink_metadata(workspace.join(path)).is_ok();
        assert!(!there("inbox/1-a.txt") && !there("inbox/link"));
        assert!(["inbox/kept.txt", "inbox/folder/x", "notes/n", "top"].into_iter().all(there));
        // The whole inbox may have been replaced.
        std::fs::rename(workspace.join("inbox"), workspace.join("old")).unwrap();
        std::os::unix::fs::symlink("notes", workspace.join("inbox")).unwrap();
        delete(&workspace, "/spaces/main/inbox/", &[file("/spaces/main/inbox/n")]);
        assert!(there("notes/n"));
    }
}
