//! The signals that `entry` acts on, as the first process of its container: SIGTERM and SIGINT
//! mean stop, SIGCHLD that a process ended. They wake a poll through a socket; nothing is done
//! in a signal handler.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Signals {
    pub fn install() -> io::Result<Self> {
        let (wake, bell) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The flag first: whoever is woken must see it.
            flag::register(signal, Arc::clone(&stop))?;
            pipe::register(signal, bell.try_clone()?)?;
        }
        pipe::register(SIGCHLD, bell)?;
        Ok(Self { wake, stop })
    }

    /// Whether the run was told to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Readable after a signal, until [`Self::clear`].
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(length) if length > 0) {}
    }

    /// Waits for `time`, or until some signal arrives.
    pub fn rest(&self, time: Duration) {
        let timeout = timespec(time);
        let _ = poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], Some(&timeout));
        self.clear();
    }

    /// Waits for `time`, or until told to stop.
    pub fn pause(&self, time: Duration) {
        let started = std::time::Instant::now();
        while !self.stopped() {
            let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return;
            };
            self.rest(left);
        }
    }
}

/// A `poll` timeout. Longer than the type can say is as good as for ever.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i32::MAX.into(), tv_nsec: 0 })
}
