//! Pauses that end by themselves, also those that ended while no host ran.

use std::time::Duration;

use super::{Intake, RETRY};
use crate::{clock, domain::notices::Notice};

/// The longest sleep until the clock is looked at again: it may have been moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Intake {
    /// Ends pauses when their time is up, and tells the conversations in which they were asked for.
    pub async fn end_pauses(self) {
        loop {
            // One that is made meanwhile lasts a minute at least, and is seen in time.
            match self.end_due().await {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => {
                    tracing::error!(%error, "pauses cannot be read; looking again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn end_due(&self) -> Result<Duration, crate::store::StoreError> {
        let now = clock::millis();
        let Some(next) = self.store.next_resume().await? else { return Ok(LONGEST_SLEEP) };
        if next > now {
            return Ok(Duration::from_millis((next - now).unsigned_abs()).min(LONGEST_SLEEP));
        }
        let configured = self.config.voice.locale;
        for ended in self.store.end_pauses(now, move |set| Notice::Resumed.say(set.locale(configured))).await? {
            tracing::info!(space = ended.space, "the pause is over");
        }
        self.delivery.stir();
        Ok(Duration::ZERO)
    }
}
