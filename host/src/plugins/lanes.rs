//! Where guests run: on two sets of threads of their own, so that one that computes long delays neither
//! the host nor a guest that is done in microseconds.
//!
//! A call begins in the quick lane. One that turns out to have computed long, at a tick of the guests' clock or
//! between many small steps, moves, as it is, to the long lane, whose threads the kernel prefers less; there long
//! calls take turns, tick by tick. One that a tick only happened to meet stays. A plugin that lately computed long
//! begins there at once.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinError,
};
use tokio_util::task::AbortOnDropHandle;

use super::meter::Meter;

/// `nice` of the long lane: against a thread of the quick lane that never rests it gets a thirtieth of a core.
/// Enough for the kernel to prefer the quick one at once, which with 5 it did in 99 of 100 calls and else left it
/// waiting for its next tick; and not so much that long calls starve on a busy machine, as idle ones do.
const LONG_NICE: i32 = 15;

/// A call that computes longer is a long one.
const QUICK: Duration = Duration::from_millis(2);
/// Quick calls after a long one until a plugin is taken for a quick one again. With fewer, one that is long
/// every other time would hold a thread of the quick lane until a tick as often.
const QUICK_AGAIN: u32 = 32;

/// How long the calls of a plugin lately computed.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// Quick calls that are still to come until it begins in the quick lane.
    to_prove: AtomicU32,
}

impl Habit {
    pub(super) fn lane(&self) -> Lane {
        if self.to_prove.load(Relaxed) > 0 { Lane::Long } else { Lane::Quick }
    }

