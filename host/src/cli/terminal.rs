//! Writing for people. The one place of the host that writes to the terminal.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use crate::domain::{causes::with_causes, deception::deceives};

/// A line on standard output. A closed pipe (`mercury status | head`) is no error.
pub(super) fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
}

/// A line on standard error: progress and remarks, out of the way of what a script reads.
pub(super) fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// Words before what somebody types, on standard error.
pub(super) fn prompt(text: &str) {
    let mut to = std::io::stderr();
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

pub(super) fn error(error: &anyhow::Error) {
    let red = colours(std::io::stderr().is_terminal());
    // Part of it may be the words of a component, of its compiler or of a registry.
    note(format!("{}error:{} {}", red.0, red.1, printable(&with_causes(error.as_ref()))));
}

/// What somebody else wrote, without what would steer the terminal or look like something else.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|&c| !deceives(c) || c == '\n' || c == '\t').collect()
}

/// A line that the next one of its kind replaces, for whoever watches; none where nobody does.
pub(super) fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        prompt(&format!("\r\x1b[K{text}"));
    }
}

/// `12 B`, `1.2 KiB`, `3.4 GiB`.
pub(super) fn bytes(count: u64) -> String {
    let mut rest = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if rest < 1024.0 {
            break;
        }
        (rest, unit) = (rest / 1024.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{rest:.1} {unit}") }
}

/// Bold on a terminal, plain elsewhere.
pub(super) fn heading(text: &str) -> String {
    let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

fn colours(terminal: bool) -> (&'static str, &'static str) {
    if terminal && std::env::var_os("NO_COLOR").is_none() { ("\x1b[31m", "\x1b[0m") } else { ("", "") }
}

/// `12 ms`, `1,234 ms`, `0.4 ms`.
pub(super) fn milliseconds(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 10_000 {
        return format!("{}.{} ms", micros / 1000, micros % 1000 / 100);
    }
    let text = (micros / 1000).to_string();
    let grouped: Vec<&str> =
        text.as_bytes().rchunks(3).rev().filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
    format!("{} ms", grouped.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_printed() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\u{9b}\n\td\r"), "a[2Jbc\n\td");
    }

    #[test]
    fn sizes_are_readable() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn durations_are_readable() {
        for (micros, text) in [
            (420, "0.4 ms"),
            (9_990, "9.9 ms"),
            (12_345, "12 ms"),
            (1_234_567, "1,234 ms"),
            (1_234_567_000, "1,234,567 ms"),
        ] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), text);
        }
    }
}
