//! The agent image: found, pulled, or stood in for.

use std::sync::{Arc, atomic::Ordering};

use super::{DaemonError, Sandbox};
use crate::config::DEFAULT_IMAGE;

/// What a locally built image is called; it stands in for one that cannot be pulled.
const LOCAL_IMAGE: &str = "mercury-agent:latest";

impl Sandbox {
    /// In the background, after the base image turned out to be gone: the next message may have one.
    pub(super) fn look_for_image(self: &Arc<Self>) {
        if self.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let sandbox = self.clone();
        tokio::spawn(async move {
            if let Err(error) = sandbox.ensure_image(|line| tracing::info!("{line}")).await {
                tracing::error!(%error, "the agent image could not be looked for");
            }
            sandbox.looking.store(false, Ordering::SeqCst);
        });
    }

    /// Makes sure that there is an image to run. `progress` gets lines for people.
    ///
    /// A name with a slash is pulled where it is missing. A local `mercury-agent:latest` stands in for
    /// one that cannot be had, and before any pull for the name that nobody chose; the operator is told.
    pub async fn ensure_image(&self, mut progress: impl FnMut(String)) -> Result<bool, DaemonError> {
        let wanted = self.config.agent_image.clone();
        if self.daemon.has_image(&wanted).await? {
            self.image.send_replace(wanted);
            return Ok(true);
        }
        let unchosen = wanted == DEFAULT_IMAGE;
        if unchosen && self.stand_in(&wanted).await? {
            return Ok(true);
        }
        if wanted.contains('/') {
            progress(format!("pulling {wanted}"));
            match self.daemon.pull(&wanted, &mut progress).await {
                Ok(()) => return Ok(true),
                Err(error) => progress(format!("pulling {wanted} failed: {error}")),
            }
        }
        if unchosen { Ok(false) } else { self.stand_in(&wanted).await }
    }

    async fn stand_in(&self, wanted: &str) -> Result<bool, DaemonError> {
        if wanted == LOCAL_IMAGE || !self.daemon.has_image(LOCAL_IMAGE).await? {
            return Ok(false);
        }
        tracing::warn!("the image {wanted} is not here; {LOCAL_IMAGE}, which is, stands in for it");
        self.image.send_replace(LOCAL_IMAGE.to_owned());
        Ok(true)
    }
}
