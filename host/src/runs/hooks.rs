//! What plugins add to a run before its container starts.

use std::path::Path;

use mercury_protocol::{io::Attachment, paths};

use super::Runs;
use crate::{
    domain::{additions::Additions, failure::Failure, ids::SpaceId, media::Kind, run::Run},
    media::Lent,
    plugins::{Prepared, run as contract, types::Caller},
};

/// Whom a plugin sees as the one who caused the run.
pub(super) fn caller(run: &Run) -> Caller {
    Caller {
        person: run.caller.clone(),
        role: run.role.clone(),
        space: run.space.to_string(),
        conversation: run.answers_to(),
    }
}

impl Runs {
    /// Tells plugins of a space that is new, shows them the run, and keeps what they put behind the prompt.
    pub(super) async fn hook(&self, run: &mut Run) -> Result<Additions, Failure> {
        self.announce_spaces().await;
        let shown = contract::Run {
            id: run.id.to_string(),
            caller: caller(run),
            prompt: run.prompt.clone(),
            attachments: Vec::new(),
            scheduled: run.is_scheduled(),
        };
        let files = self.lent_files(&run.space, &run.attachments).await;
        let additions = match self.plugins.before_run(shown, files).await {
            Prepared::Proceed(additions) => additions,
            Prepared::Block { plugin, reason } => return Err(Failure::Blocked { plugin, said: reason }),
            Prepared::Failed { plugin } => return Err(Failure::HookFailed { plugin }),
        };
        let appended = additions.prompt();
        // An attempt before this one may have left other words.
        if appended != run.appended {
            let kept = self.store.append_to_prompt(&run.id, appended.clone()).await;
            kept.map_err(|error| Failure::Storage { detail: error.to_string() })?;
            run.appended = appended;
        }
        Ok(additions)
    }

    /// A person's files, as handles for plugins. One that is not where it was put is left out.
    pub async fn lent_files(&self, space: &SpaceId, files: &[Attachment]) -> Vec<Lent> {
        if files.is_empty() {
            return Vec::new();
        }
        let workspace = self.config.spaces_dir().join(space.as_str());
        let (inside, attachments) = (format!("{}/{space}/", paths::SPACES), files.to_vec());
        let open = move || {
            let lent = attachments.into_iter().filter_map(|attachment| {
                let voice = attachment.kind == Kind::Voice.name();
                let kind = if voice { Kind::Voice } else { Kind::of_mime(&attachment.mime_type) };
                let below = Path::new(attachment.path.strip_prefix(&inside)?);
                match Lent::of_space(&workspace, below, kind, Some(attachment.mime_type)) {
                    Ok(lent) => Some(lent.named(attachment.filename)),
                    Err(error) => {
                        tracing::warn!(path = attachment.path, %error, "an attachment is not shown to plugins");
                        None
                    }
                }
            });
            lent.collect()
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_default()
    }

    /// What plugins keep in a space's folder has its place from the first message on.
    async fn make_workspaces(&self, spaces: Vec<String>) {
        let sandbox = self.sandbox.clone();
        let make = move || {
            for space in spaces {
                if let Err(error) = sandbox.make_workspace(&space) {
                    tracing::error!(space, %error, "the space's folder cannot be made; plugins find none there");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(make).await {
            tracing::error!(%error, "folders of new spaces are not made");
        }
    }

    /// Tells plugins of spaces that they were not told of yet.
    pub async fn announce_spaces(&self) {
        match self.store.take_unannounced().await {
            Ok(spaces) if spaces.is_empty() => {}
            Ok(spaces) => {
                self.make_workspaces(spaces.clone()).await;
                self.plugins.spaces_created(&spaces).await;
            }
            Err(error) => tracing::error!(%error, "new spaces cannot be looked for; plugins hear of them later"),
        }
    }
}
