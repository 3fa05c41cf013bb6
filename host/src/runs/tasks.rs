//! Agent runs that plugins ask for.

use futures_util::future::BoxFuture;

use super::Runs;
use crate::{
    plugins::TaskQueue,
    store::{NewTask, StoreError, TaskStart},
};

impl TaskQueue for Runs {
    fn start(&self, task: NewTask) -> BoxFuture<'_, Result<TaskStart, StoreError>> {
        Box::pin(async move {
            let (plugin, id, space) = (task.plugin.clone(), task.id.clone(), task.space.to_string());
            let started = self.store.start_task(task).await?;
            tracing::info!(plugin, id, space, ?started, "a plugin asked for an agent run");
            if started == TaskStart::Started {
                self.wake();
            }
            Ok(started)
        })
    }
}
