//! The rule for shell text: which programs it would run, and which paths it names.
//!
//! The grammar is `brush-parser`'s. [`walk`] goes over the syntax tree, [`word`] expands words,
//! [`command`] decides about one simple command with the tables of [`programs`] and
//! [`interpreters`], and [`content`] looks at text that is written to a file. Nothing is run and nothing is read.
//!
//! Where the meaning cannot be told beforehand, a caller with a denied list is refused; for
//! all others only the paths count.

mod ansi;
mod builtins;
mod command;
mod content;
mod deferred;
mod field;
mod grammar;
mod interpreters;
mod names;
mod programs;
mod redirect;
mod variables;
mod walk;
mod word;

#[cfg(test)]
mod tests;

use self::field::Field;
use self::walk::Walk;
use crate::paths::refuse_embedded;
use crate::policy::Policy;
use crate::refusal::Refusal;

/// Longest text that is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// How often the walk is repeated until the variables' values are settled.
const MAX_PASSES: usize = 4;

/// Checks shell text that would run in `directory`.
pub(crate) fn check(policy: &Policy, directory: &str, text: &str) -> Result<(), Refusal> {
    refuse_embedded(&policy.protected_paths, directory, text)?;
    settle(Walk::new(policy, directory), |walk| walk.text(text))
}

/// Checks a program with its arguments, started without a shell.
pub(crate) fn check_argv(policy: &Policy, directory: &str, argv: &[String]) -> Result<(), Refusal> {
    let fields: Vec<Field> = argv.iter().map(|text| Field::literal(text)).collect();
    settle(Walk::new(policy, directory), |walk| {
        walk.paths(&fields)?;
        walk.argv(&fields)
    })
}

/// Checks text that is written to a file named `name`.
pub(crate) fn check_content(policy: &Policy, directory: &str, name: &str, text: &str) -> Result<(), Refusal> {
    content::check(policy, directory, name, text)
}

/// Walks until no variable changed after it was used.
fn settle(mut walk: Walk<'_>, mut pass: impl FnMut(&mut Walk<'_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    for _ in 0..MAX_PASSES {
        walk.restart();
        pass(&mut walk)?;
        if !walk.variables.stale {
            return Ok(());
        }
    }
    walk.too_complex()
}
