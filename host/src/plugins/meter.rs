//! What one call uses: computing time by the thread's own clock, host calls, memory, refusals.
//!
//! Only computing counts against a deadline. A guest that waits for the host, or for a core that
//! something else has, is not billed for it; how long anybody waits for its answer is another limit.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

tokio::task_local! {
    /// The meter of the call that the present task is working for.
    static CALL: Arc<Meter>;
}

#[derive(Debug)]
pub(super) struct Meter {
    budget: Duration,
    /// Nanoseconds of the polls that are over.
    spent: AtomicU64,
    /// The thread's clock when the present poll began, in nanoseconds.
    poll_began: AtomicU64,
    host_calls: AtomicU32,
    denials: AtomicU32,
    /// The most memory at once, in bytes.
    memory: AtomicUsize,
    memory_refused: AtomicBool,
}

impl Meter {
    pub(super) fn new(budget: Duration) -> Arc<Self> {
        Arc::new(Self {
            budget,
            spent: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
            host_calls: AtomicU32::new(0),
            denials: AtomicU32::new(0),
            memory: AtomicUsize::new(0),
            memory_refused: AtomicBool::new(false),
        })
    }

    /// For a further call in an instance that stays: all allowances are there again.
    pub(super) fn reset(&self) {
        self.spent.store(0, Relaxed);
        self.host_calls.store(0, Relaxed);
        self.denials.store(0, Relaxed);
        self.memory_refused.store(false, Relaxed);
    }

    /// Runs a call under this meter. Everything that polls a guest has to go through here: the epoch's
    /// callback reads the clock that is started here.
    pub(super) async fn measure<F: Future>(self: Arc<Self>, call: F) -> F::Output {
        let mut call = pin!(CALL.scope(self.clone(), call));
        poll_fn(|context| {
            let _poll = Poll::begin(&self);
            call.as_mut().poll(context)
        })
        .await
    }

    /// At a tick of the clock, within a poll: whether the budget is used up.
    pub(super) fn tick(&self) -> bool {
        let present = thread_clock().saturating_sub(self.poll_began.load(Relaxed));
        self.spent() + Duration::from_nanos(present) >= self.budget
    }

    /// Computing time of all polls that are over.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Relaxed))
    }

    /// Counts a host call and says how many there were.
    pub(super) fn count_host_call(&self) -> u32 {
        self.host_calls.fetch_add(1, Relaxed).saturating_add(1)
    }

    pub(super) fn host_calls(&self) -> u32 {
        self.host_calls.load(Relaxed)
    }

    pub(super) fn denials(&self) -> u32 {
        self.denials.load(Relaxed)
    }

    pub(super) fn saw_memory(&self, bytes: usize) {
        self.memory.fetch_max(bytes, Relaxed);
    }

    pub(super) fn memory(&self) -> usize {
        self.memory.load(Relaxed)
    }

    pub(super) fn refuse_memory(&self) {
        self.memory_refused.store(true, Relaxed);
    }

    pub(super) fn memory_refused(&self) -> bool {
        self.memory_refused.load(Relaxed)
    }
}

/// Counts that a capability refused what was not granted, for the call that asked.
pub(super) fn count_denial() {
    let _ = CALL.try_with(|meter| meter.denials.fetch_add(1, Relaxed));
}

/// One poll, which ends with its value: also when the poll panics.
struct Poll<'a>(&'a Meter);

impl<'a> Poll<'a> {
    fn begin(meter: &'a Meter) -> Self {
        meter.poll_began.store(thread_clock(), Relaxed);
        Self(meter)
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let took = thread_clock().saturating_sub(self.0.poll_began.load(Relaxed));
        self.0.spent.fetch_add(took, Relaxed);
    }
}

/// CPU time of this thread, in nanoseconds.
pub(super) fn thread_clock() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(at_least: Duration) {
        let began = thread_clock();
        while thread_clock() - began < at_least.as_nanos() as u64 {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_computing_does() {
        let meter = Meter::new(Duration::from_secs(1));
        let call = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            compute(Duration::from_millis(3));
            tokio::task::yield_now().await;
            compute(Duration::from_millis(3));
            count_denial();
        };
        meter.clone().measure(call).await;
        assert!(meter.spent() >= Duration::from_millis(6) && meter.spent() < Duration::from_millis(40));
        assert_eq!(meter.denials(), 1);
        count_denial();
        assert_eq!(meter.denials(), 1, "outside of a call nobody is charged");
    }

    #[tokio::test]
    async fn the_budget_ends_within_a_poll_and_over_several() {
        let meter = Meter::new(Duration::from_millis(4));
        let ticks = meter.clone().measure(async {
            compute(Duration::from_millis(2));
            let first = meter.tick();
            tokio::task::yield_now().await;
            compute(Duration::from_millis(3));
            (first, meter.tick())
        });
        // A test machine may be slow, but never computes faster than it does.
        assert!(ticks.await.1, "2 ms and 3 ms are more than 4 ms");
    }
}
