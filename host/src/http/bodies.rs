//! Large bodies, which are held in memory while they are read: all of them together have a budget.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::ApiError;

/// Between two pieces of a body.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// For the whole of it: 50 MiB over a line of 1.4 Mbit/s.
const WHOLE_WITHIN: Duration = Duration::from_secs(300);
/// Bytes of one permit of the budget.
const UNIT: usize = 64 << 10;
/// Seconds after which a client may try again.
const RETRY_AFTER: u32 = 5;

/// The budget of all bodies that are in memory at once.
#[derive(Clone, Debug)]
pub struct Bodies {
    budget: Arc<Semaphore>,
    stalled_after: Duration,
    whole_within: Duration,
}

/// A body that was read, and its part of the budget as long as this lives.
#[derive(Debug)]
pub struct Held {
    pub bytes: Bytes,
    /// `None` for an empty body.
    pub budget: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// `bytes` in all.
    pub fn new(bytes: usize) -> Self {
        let budget = Arc::new(Semaphore::new(bytes / UNIT));
        Self { budget, stalled_after: STALLED_AFTER, whole_within: WHOLE_WITHIN }
    }

    /// Reads a body of at most `most` bytes. Its share of the budget grows with what has come, so a
    /// length that is only declared takes nothing from others.
    ///
    /// # Errors
    /// 413 where it is larger, 503 where the budget is used up, 408 where it stalls, 400 where it breaks off.
    pub async fn read(&self, mut body: Body, most: usize) -> Result<Held, ApiError> {
        let until = Instant::now() + self.whole_within;
        let mut read = BytesMut::new();
        let mut held: Option<OwnedSemaphorePermit> = None;
        loop {
            let patience = until.min(Instant::now() + self.stalled_after);
            let frame = tokio::time::timeout_at(patience, body.frame()).await.map_err(|_| ApiError::slow_body())?;
            let Some(frame) = frame else { return Ok(Held { bytes: read.freeze(), budget: held }) };
            let frame = frame.map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, "bad_body", format!("The body cannot be read: {error}"), "")
            })?;
            let Some(piece) = frame.data_ref() else { continue };
            if read.len() + piece.len() > most {
                return Err(ApiError::too_large(most));
            }
            read.extend_from_slice(piece);
            self.cover(&mut held, read.len())?;
        }
    }

    fn cover(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
        let missing = bytes.div_ceil(UNIT) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if missing == 0 {
            return Ok(());
        }
        let more = self.budget.clone().try_acquire_many_owned(missing as u32).map_err(|_| {
            let error = "Too many large requests are being received at this moment";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error, "Send it again in some seconds")
                .retry_after(RETRY_AFTER)
        })?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: usize) -> Body {
        Body::from(vec![b'x'; bytes])
    }

    /// Bodies share the budget, and give it back.
    #[tokio::test]
    async fn the_budget_is_shared() {
        let bodies = Bodies::new(4 * UNIT);
        let first = bodies.read(body(3 * UNIT), 8 * UNIT).await.unwrap();
        let refused = bodies.read(body(2 * UNIT), 8 * UNIT).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.body.code.as_deref()), (503, Some("busy")));
        assert!(bodies.read(body(UNIT), 8 * UNIT).await.is_ok(), "what fits is read");
        drop(first);
        assert_eq!(bodies.read(body(4 * UNIT), 8 * UNIT).await.unwrap().bytes.len(), 4 * UNIT);
        assert_eq!(bodies.budget.available_permits(), 4);
    }

    /// http-api.md #2, also where no length is declared.
    #[tokio::test]
    async fn a_body_has_an_end() {
        let bodies = Bodies::new(1 << 30);
        let piece = || Ok::<_, std::io::Error>(Bytes::from_static(&[0; 4096]));
        let pieces = futures_util::stream::iter(std::iter::repeat_with(piece));
        let refused = bodies.read(Body::from_stream(pieces), 1 << 20).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.body.error.contains("1 MiB")), (413, true));
        assert!(bodies.read(body(1 << 20), 1 << 20).await.is_ok());
    }

    /// Somebody who sends a beginning and then nothing, or a byte now and then, is not waited for without end.
    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        use futures_util::StreamExt;
        let (short, long) = (Duration::from_millis(50), Duration::from_secs(3600));
        let beginning = futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
        let stalled = Body::from_stream(beginning.chain(futures_util::stream::pending()));
        let bodies = Bodies { stalled_after: short, whole_within: long, ..Bodies::new(1 << 20) };
        assert_eq!(bodies.read(stalled, 1 << 20).await.unwrap_err().status.as_u16(), 408);
        let drip = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        let bodies = Bodies { stalled_after: long, whole_within: short, ..Bodies::new(1 << 20) };
        assert_eq!(bodies.read(Body::from_stream(drip), 1 << 20).await.unwrap_err().status.as_u16(), 408);
    }
}
