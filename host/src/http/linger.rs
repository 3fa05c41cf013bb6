//! A connection that is closed so that its last answer arrives.
//!
//! A socket that is closed with bytes unread is reset, and with it the answer that says why its request was not read
//! to the end. So this side ends first, and what is still sent is read and dropped (RFC 9112, section 9.6).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a client may take to see that its connection ends: 10 s, enough to notice a refusal in the middle of an
/// upload.
const LINGER: Duration = Duration::from_secs(10);
/// Bytes that are dropped at once.
const PIECE: usize = 8 << 10;

/// Lingers in its shutdown, until `stop` at the longest.
pub(super) struct Lingering<T> {
    io: T,
    /// Since this side has ended.
    over: Option<Pin<Box<Sleep>>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T> Lingering<T> {
    pub(super) fn new(io: T, stop: CancellationToken) -> Self {
        Self { io, over: None, stop: Box::pin(stop.cancelled_owned()) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lingering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let over = match &mut this.over {
            Some(over) => over,
            over => {
                ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
                over.insert(Box::pin(sleep(LINGER)))
            }
        };
        if over.as_mut().poll(context).is_ready() || this.stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut piece = [0; PIECE];
            let mut dropped = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut this.io).poll_read(context, &mut dropped)) {
                Ok(()) if !dropped.filled().is_empty() => {}
                // The other side has ended, too, or is gone.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
