//! Text that is written to a file: whether it is a script that would run a denied CLI.
//!
//! Shell scripts are read with the grammar, other code by word. Documents are left alone: a
//! note about a CLI runs nothing, unless it is given to a shell or an interpreter as its script.

use super::MAX_TEXT_BYTES;
use super::walk::{Checked, Walk};
use crate::policy::Policy;

/// What a file is, by its name and first line.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Shell,
    /// No suffix and no first line that tells: perhaps a script, perhaps prose.
    Unmarked,
    Document,
    Code,
}

/// Checks text for a file named `name`.
pub(crate) fn check(policy: &Policy, directory: &str, name: &str, text: &str) -> Checked {
    if !policy.restricted() {
        return Ok(());
    }
    let mut walk = Walk::new(policy, directory);
    match kind(name, text) {
        Kind::Document => Ok(()),
        Kind::Code => walk.refuse_word(text),
        // More than the grammar looks at: by word.
        _ if text.len() > MAX_TEXT_BYTES => walk.refuse_word(text),
        kind => {
            walk.lenient = true;
            walk.text(text)?;
            // What the grammar cannot read, bash still runs up to the error.
            match super::grammar::parse(text) {
                Err(_) if kind == Kind::Shell => walk.refuse_word(text),
                Err(_) => text.lines().try_for_each(|line| {
                    walk.restart();
                    walk.text(line)
                }),
                Ok(_) => Ok(()),
            }
        }
    }
}

fn kind(name: &str, text: &str) -> Kind {
    if let Some(interpreter) = text.strip_prefix("#!") {
        let line = interpreter.lines().next().unwrap_or_default();
        let is_shell = line.split(|c: char| c.is_whitespace() || c == '/').any(super::programs::is_shell);
        return if is_shell { Kind::Shell } else { Kind::Code };
    }
    let base = name.rsplit('/').next().unwrap_or_default();
    if matches!(
        base,
        "package.json"
            | "deno.json"
            | "composer.json"
            | "Makefile"
            | "makefile"
            | "GNUmakefile"
            | "justfile"
            | "Justfile"
            | "Dockerfile"
    ) {
        return Kind::Code;
    }
    match suffix(base) {
        Some("sh" | "bash" | "zsh" | "ksh" | "dash" | "envrc" | "env") => Kind::Shell,
        Some(_) if is_document(base) => Kind::Document,
        Some(_) => Kind::Code,
        None => Kind::Unmarked,
    }
}

/// Suffixes of documents, whose text is not looked at when it is written.
const DOCUMENTS: &[&str] = &[
    "md", "txt", "rst", "adoc", "org", "csv", "tsv", "html", "htm", "xml", "svg", "json", "jsonl", "yaml", "yml",
    "toml", "css", "log", "tex", "ics", "eml",
];

pub(crate) fn is_document(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or_default();
    suffix(base).is_some_and(|suffix| DOCUMENTS.contains(&suffix))
}

fn suffix(base: &str) -> Option<&str> {
    base.trim_start_matches('.').rsplit_once('.').map(|(_, suffix)| suffix)
}

/// Whether `word` stands in `text` between characters that cannot belong to a CLI's name.
pub(crate) fn contains_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part) && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}
