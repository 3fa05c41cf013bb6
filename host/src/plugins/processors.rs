//! The processors between a run's result and its delivery.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use mercury_bindings::exports::mercury::plugin::result_processor::{Delivery, Outcome, RunResult};

use super::{Interface, Plugin, Plugins, missing};
use crate::{
    domain::guest_text::{MOST_ERROR, for_log},
    media::{Description, Lent, MediaError},
};

/// Waiting included (extensions.md 3.2). A processor's failure only costs its own change.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a reply that a processor makes longer: 256 KiB (extensions.md 3.2). A chat would get it in parts.
const MOST_REPLY: usize = 256 << 10;
/// Files of a reply that a processor adds to.
const MOST_FILES: usize = 100;

/// What all processors together made of a result.
#[derive(Debug)]
pub enum Processed {
    Deliver {
        reply: String,
        attachments: Vec<Attachment>,
        /// The run failed, and a processor that may has put an answer in the failure's place.
        overrides: bool,
    },
    /// Nothing is sent; the text is for the log.
    Suppress(String),
    /// A required processor failed.
    Withhold { plugin: String },
}

/// A file that goes out with a reply.
#[derive(Debug)]
pub struct Attachment {
    file: Lent,
    /// Where it was moved to, unless it is the run's own.
    moved: Option<PathBuf>,
}

impl Attachment {
    pub fn description(&self) -> &Description {
        self.file.description()
    }

    /// Where a file lies that a processor made. The run's own are not moved: they lie where they are kept.
    pub fn moved(&self) -> Option<&Path> {
        self.moved.as_deref()
    }
}

/// What becomes of files that processors add.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'a> {
    /// Where they are moved to, on the disk of the data directory.
    pub folder: &'a Path,
    /// Whether the reply's reader may be sent any.
    pub is_allowed: bool,
}

impl Plugins {
    /// Hands the result through every processor in order, each on what the one before returned, with
    /// `files` as its attachments. A processor may leave files out and add those that it made itself
    /// in its call; it can name no other. Of a run that failed every processor learns, but only one with
    /// `override-errors` changes what is said about it.
    ///
    /// Where a processor's files cannot be sent, what it made of the reply is left out with them: its words may say
    /// that the rest is in a file. The next one goes on with the reply as it was, so that nothing passes by a later
    /// processor; the words of a required one count in any case.
    pub async fn process(&self, mut result: RunResult, files: Vec<Lent>, keeping: Keeping<'_>) -> Processed {
        let mut files: Vec<_> = files.into_iter().map(|file| Attachment { file, moved: None }).collect();
        let failed = result.failure.is_some();
        let mut overrides = false;
        for plugin in &self.in_order(Interface::ResultProcessor) {
            result.attachments = files.iter().map(|attachment| attachment.description().into()).collect();
            let (input, lent) = (result.clone(), files.iter().map(|a| a.file.clone()).collect::<Vec<_>>());
            let outcome = self
                .call(plugin, Interface::ResultProcessor, PATIENCE, move |store, instance, exports| {
                    Box::pin(async move {
                        store.data_mut().lend(lent);
                        let processor = exports.result_processor.as_ref().ok_or_else(missing)?;
                        let outcome = processor.process(&mut *store, instance, &input).await?;
                        Ok((outcome, std::mem::take(&mut store.data_mut().made)))
                    })
                })
                .await;
            let may_change = !failed || plugin.manifest.override_errors;
            let problem = match outcome {
                Ok((Ok(_), _)) if !may_change => continue,
                Ok((Ok(Outcome::Deliver(delivery)), _)) if is_too_large(&delivery, &result) => {
                    format!("its reply has more than {MOST_REPLY} bytes, or it has more than {MOST_FILES} files")
                }
                Ok((Ok(Outcome::Deliver(delivery)), made)) => {
                    let required = plugin.manifest.required;
                    let adds = delivery.attachments.iter().any(|media| made.contains(&media.handle));
                    if adds && !keeping.is_allowed && !required {
                        tracing::info!(
                            plugin = plugin.name(),
                            "no files may be sent: its change of the reply is left out"
                        );
                        continue;
                    }
                    let (added, problem) = added(plugin, &delivery, &made, keeping.folder).await;
                    if let Some(problem) = problem {
                        tracing::error!(plugin = plugin.name(), required, %problem, "a processor's file is left out");
                        if !required {
                            continue;
                        }
                    }
                    files.retain(|known| delivery.attachments.iter().any(|kept| kept.handle == known.file.handle()));
                    files.extend(added);
                    overrides |= failed && delivery.reply != result.reply;
                    result.reply = delivery.reply;
                    continue;
                }
                Ok((Ok(Outcome::Suppress(why)), _)) => {
                    return Processed::Suppress(format!("{}: {}", plugin.name(), for_log(&why, MOST_ERROR)));
                }
                Ok((Err(said), _)) => for_log(&said, MOST_ERROR).into_owned(),
                Err(error) => error.to_string(),
            };
            tracing::error!(plugin = plugin.name(), required = plugin.manifest.required, %problem, "a processor failed");
            if plugin.manifest.required {
                return Processed::Withhold { plugin: plugin.name().to_owned() };
            }
        }
        Processed::Deliver { reply: result.reply, attachments: files, overrides }
    }
}

