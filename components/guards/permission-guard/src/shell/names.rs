//! Where a denied CLI is named: as a program, as a file, as a word of code.

use glob::Pattern;

use super::content;
use super::field::Field;
use super::walk::{Checked, Walk};
use crate::refusal::Refusal;

impl Walk<'_> {
    /// A program that only reads: a path to a denied CLI's file would still copy it.
    pub(crate) fn reader(&mut self, arguments: &[Field]) -> Checked {
        // Options with which readers start another program.
        let starts = ["--pre", "--compress-program", "--pager", "--use-askpass", "--hostname-bin"];
        if arguments.iter().any(|field| starts.iter().any(|option| field.text().starts_with(option))) {
            return self.suspects(arguments);
        }
        for text in arguments.iter().map(Field::text) {
            let mut parts = text.rsplit('/');
            let name = parts.next().unwrap_or_default();
            let parent = parts.next().unwrap_or_default();
            if matches!(parent, "bin" | "sbin" | ".bin" | "libexec" | "shims") && !text.contains("://") {
                self.refuse_name(name)?;
                self.refuse_glob(name)?;
            }
        }
        Ok(())
    }

    /// Arguments of a program that may run or copy what they name.
    pub(crate) fn suspects(&mut self, arguments: &[Field]) -> Checked {
        if !self.strict() {
            return Ok(());
        }
        for argument in arguments {
            let text = argument.text();
            let starts = text.char_indices().filter(|(_, c)| matches!(c, '=' | ':' | ',' | '!'));
            let starts: Vec<usize> = std::iter::once(0).chain(starts.map(|(at, c)| at + c.len_utf8())).collect();
            for part in starts.iter().filter_map(|start| text.get(*start..)) {
                let name = part.rsplit('/').next().unwrap_or_default();
                self.refuse_name(name)?;
                if argument.has_glob() {
                    self.refuse_glob(name)?;
                }
                let part = part.trim_start();
                if part.contains(|c: char| c.is_whitespace() || ";|&$`".contains(c)) {
                    self.leniently(part)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a denied name.
    pub(crate) fn refuse_name(&self, name: &str) -> Checked {
        match self.policy.denied_clis.get(name) {
            Some(cli) => Err(Refusal::DeniedCli { cli: cli.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses fields that name a denied CLI's file.
    pub(crate) fn refuse_named(&self, fields: &[Field]) -> Checked {
        fields
            .iter()
            .map(Field::text)
            .try_for_each(|text| self.refuse_name(text.rsplit('/').next().unwrap_or_default()))
    }

    /// Refuses a file pattern that says something and matches a denied name.
    pub(crate) fn refuse_glob(&self, name: &str) -> Checked {
        if !name.contains(['*', '?', '[']) || !name.contains(char::is_alphanumeric) {
            return Ok(());
        }
        let Ok(pattern) = Pattern::new(name) else { return self.dynamic(name) };
        match self.policy.denied_clis.iter().find(|cli| pattern.matches(cli)) {
            Some(cli) => Err(Refusal::DeniedCli { cli: cli.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses text in which a denied name stands as a word of its own.
    pub(crate) fn refuse_word(&self, text: &str) -> Checked {
        match self.policy.denied_clis.iter().find(|cli| content::contains_word(text, cli)) {
            Some(cli) => Err(Refusal::DeniedCli { cli: cli.clone() }),
            None => Ok(()),
        }
    }
}
