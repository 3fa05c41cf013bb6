//! Work that Ctrl-C breaks off in order: it is told, and waited for until it has cleaned up.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs `work`, which looks at its token from time to time.
pub(super) async fn interruptible<T>(work: impl AsyncFnOnce(CancellationToken) -> T) -> Result<T> {
    // Both are received before the work begins: until then they would end the process in the middle of it.
    let receive = |kind| signal(kind).context("signals cannot be received");
    let (mut interrupt, mut terminate) = (receive(SignalKind::interrupt())?, receive(SignalKind::terminate())?);
    let cancel = CancellationToken::new();
    let work = work(cancel.clone());
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = interrupt.recv() => cancel.cancel(),
            _ = terminate.recv() => cancel.cancel(),
        }
    }
}

/// The same for work that blocks.
pub(super) async fn interruptible_blocking<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Result<T> {
    let done = interruptible(async |cancel| tokio::task::spawn_blocking(move || work(&cancel)).await).await?;
    done.context("the work ended by itself")
}
