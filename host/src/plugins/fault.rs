//! Why a call of a guest failed: the limit that ended it, in the manifest's own words, and what the
//! guest said last.

use std::fmt;

use serde::Serialize;
use wasmtime::{Trap, WasmBacktrace};

use super::{manifest::Limits, meter::Meter};
use crate::domain::guest_text::{MOST_ERROR, bounded, for_log};

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// `limits.deadline-ms`
    Deadline,
    /// `limits.memory-mib`
    Memory,
    /// The engine's stack of 512 KiB.
    Stack,
    /// `limits.host-calls`
    HostCalls,
    /// `limits.result-kib`
    HandedOver,
    /// The log's quota of one call.
    Log,
    /// It trapped: a panic, an exception, memory out of bounds, values that break the canonical ABI.
    Trap,
    /// The host's own code failed.
    Host,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::HostCalls => "host-calls",
            Self::HandedOver => "handed-over",
            Self::Log => "log",
            Self::Trap => "trap",
            Self::Host => "host",
        }
    }
}

/// A limit that the host's own functions watch. Traps the guest.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("too many host calls")]
    HostCalls,
    #[error("log quota used up")]
    Log,
}

/// What ended the call, and what its author should read.
pub(super) fn explain(trap: &wasmtime::Error, meter: &Meter, limits: &Limits, stderr: &[u8]) -> (Fault, String) {
    let fault = classify(trap, meter);
    let mut text = match fault {
        Fault::Deadline => {
            format!("it computed longer than {} ms (limits.deadline-ms in plugin.toml)", limits.deadline_ms)
        }
        Fault::Memory => {
            format!("it wanted more memory than {} MiB (limits.memory-mib in plugin.toml)", limits.memory_mib)
        }
        Fault::HostCalls => {
            format!("it called the host more than {} times (limits.host-calls in plugin.toml)", limits.host_calls)
        }
        Fault::HandedOver => format!(
            "it handed over more than {} KiB in one host call or answer (limits.result-kib in plugin.toml)",
            limits.result_kib
        ),
        Fault::Log => format!("it logged more than {} KiB in one call", super::state::MOST_LOG_BYTES >> 10),
        Fault::Stack | Fault::Trap | Fault::Host => for_log(&trap.root_cause().to_string(), MOST_ERROR).into_owned(),
    };
    let said = String::from_utf8_lossy(stderr);
    if !said.trim().is_empty() {
        text = format!("{text}; it said: {}", for_log(tail(said.trim(), MOST_ERROR / 2), MOST_ERROR));
    }
    for line in source_lines(trap) {
        text = format!("{text}\n  {line}");
    }
    (fault, bounded(text, MOST_ERROR))
}

/// Where in its source the guest was, innermost first. Only engines for authors know it, and only of
/// components with debug information.
fn source_lines(trap: &wasmtime::Error) -> Vec<String> {
    /// Frames that are shown.
    const SHOWN: usize = 8;
    let frames = trap.downcast_ref::<WasmBacktrace>().map_or(&[][..], |backtrace| backtrace.frames());
    let symbols = frames.iter().flat_map(|frame| frame.symbols());
    let lines = symbols.filter_map(|symbol| {
        let file = symbol.file().filter(|file| !file.starts_with("/rustc/"))?;
        Some(format!("at {file}:{} ({})", symbol.line()?, symbol.name().unwrap_or("?")))
    });
    lines.take(SHOWN).collect()
}

fn classify(trap: &wasmtime::Error, meter: &Meter) -> Fault {
    if let Some(exceeded) = trap.downcast_ref::<Exceeded>() {
        return match exceeded {
            Exceeded::HostCalls => Fault::HostCalls,
            Exceeded::Log => Fault::Log,
        };
    }
    match trap.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Deadline,
        Some(Trap::StackOverflow) => Fault::Stack,
        // Allocators abort when they get no memory, and the engine says no more than "unreachable".
        Some(Trap::UnreachableCodeReached) if meter.memory_refused() => Fault::Memory,
        // The engine's own type for it is private; a test holds this text.
        None if trap.root_cause().to_string().contains("fuel allocated for hostcalls") => Fault::HandedOver,
        _ => Fault::Trap,
    }
}

fn tail(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    &text[text.ceil_char_boundary(from)..]
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_is_bounded_and_ends_with_what_the_guest_said_last() {
        let meter = Meter::new(Duration::ZERO);
        let said = format!("{}…the last words", "é".repeat(9_000));
        let trap = wasmtime::Error::from(Trap::UnreachableCodeReached);
        let (fault, text) = explain(&trap, &meter, &Limits::default(), said.as_bytes());
        assert_eq!(fault, Fault::Trap);
        assert!(text.len() <= MOST_ERROR + 3 && text.ends_with("…the last words"), "{text}");
    }

    #[test]
    fn a_limit_is_named_by_its_line_of_the_manifest() {
        let meter = Meter::new(Duration::ZERO);
        let say = |trap: wasmtime::Error| explain(&trap, &meter, &Limits::default(), b"").1;
        insta::assert_snapshot!(say(Trap::Interrupt.into()), @"it computed longer than 200 ms (limits.deadline-ms in plugin.toml)");
        insta::assert_snapshot!(say(Exceeded::HostCalls.into()), @"it called the host more than 100000 times (limits.host-calls in plugin.toml)");
        insta::assert_snapshot!(say(Exceeded::Log.into()), @"it logged more than 1024 KiB in one call");
        meter.refuse_memory();
        insta::assert_snapshot!(say(Trap::UnreachableCodeReached.into()), @"it wanted more memory than 64 MiB (limits.memory-mib in plugin.toml)");
    }
}
