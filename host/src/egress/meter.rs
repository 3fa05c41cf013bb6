//! Counts what passes, ends what uses its share up or falls silent.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Bytes of one run, over all of its connections.
#[derive(Debug)]
pub(super) struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
    most: u64,
}

impl Meter {
    pub(super) fn new(most: u64) -> Self {
        Self { sent: AtomicU64::new(0), received: AtomicU64::new(0), most }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// What was carried may exceed the limit by one buffer for each open connection.
    pub(super) fn is_used_up(&self) -> bool {
        self.sent() + self.received() >= self.most
    }
}

/// When something last passed on a connection.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Milliseconds after `began`.
    last: Arc<AtomicU64>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }

    fn note(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Returns when nothing has passed for `silence`.
    pub(super) async fn ceased(&self, silence: Duration) {
        loop {
            let until = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + silence;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A connection to a server, under a run's meter.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
    activity: Activity,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, meter: Arc<Meter>, activity: Activity) -> Self {
        Self { inner, meter, activity }
    }

    fn check(&self) -> io::Result<()> {
        if self.meter.is_used_up() { Err(io::Error::other("the run's share of traffic is used up")) } else { Ok(()) }
    }

    fn count(&self, counter: &AtomicU64, bytes: usize, direction: &'static str) {
        self.activity.note();
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
        metrics::counter!("mercury_egress_bytes_total", "direction" => direction).increment(bytes as u64);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.count(&self.meter.received, buffer.filled().len() - before, "received");
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = written {
            self.count(&self.meter.sent, written, "sent");
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