    /// Books a call that computed for so long. One that failed is taken for a long one: what a fault costs
    /// beyond the guest's own time is to be in nobody's way either.
    pub(super) fn book(&self, failed: bool, computed: Duration) {
        if failed || computed > QUICK {
            self.to_prove.store(QUICK_AGAIN, Relaxed);
        } else {
            let _ = self.to_prove.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Quick,
    Long,
}

/// Where calls are run. Cheap to share.
#[derive(Clone)]
pub(super) struct Lanes {
    quick: Handle,
    long: Handle,
}

/// The threads of both lanes; they end with it, wherever it is dropped: its guests are of no use any more.
pub(super) struct Threads {
    quick: Option<Runtime>,
    long: Option<Runtime>,
    lanes: Lanes,
}

/// How far a call came in the quick lane.
enum Stage<T> {
    Done(T),
    Long(BoxFuture<'static, T>),
}

impl Threads {
    /// `threads` for each lane: more than cores are of no use.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let quick = Builder::new_multi_thread().worker_threads(threads).thread_name("guest").enable_all().build()?;
        let long = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest-long")
            .enable_all()
            .on_thread_start(|| {
                // Without a process id it is this thread's. What the kernel refuses costs fairness, not safety.
                if let Err(error) = rustix::process::setpriority_process(None, LONG_NICE) {
                    tracing::debug!(%error, "the long lane keeps its priority");
                }
            })
            .build()?;
        let lanes = Lanes { quick: quick.handle().clone(), long: long.handle().clone() };
        Ok(Self { quick: Some(quick), long: Some(long), lanes })
    }

    pub(super) fn lanes(&self) -> Lanes {
        self.lanes.clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime may not be dropped from within another, unless it is left to end by itself.
        for runtime in [self.quick.take(), self.long.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

impl Lanes {
    /// Runs a call to its end; dropping the future ends the call at its next yield.
    ///
    /// # Errors
    /// Where the host's own code panicked in it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        meter: Arc<Meter>,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let call = meter.clone().measure(call).boxed();
        let call = match lane {
            Lane::Long => call,
            Lane::Quick => match AbortOnDropHandle::new(self.quick.spawn(until_long(meter, call))).await? {
                Stage::Done(answer) => return Ok(answer),
                Stage::Long(call) => call,
            },
        };
        AbortOnDropHandle::new(self.long.spawn(call)).await
    }
}

async fn until_long<T>(meter: Arc<Meter>, call: BoxFuture<'static, T>) -> Stage<T> {
    let mut call = Some(call);
    poll_fn(move |context| {
        let Some(mut running) = call.take() else { return Poll::Pending };
        match running.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Stage::Done(answer)),
            Poll::Pending if meter.spent() > QUICK => Poll::Ready(Stage::Long(running)),
            Poll::Pending => {
                call = Some(running);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{super::meter::thread_clock, *};

    fn thread() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    /// By the thread's own clock, as the meter reads it.
    fn compute(time: Duration) {
        let began = thread_clock();
        while u128::from(thread_clock() - began) < time.as_nanos() {
            std::hint::spin_loop();
        }
    }

    /// A call as the engine makes one of a guest: at a tick it yields, having computed for so long.
    async fn stages(meter: Arc<Meter>, ticks: usize, computing: Duration) -> Vec<String> {
        let mut on = vec![thread()];
        for _ in 0..ticks {
            compute(computing);
            meter.tick();
            tokio::task::yield_now().await;
            on.push(thread());
        }
        on
    }

    #[test]
    fn what_computes_long_changes_the_lane_once() {
        let outside = Runtime::new().unwrap();
        let threads = Threads::start(1).unwrap();
        let lanes = threads.lanes();
        let run = |lane, ticks, computing| {
            let meter = Meter::new(Duration::from_secs(60));
            outside.block_on(lanes.run(lane, meter.clone(), stages(meter, ticks, computing))).unwrap()
        };
        let long = QUICK + Duration::from_millis(1);
        assert_eq!(run(Lane::Quick, 0, long), ["guest"]);
        assert_eq!(run(Lane::Quick, 2, long), ["guest", "guest-long", "guest-long"]);
        assert_eq!(run(Lane::Long, 1, long), ["guest-long", "guest-long"]);
        // Of quick calls, too, one in a hundred is met by a tick.
        assert_eq!(run(Lane::Quick, 1, QUICK / 100), ["guest", "guest"]);
        drop(threads);
    }

    /// Without a tick: work of the host's functions on its behalf, in many small steps.
    #[test]
    fn what_computes_long_in_small_steps_changes_the_lane() {
        let outside = Runtime::new().unwrap();
        let threads = Threads::start(1).unwrap();
        let meter = Meter::new(Duration::from_secs(60));
        let steps = {
            let meter = meter.clone();
            async move {
                let mut on = vec![thread()];
                while meter.spent() <= QUICK {
                    std::hint::black_box((0..1_000_u64).sum::<u64>());
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
                on.push(thread());
                on
            }
        };
        let on = outside.block_on(threads.lanes().run(Lane::Quick, meter.clone(), steps)).unwrap();
        assert_eq!(on, ["guest", "guest-long"]);
        drop(threads);
    }

    #[test]
    fn a_plugin_proves_that_it_is_quick() {
        let habit = Habit::default();
        let (quick, long) = (Duration::from_micros(30), Duration::from_millis(3));
        assert_eq!(habit.lane(), Lane::Quick);
        for _ in 0..3 {
            habit.book(false, long);
            for _ in 1..QUICK_AGAIN {
                habit.book(false, quick);
                assert_eq!(habit.lane(), Lane::Long);
            }
        }
        habit.book(false, quick);
        assert_eq!(habit.lane(), Lane::Quick);
        habit.book(false, quick);
        assert_eq!(habit.lane(), Lane::Quick);
        habit.book(true, quick);
        assert_eq!(habit.lane(), Lane::Long, "a fault is never quick");
    }

    #[test]
    fn a_dropped_call_ends_and_a_panic_is_an_error() {
        let outside = Runtime::new().unwrap();
        let threads = Threads::start(1).unwrap();
        let lanes = threads.lanes();
        let meter = Meter::new(Duration::from_secs(60));
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        outside.block_on(async {
            let endless = async move {
                let _held = sender;
                std::future::pending::<()>().await
            };
            let call = lanes.run(Lane::Quick, meter.clone(), endless);
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
            assert!(receiver.await.is_err(), "what the call held was dropped");
            let broken = lanes.run(Lane::Long, meter, async { panic!("a bug of the host") }).await;
            assert!(broken.is_err_and(|error| error.is_panic()));
        });
        drop(threads);
    }
}
