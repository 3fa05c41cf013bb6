//! What is known about programs by name: tables, and how options are skipped.
//!
//! A program that is in no table counts as one that may run its arguments.

use super::field::Field;
use crate::paths::HOLE;

/// A program that runs another, given after its own options.
#[derive(Debug)]
pub(crate) struct Wrapper {
    pub(crate) name: &'static str,
    /// Short options that take a value.
    short: &'static str,
    /// Long options whose value is the next argument.
    long: &'static [&'static str],
    /// Operands before the command.
    operands: usize,
    /// `NAME=value` may stand before the command.
    assignments: bool,
}

const fn wrapper(name: &'static str, short: &'static str, long: &'static [&'static str], operands: usize) -> Wrapper {
    Wrapper { name, short, long, operands, assignments: false }
}

const fn assigning(name: &'static str, short: &'static str, long: &'static [&'static str]) -> Wrapper {
    Wrapper { name, short, long, operands: 0, assignments: true }
}

/// From the manual pages of coreutils, util-linux, findutils, sudo, procps and bash.
const WRAPPERS: &[Wrapper] = &[
    assigning("env", "uC", &["unset", "chdir"]),
    assigning(
        "sudo",
        "CDghpRrtTUu",
        &[
            "user",
            "group",
            "host",
            "prompt",
            "chdir",
            "chroot",
            "role",
            "type",
            "close-from",
            "other-user",
            "command-timeout",
        ],
    ),
    assigning("doas", "Cu", &[]),
    wrapper("command", "", &[], 0),
    wrapper("builtin", "", &[], 0),
    wrapper("exec", "a", &[], 0),
    wrapper("nohup", "", &[], 0),
    wrapper("time", "fo", &["format", "output"], 0),
    wrapper("nice", "n", &["adjustment"], 0),
    wrapper("ionice", "cnpPu", &["class", "classdata", "pid"], 0),
    wrapper("timeout", "ks", &["kill-after", "signal"], 1),
    wrapper("stdbuf", "ioe", &["input", "output", "error"], 0),
    wrapper("setsid", "", &[], 0),
    wrapper("chroot", "", &[], 1),
    wrapper("busybox", "", &[], 0),
    wrapper("toybox", "", &[], 0),
    wrapper("unbuffer", "", &[], 0),
    wrapper("fakeroot", "lfsib", &["lib", "faked"], 0),
    wrapper("setarch", "p", &["pid"], 1),
    wrapper("taskset", "", &[], 1),
    wrapper("chrt", "TPDp", &["sched-runtime", "sched-period", "sched-deadline"], 1),
    wrapper("catchsegv", "", &[], 0),
    wrapper("strace", "eopPsuaEIOSX", &[], 0),
    wrapper("bwrap", "", &["bind", "ro-bind", "dev", "proc", "tmpfs", "chdir", "setenv"], 0),
];

impl Wrapper {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        WRAPPERS.iter().find(|wrapper| wrapper.name == name)
    }

    /// The command after the wrapper's own arguments, or `None` if that cannot be told.
    pub(crate) fn command<'f>(&self, arguments: &'f [Field]) -> Option<&'f [Field]> {
        let mut rest = skip_options(arguments, self.short, self.long)?;
        for _ in 0..self.operands {
            match rest.split_first() {
                Some((operand, _)) if operand.may_vanish_or_split() => return None,
                Some((_, after)) => rest = after,
                None => return Some(rest),
            }
        }
        while self.assignments && rest.first().is_some_and(is_assignment) {
            rest = &rest[1..];
        }
        Some(rest)
    }
}

fn is_assignment(field: &Field) -> bool {
    field.text().split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

/// What follows the options. `None` if something that only the run shows stands before.
pub(crate) fn skip_options<'f>(arguments: &'f [Field], short: &str, long: &[&str]) -> Option<&'f [Field]> {
    let mut rest = arguments;
    while let Some((first, after)) = rest.split_first() {
        let text = first.text();
        if text == "--" {
            return Some(after);
        }
        if text.starts_with(HOLE) {
            return None;
        }
        let takes_next = match text.strip_prefix("--") {
            Some(name) => long.contains(&name),
            None => match text.strip_prefix('-') {
                Some(letters) if !letters.is_empty() => {
                    // The first letter with a value takes the rest of the word, or the next.
                    letters.find(|letter| short.contains(letter)) == letters.char_indices().last().map(|(at, _)| at)
                }
                _ => return Some(rest),
            },
        };
        if first.may_vanish_or_split() {
            return None;
        }
        rest = if takes_next { after.get(1..).unwrap_or_default() } else { after };
        if takes_next && after.first().is_some_and(Field::may_vanish_or_split) {
            return None;
        }
    }
    Some(rest)
}

/// Programs that read shell text.
pub(crate) fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "bash" | "dash" | "zsh" | "ash" | "ksh" | "mksh" | "yash" | "rbash" | "fish" | "at" | "batch")
}

/// Whether a program's arguments are data, whatever they say: it neither runs them nor copies
/// what they name.
pub(crate) fn is_inert(name: &str) -> bool {
    matches!(
        name,
        "echo"
            | "printf"
            | "ls"
            | "dir"
            | "stat"
            | "file"
            | "test"
            | "["
            | "[["
            | "true"
            | "false"
            | ":"
            | "cd"
            | "pushd"
            | "popd"
            | "pwd"
            | "mkdir"
            | "rmdir"
            | "touch"
            | "which"
            | "whereis"
            | "type"
            | "man"
            | "info"
            | "apropos"
            | "whatis"
            | "basename"
            | "dirname"
            | "realpath"
            | "readlink"
            | "date"
            | "sleep"
            | "seq"
            | "rm"
            | "du"
            | "df"
            | "tree"
            | "pgrep"
            | "pkill"
            | "kill"
            | "killall"
            | "id"
            | "ps"
            | "chmod"
            | "chown"
            | "mrctl"
            | "exit"
            | "return"
            | "shift"
            | "break"
            | "continue"
            | "set"
            | "shopt"
            | "wait"
            | "umask"
            | "ulimit"
            | "uname"
            | "hostname"
    )
}

/// Whether a program's arguments are data, but it passes on the content of files that they name.
pub(crate) fn is_reader(name: &str) -> bool {
    matches!(
        name,
        "grep"
            | "egrep"
            | "fgrep"
            | "zgrep"
            | "rg"
            | "ag"
            | "wc"
            | "sort"
            | "uniq"
            | "diff"
            | "cmp"
            | "comm"
            | "cut"
            | "tr"
            | "jq"
            | "yq"
            | "sed"
            | "awk"
            | "gawk"
            | "mawk"
            | "nawk"
            | "curl"
            | "wget"
            | "less"
            | "more"
            | "md5sum"
            | "sha256sum"
            | "sha1sum"
            | "column"
            | "fold"
            | "fmt"
            | "rev"
            | "nl"
            | "join"
            | "paste"
            | "iconv"
            | "find"
            | "git"
    )
}
