//! `mercury plugins new`: the folder of a plugin that builds.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use super::super::terminal;

/// The longest name: it becomes a file name, a crate and the prefix of identifiers.
const MOST_NAME: usize = 64;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mercury plugins new my-guard --language rust --kind guard\n  mercury plugins new my-chat --language typescript --kind adapter\n  mercury plugins new my-broker --language python --kind broker --folder ~/plugins/my-broker\n\nThen, in its folder: ./build.sh && mercury plugins test"
)]
pub(in crate::cli) struct New {
    /// Lower-case letters, digits and dashes.
    name: String,
    #[arg(long, value_enum)]
    language: Language,
    /// What it is: a guard of tool calls, a processor of replies, a chat adapter, a broker of calls that
    /// the agent makes, a hook before runs, or a job on the host's clock.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Where it is written; a folder of its name, unless told.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Rust,
    Typescript,
    Python,
    C,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Guard,
    Processor,
    Adapter,
    Broker,
    Hook,
    Job,
}

impl Language {
    /// Its folder among the templates.
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Typescript => "typescript",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// Where its toolchain looks for the code, and the ending of the templates.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => ("src/lib.rs", "rs"),
            Self::Typescript => ("src/plugin.ts", "ts"),
            Self::Python => ("plugin.py", "py"),
            Self::C => ("src/plugin.c", "c"),
        }
    }
}

impl Kind {
    const ALL: [Self; 6] = [Self::Guard, Self::Processor, Self::Adapter, Self::Broker, Self::Hook, Self::Job];

    fn folder(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Processor => "processor",
            Self::Adapter => "adapter",
            Self::Broker => "broker",
            Self::Hook => "hook",
            Self::Job => "job",
        }
    }
}

impl New {
    pub(super) fn run(self) -> Result<ExitCode> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let begins = self.name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || self.name.ends_with('-') || self.name.len() > MOST_NAME || !self.name.bytes().all(plain) {
            bail!(
                "`{}` is no name for a plugin: a lower-case letter, then lower-case letters, digits and dashes, at most {MOST_NAME} in all",
                self.name
            );
        }
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(&self.name));
        if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("the folder {} is not empty. Name another with --folder", folder.display());
        }
        for (path, content) in files(&self.name, self.language, self.kind) {
            write(&folder.join(path), &content)?;
        }
        terminal::line(format!("Made {}.", folder.display()));
        terminal::note(format!("Now: cd {} && ./build.sh && mercury plugins test", folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}

/// The files of a plugin: path below its folder, and content.
fn files(name: &str, language: Language, kind: Kind) -> Vec<(String, String)> {
    let of_kind = format!("templates/kinds/{}/", kind.folder());
    let of_language = format!("templates/{}/", language.folder());
    let (source, ending) = language.source();
    let chosen = mercury_carried::TEMPLATES.iter().filter_map(|(path, content)| {
        let path = if let Some(path) = path.strip_prefix(&of_kind) {
            if path == "plugin.wit" { "wit/plugin.wit".to_owned() } else { path.to_owned() }
        } else if let Some(path) = path.strip_prefix(&of_language) {
            match path.strip_prefix("src/").and_then(|file| file.strip_suffix(&format!(".{ending}"))) {
                Some(stem) if stem == kind.folder() => source.to_owned(),
                Some(stem) if Kind::ALL.iter().any(|other| other.folder() == stem) => return None,
                _ => path.to_owned(),
            }
        } else if let Some(path) = path.strip_prefix("sdk/").filter(|_| language == Language::Rust) {
            format!("vendor/mercury-plugin/src/{path}")
        } else {
            path.starts_with("wit/").then(|| (*path).to_owned())?
        };
        Some((path, fill_in(name, content)))
    });
    chosen.collect()
}

fn fill_in(name: &str, template: &str) -> String {
    let snake = name.replace('-', "_");
    template.replace("{{name}}", name).replace("{{UPPER}}", &snake.to_uppercase()).replace("{{snake}}", &snake)
}

fn write(path: &Path, content: &str) -> Result<()> {
    let fail = || format!("{} cannot be written", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(fail)?;
    }
    let mode = if path.extension().is_some_and(|extension| extension == "sh") { 0o755 } else { 0o644 };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(fail)?;
    file.write_all(content.as_bytes()).with_context(fail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plugins::{Manifest, replay::Recording};

    /// Every language has every kind, each with a manifest and recordings that are read.
    #[test]
    fn every_scaffold_is_complete() {
        for language in [Language::Rust, Language::Typescript, Language::Python, Language::C] {
            for kind in Kind::ALL {
                let files = files("my-plugin", language, kind);
                let paths: BTreeSet<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
                assert_eq!(paths.len(), files.len(), "{language:?} {kind:?}: a path twice");
                let (source, _) = language.source();
                for path in
                    ["plugin.toml", "build.sh", "README.md", ".gitignore", "wit/plugin.wit", "wit/types.wit", source]
                {
                    assert!(paths.contains(path), "{language:?} {kind:?}: {path} is missing in {paths:?}");
                }
                for (path, content) in &files {
                    assert!(!content.contains("{{"), "{path}: a name is not filled in");
                    if path == "plugin.toml" {
                        Manifest::parse(Path::new(path), content).unwrap();
                    }
                    if path.starts_with("tests/") {
                        serde_json::from_str::<Recording>(content).unwrap();
                    }
                }
                assert!(paths.iter().filter(|path| path.starts_with("tests/")).count() >= 2);
            }
        }
    }

    #[test]
    fn names_that_lead_astray_are_refused() {
        for name in ["", "../x", "A", "1st", "-x", "x-", "a b", &"a".repeat(65)] {
            let folder = tempfile::tempdir().unwrap();
            let new = New {
                name: name.to_owned(),
                language: Language::Rust,
                kind: Kind::Guard,
                folder: Some(folder.path().join("x")),
            };
            assert!(new.run().is_err(), "{name}");
            assert!(!folder.path().join("x").exists());
        }
    }
}
