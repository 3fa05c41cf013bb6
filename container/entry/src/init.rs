//! What the first process of a container owes the others: nothing of one attempt works beside the
//! next or after the answer, and what this process knows stays its own.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, getpid, kill_process_group, set_dumpable_behavior, wait,
};

use crate::signals::Signals;

/// How long killed processes may take to vanish: our own bound. Only one that waits for a dead
/// file system takes longer, and such a one does nothing meanwhile.
const VANISH: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Closes this process's memory, environment and descriptors to the agent, which has the same
/// user: no `/proc/1/mem`, no `/proc/1/environ`, no ptrace. Does not carry over to a program that
/// is started.
pub fn keep_private() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Ends every other process of the container, however it hid from its group, within a bound. Does
/// nothing unless this is the container's first process: then the others are not ours.
pub fn end_all_others(signals: &Signals) {
    if getpid() != Pid::INIT {
        return;
    }
    let until = Instant::now() + VANISH;
    while Instant::now() < until {
        // `kill(-1)`: all but ourselves. Each time again: under gVisor, a process that is forked
        // meanwhile escapes. Who escapes for the whole second cannot seal a result either.
        let _ = kill_process_group(Pid::INIT, Signal::KILL);
        // Every orphan becomes our child, so that none is left when there is nothing to wait for.
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => signals.rest(LOOK_AGAIN),
            Err(_) => return,
        }
    }
}
