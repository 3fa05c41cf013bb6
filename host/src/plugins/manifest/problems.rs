//! What is wrong with a manifest, and where: with line, column and the line itself.

use std::{fmt::Write as _, ops::Range};

use toml::de::{DeTable, DeValue};

use crate::domain::deception::deceives;

/// The most problems that are shown at once.
const MOST_SHOWN: usize = 20;
/// The longest part of a line that is shown, in characters.
const MOST_LINE: usize = 160;
/// How alike a field must be to be suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.7;

/// A place in the manifest: `http[0].hosts[1]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct At(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

impl At {
    pub(crate) fn root() -> Self {
        Self::default()
    }

    pub(crate) fn field(&self, name: &str) -> Self {
        self.with(Step::Field(name.to_owned()))
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Where it stands in `text`: as near as it can be found, for what is missing has no place.
    fn span(&self, text: &str) -> Option<Range<usize>> {
        let document = DeTable::parse(text).ok()?;
        let mut span = None;
        let mut table = Some(document.get_ref());
        let mut array = None;
        for step in &self.0 {
            let value = match step {
                Step::Field(name) => table.and_then(|table| table.get(name.as_str())),
                Step::Item(index) => array.and_then(|array: &toml::de::DeArray<'_>| array.get(*index)),
            };
            let Some(value) = value else { break };
            span = Some(value.span());
            (table, array) = match value.get_ref() {
                DeValue::Table(inner) => (Some(inner), None),
                DeValue::Array(inner) => (None, Some(inner)),
                _ => (None, None),
            };
        }
        span
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => formatter.write_str(name)?,
                Step::Field(name) => write!(formatter, ".{name}")?,
                Step::Item(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// All that is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(At, String)>);

impl Problems {
    pub(crate) fn say(&mut self, at: &At, what: impl Into<String>) {
        self.0.push((at.clone(), what.into()));
    }

    /// `what` where `fits` does not hold.
    pub(crate) fn unless(&mut self, fits: bool, at: &At, what: impl Into<String>) {
        if !fits {
            self.say(at, what);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For people, one after the other.
    pub(crate) fn render(&self, text: &str) -> String {
        let mut shown = String::new();
        for (at, what) in self.0.iter().take(MOST_SHOWN) {
            let place = at.to_string();
            let what = if place.is_empty() { what.clone() } else { format!("{place}: {what}") };
            shown.push_str(&problem(text, at.span(text), &what));
        }
        if self.0.len() > MOST_SHOWN {
            let _ = writeln!(shown, "and {} more", self.0.len() - MOST_SHOWN);
        }
        shown.trim_end().to_owned()
    }
}

/// What the parser found, with the field that was probably meant.
pub(super) fn of_parser(text: &str, error: &toml::de::Error) -> String {
    let mut what = error.message().trim_end().to_owned();
    if let Some((unknown, suggestion)) = suggestion(&what) {
        what = format!("{unknown}; did you mean `{suggestion}`?");
    }
    problem(text, error.span(), &what).trim_end().to_owned()
}

/// What is not known, and the nearest name that is. Serde says all of them, in backticks, the unknown
/// one first; a text of another form yields no suggestion.
fn suggestion(message: &str) -> Option<(&str, &str)> {
    let (unknown, _) = message.split_once(", expected ").filter(|(unknown, _)| unknown.starts_with("unknown "))?;
    let mut quoted = message.split('`').skip(1).step_by(2);
    let name = quoted.next()?;
    let alike = |known: &&str| strsim::jaro_winkler(name, known);
    let nearest = quoted.max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&nearest) >= ALIKE).then_some((unknown, nearest))
}

fn problem(text: &str, span: Option<Range<usize>>, what: &str) -> String {
    let what = readable(what, true);
    let Some(span) = span else { return format!("{what}\n") };
    let start = floor(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].split('\n').next().unwrap_or_default();
    let number = text[..start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count() + 1;
    let end = floor(text, span.end.max(start)).min(line_start + line.len());
    let marked = text[start..end.max(start)].chars().count().max(1);
    let gutter = " ".repeat(number.to_string().len());
    let mut shown = format!("line {number}, column {column}: {what}\n");
    // A mark far out in a long line helps nobody: then the line's beginning is enough.
    let visible: String = readable(line, false).chars().take(MOST_LINE).collect();
    let _ = writeln!(shown, "  {number} | {visible}");
    if column <= MOST_LINE {
        let _ = writeln!(
            shown,
            "  {gutter} | {}{}",
            " ".repeat(column - 1),
            "^".repeat(marked.min(MOST_LINE.saturating_sub(column) + 1))
        );
    }
    shown
}

fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

/// Without what would steer a terminal or deceive its reader: the text is a stranger's. One character stands for one.
fn readable(text: &str, lines: bool) -> String {
    text.chars().map(|c| if deceives(c) && !(lines && c == '\n') { '\u{fffd}' } else { c }).collect()
}

/// What texts have nevertheless: lines, and the marks of languages that are written from the right, which
/// turn nothing but themselves.
const OF_TEXTS: &[char] = &['\n', '\t', '\u{200e}', '\u{200f}'];

/// Every text in the document with such characters: what an operator reads before agreeing must not
/// be arranged by who wants the agreement.
pub(super) fn check_characters(text: &str, problems: &mut Problems) {
    fn visit(value: &DeValue<'_>, at: &At, problems: &mut Problems) {
        match value {
            DeValue::String(text) if text.chars().any(|c| deceives(c) && !OF_TEXTS.contains(&c)) => {
                problems.say(at, "holds characters that steer a terminal, turn the direction of text, or show nothing");
            }
            DeValue::Table(table) => visit_table(table, at, problems),
            DeValue::Array(array) => {
                array.iter().enumerate().for_each(|(index, value)| visit(value.get_ref(), &at.item(index), problems));
            }
            _ => {}
        }
    }
    fn visit_table(table: &DeTable<'_>, at: &At, problems: &mut Problems) {
        for (key, value) in table.iter() {
            if key.get_ref().chars().any(deceives) {
                problems.say(
                    at,
                    "has a key with characters that steer a terminal, turn the direction of text, or show nothing",
                );
            }
            visit(value.get_ref(), &at.field(key.get_ref()), problems);
        }
    }
    if let Ok(document) = DeTable::parse(text) {
        visit_table(document.get_ref(), &At::root(), problems);
    }
}