/// What came in may go out, however long it is.
fn is_too_large(delivery: &Delivery, result: &RunResult) -> bool {
    delivery.reply.len() > MOST_REPLY.max(result.reply.len())
        || delivery.attachments.len() > MOST_FILES.max(result.attachments.len())
}

/// The files of a delivery that its processor made, moved to where they are kept; in the place of those that cannot be
/// had, why.
async fn added(
    plugin: &Plugin,
    delivery: &Delivery,
    made: &BTreeSet<String>,
    folder: &Path,
) -> (Vec<Attachment>, Option<String>) {
    let (mut added, mut problem, mut seen) = (Vec::new(), None, BTreeSet::new());
    for media in &delivery.attachments {
        if !made.contains(&media.handle) || !seen.insert(&media.handle) {
            continue;
        }
        match moved(plugin, &media.handle, folder).await {
            Ok(attachment) => added.push(attachment),
            Err(error) => problem = Some(format!("a file that it made cannot be kept: {error}")),
        }
    }
    (added, problem)
}

/// What the host knows of the file counts, not what the processor says of it.
async fn moved(plugin: &Plugin, handle: &str, folder: &Path) -> Result<Attachment, MediaError> {
    let store = plugin.services.media.as_ref().ok_or(MediaError::NotFound)?;
    let file = store.lend(plugin.name(), handle).await?;
    tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    let path = folder.join(handle);
    store.take(plugin.name(), handle, &path).await?;
    Ok(Attachment { file, moved: Some(path) })
}

#[cfg(test)]
mod tests {
    use mercury_bindings::mercury::plugin::types::{Caller, Media, MediaKind};

    use super::*;

    fn result(reply: usize, files: usize) -> RunResult {
        let caller = Caller { person: "p".into(), role: "member".into(), space: "main".into(), conversation: None };
        RunResult {
            run: "r".into(),
            caller,
            platform: "api".into(),
            prompt: "p".into(),
            scheduled: false,
            reply: "x".repeat(reply),
            failure: None,
            attachments: vec![file(); files],
            usage: None,
            duration_ms: 1,
        }
    }

    fn file() -> Media {
        Media {
            handle: "h".into(),
            kind: MediaKind::Image,
            mime_type: "image/png".into(),
            file_name: None,
            size_bytes: 1,
        }
    }

    /// A chat would be flooded with the parts of a long reply, and with files.
    #[test]
    fn a_processor_makes_no_flood() {
        let delivery =
            |reply: usize, files: usize| Delivery { reply: "x".repeat(reply), attachments: vec![file(); files] };
        for (reply, files, given, too_large) in [
            (MOST_REPLY, MOST_FILES, result(1, 0), false),
            (MOST_REPLY + 1, 0, result(1, 0), true),
            (1, MOST_FILES + 1, result(1, 0), true),
            (MOST_REPLY + 1, MOST_FILES + 1, result(MOST_REPLY + 1, MOST_FILES + 1), false),
        ] {
            assert_eq!(is_too_large(&delivery(reply, files), &given), too_large, "{reply}, {files}");
        }
    }
}
