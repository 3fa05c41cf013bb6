//! What a plugin is and asks for, in words, and the question.

use std::io::IsTerminal;

use anyhow::{Result, bail};

use super::super::terminal;
use crate::plugins::{self, Manifest, packages::Offer};

/// What an operator reads before agreeing.
pub(in crate::cli) fn show_offer(offer: &Offer) {
    heading(&offer.package.manifest);
    let before = offer.installed.as_ref().map(|installed| format!(", in place of {}", installed.version));
    terminal::line(format!("  From      {}{}", one_line(&offer.source), before.unwrap_or_default()));
    terminal::line(format!("  Signed    {}", signer(offer)));
    terminal::line(format!("  Contract  mercury:plugin@{}", offer.package.contract));
    terminal::line(format!("  Digest    sha256:{}", offer.package.digest()));
    if offer.replaces_built_in() {
        terminal::line(format!("  Replaces  the plugin `{}` of the host, which is not used any more", offer.name()));
    }
    if let Some(other) = &offer.resembles {
        terminal::line(format!("  Beware    it is not the plugin `{other}`, which has almost the same name"));
    }
    body(&offer.package.manifest);
}

fn signer(offer: &Offer) -> String {
    match (&offer.package.signer, &offer.signer) {
        (Some(key), Some(name)) => format!("by {name} ({key})"),
        (Some(key), None) => format!("by somebody whom you do not trust ({key})"),
        (None, _) => "by nobody".to_owned(),
    }
}

pub(super) fn heading(manifest: &Manifest) {
    let of = match manifest.description.trim() {
        "" => String::new(),
        description => format!(": {}", one_line(description)),
    };
    terminal::line(format!("{}{of}", terminal::heading(&format!("{} {}", manifest.name, manifest.version))));
}

/// Rights, credentials and settings.
pub(super) fn body(manifest: &Manifest) {
    terminal::line("\nIt may");
    for words in plugins::in_words(manifest) {
        terminal::line(format!("  - {}", one_line(&words)));
    }
    if !manifest.secrets.is_empty() {
        terminal::line("\nIt needs in .env");
        for secret in &manifest.secrets {
            let optional = if secret.optional { " (optional)" } else { "" };
            let description = described(&secret.description);
            terminal::line(format!("  - {}{optional}{description}", secret.variable));
        }
    }
    if !manifest.settings.is_empty() {
        terminal::line(format!("\nYou may set under plugins.{}.settings of mercury.yaml", manifest.name));
        for (key, setting) in &manifest.settings {
            terminal::line(format!("  - {key}{}", described(&setting.description)));
        }
    }
}

fn described(description: &str) -> String {
    match description.trim() {
        "" => String::new(),
        description => format!(": {}", one_line(description)),
    }
}

/// A stranger's text may not look like more lines of ours.
pub(in crate::cli) fn one_line(text: &str) -> String {
    terminal::printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asks on a terminal. Elsewhere somebody has said `--yes`, or nobody has agreed.
pub(in crate::cli) fn ask(yes: bool, question: &str) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to agree: read what it asks for, then say so with --yes");
    }
    terminal::prompt(&format!("\n{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
