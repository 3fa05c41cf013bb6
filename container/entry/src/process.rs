//! One running process with its three pipes: fed, listened to, and ended with what it started.
//!
//! One thread polls everything: signals, the prompt's way in, stdout and stderr. So nothing can
//! be missed between two waits, and what the process wrote before it ended is read to the last
//! byte. Also collects the processes that nobody else waits for.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait, waitpid};

use crate::clock;
use crate::events::{Outcome, Stream};
use crate::failure::AttemptError;
use crate::init;
use crate::signals::{Signals, timespec};

/// Bytes of stderr's end that are kept for an error text: our own bound.
const STDERR_TAIL: usize = 4 << 10;
/// After the process's end, how long its pipes may stay silent before we stop listening. Only a
/// process that it left behind can still hold them open; its own bytes are there at once.
const DRAIN: Duration = Duration::from_millis(50);

/// How long we listen after its end at most: a process left behind can write for ever.
const DRAIN_AT_MOST: Duration = Duration::from_secs(1);
/// Pieces read from one pipe before the others, and signals, get their turn.
const PIECES: usize = 64;

/// What the process said.
pub(crate) struct Heard {
    pub(crate) outcome: Outcome,
    /// The end of it.
    pub(crate) stderr: String,
    /// The first byte on stdout, in microseconds since the epoch; 0 if there was none.
    pub(crate) ready: u64,
}

pub(crate) struct Running {
    child: Child,
    pid: Pid,
    stream: Stream,
    stderr_tail: Vec<u8>,
    ready: u64,
}

impl Running {
    pub(crate) fn new(child: Child) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        for pipe in [
            child.stdin.as_ref().map(AsFd::as_fd),
            child.stdout.as_ref().map(AsFd::as_fd),
            child.stderr.as_ref().map(AsFd::as_fd),
        ] {
            let Some(pipe) = pipe else { continue };
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { child, pid, stream: Stream::default(), stderr_tail: Vec::new(), ready: 0 })
    }

    /// Feeds and listens until pi has ended and nothing more comes, or until it has reported a
    /// failure that the chain takes over: then there is no status.
    pub(crate) fn attend(
        &mut self,
        prompt: &str,
        deadline: Instant,
        signals: &Signals,
    ) -> Result<Option<WaitStatus>, AttemptError> {
        let mut unsent = prompt.as_bytes();
        loop {
            if signals.stopped() {
                return Err(AttemptError::Stopped);
            }
            if self.stream.retrying_from_scratch() {
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.stream.answering() && left.is_zero() {
                return Err(AttemptError::Deadline);
            }
            self.poll((!self.stream.answering()).then_some(left), signals);
            self.feed(&mut unsent);
            self.listen();
            signals.clear();
            if let Some(status) = self.collect() {
                self.drain(signals);
                return Ok(Some(status));
            }
        }
    }

    /// What the process wrote before its end may still be in the pipes.
    fn drain(&mut self, signals: &Signals) {
        self.child.stdin = None;
        let until = Instant::now() + DRAIN_AT_MOST;
        while (self.child.stdout.is_some() || self.child.stderr.is_some()) && Instant::now() < until {
            if self.poll(Some(DRAIN), signals) == 0 {
                return;
            }
            self.listen();
            signals.clear();
            self.collect();
        }
    }

    /// Collects every process that ended: as the first process of the container also those that
    /// nobody else waits for. Returns how ours ended, if it did.
    fn collect(&self) -> Option<WaitStatus> {
        let mut ours = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                ours = Some(status);
            }
        }
        ours
    }

    /// Waits until something is to do. Returns how many things are, 0 after `timeout`.
    fn poll(&self, timeout: Option<Duration>, signals: &Signals) -> usize {
        let signal_fd = signals.as_fd();
        let mut waited = vec![PollFd::from_borrowed_fd(signal_fd, PollFlags::IN)];
        waited.extend(self.child.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        waited.extend(self.child.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        waited.extend(self.child.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let timeout = timeout.map(timespec);
        // An interrupted poll was interrupted by a signal: something is to do.
        poll(&mut waited, timeout.as_ref()).unwrap_or(1)
    }

    /// Sends what fits into the pipe; closes it after the last byte, or when pi does not want
    /// more: then its own error says why.
    fn feed(&mut self, unsent: &mut &[u8]) {
        let Some(pipe) = self.child.stdin.as_mut() else {
            return;
        };
        while !unsent.is_empty() {
            match pipe.write(unsent) {
                Ok(sent) => *unsent = &unsent[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.child.stdin = None;
    }

    /// Reads what is there.
    fn listen(&mut self) {
        let (stream, tail, ready) = (&mut self.stream, &mut self.stderr_tail, &mut self.ready);
        read_some(&mut self.child.stdout, |bytes| {
            if *ready == 0 {
                *ready = clock::now_us();
            }
            stream.push(bytes);
        });
        read_some(&mut self.child.stderr, |bytes| {
            tail.extend_from_slice(bytes);
            tail.drain(..tail.len().saturating_sub(STDERR_TAIL));
        });
    }

    /// Ends the process if it still runs, what is left of its group, and what left its group:
    /// nothing of one attempt may work beside the next, or beside the publishing of the result.
    pub(crate) fn end(self, signals: &Signals) -> Heard {
        let _ = kill_process_group(self.pid, Signal::KILL);
        // Fails at once if it was collected already.
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
        init::end_all_others(signals);
        Heard {
            outcome: self.stream.finish(),
            stderr: String::from_utf8_lossy(&self.stderr_tail).trim().to_owned(),
            ready: self.ready,
        }
    }
}

/// Reads what is in the pipe, within bounds. At its end it is closed.
fn read_some<P: Read>(pipe: &mut Option<P>, mut take: impl FnMut(&[u8])) {
    let mut bytes = [0; 64 << 10];
    for _ in 0..PIECES {
        let Some(open) = pipe else { return };
        match open.read(&mut bytes) {
            Ok(0) => *pipe = None,
            Ok(length) => take(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => *pipe = None,
        }
    }
}
