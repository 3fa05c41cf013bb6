//! Tasks that people have scheduled: waited for, and made messages of.

use std::time::Duration;

use super::RETRY;
use crate::{
    clock,
    intake::Intake,
    store::{Admission, StoreError, Turns},
};

/// The longest sleep until the clock is looked at again: it may have been moved.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Until it is dropped. What was due while no host ran is due now.
pub async fn run_tasks(intake: Intake) {
    let changed = intake.runs.tasks_changed.clone();
    let mut queue = intake.delivery.changes();
    let mut before = i64::MAX;
    loop {
        // Registered before the look, so a change in between is not missed.
        let mut changes = std::pin::pin!(changed.notified());
        changes.as_mut().enable();
        queue.borrow_and_update();
        let now = clock::millis();
        let looked = look(&intake, now, now < before).await;
        before = now;
        let (held, wait) = match looked {
            Ok(turns) => (turns.held, turns.next.map_or(LONGEST_SLEEP, until)),
            Err(error) => {
                tracing::error!(%error, "scheduled tasks cannot be looked at; trying again");
                before = i64::MAX;
                (false, RETRY)
            }
        };
        tokio::select! {
            () = changes => {}
            // Whatever one waits for is told there: room in the queue, the end of a pause.
            _ = queue.changed(), if held => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn until(at: i64) -> Duration {
    Duration::from_millis(at.saturating_sub(clock::millis()).max(0).unsigned_abs()).min(LONGEST_SLEEP)
}

/// With `aim` where the clock may have been moved, or the times were worked out by another version.
async fn look(intake: &Intake, now: i64, aim: bool) -> Result<Turns, StoreError> {
    if aim {
        intake.store.aim_tasks(now).await?;
    }
    let room = Admission {
        most_queued: intake.config.most_queued,
        most_queued_in_space: intake.config.most_queued_in_space,
        ..Admission::default()
    };
    let mut turns = intake.store.turn_tasks(now, room).await?;
    for (task, why) in &turns.stopped {
        tracing::warn!(task, why, "a task is paused");
    }
    for task in &turns.skipped {
        tracing::info!(task, "a task is left out this time: its last run is not over");
    }
    metrics::counter!("mercury_tasks_due_total").increment(turns.begun.len() as u64);
    for inbound in turns.begun.drain(..) {
        intake.begin(inbound, clock::micros());
    }
    Ok(turns)
}
