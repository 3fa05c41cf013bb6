//! Wake-ups that plugins have asked for: kept on disk, fired when they are due, repeated until they succeed.

use std::{sync::Arc, time::Duration};

use super::{Adapters, backoff::Backoff};
use crate::clock;

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

impl Adapters {
    /// Fires the timers of one plugin, one after the other, until the host stops.
    pub(super) async fn fire_timers(self: Arc<Self>, plugin: String) {
        let mut set = self.services.timers.subscribe();
        loop {
            set.borrow_and_update();
            let next = match self.store.next_timer(&plugin).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(plugin, %error, "timers cannot be read; trying again");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            let until_due = next
                .as_ref()
                .map(|timer| Duration::from_millis((timer.due_at - clock::millis()).max(0).unsigned_abs()));
            let due = async {
                match until_due {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = set.changed() => {
                    if changed.is_err() { return }
                    continue;
                }
                () = due => {}
            }
            let Some(timer) = next else { continue };
            let fired = tokio::select! {
                () = self.stop.cancelled() => return,
                fired = self.plugins.fire_timer(&plugin, &timer.name) => fired,
            };
            let stored = match fired {
                Ok(()) => self.store.fired(&timer).await,
                Err(error) => {
                    let wait = Backoff::after(timer.attempts + 1);
                    tracing::warn!(
                        plugin,
                        timer = timer.name,
                        "a timer failed and fires again in {} ms: {error}",
                        wait.as_millis()
                    );
                    self.store.put_off(&timer, clock::millis() + wait.as_millis() as i64).await
                }
            };
            if let Err(error) = stored {
                tracing::error!(plugin, %error, "what became of a timer cannot be written");
                tokio::time::sleep(REST).await;
            }
        }
    }
}
