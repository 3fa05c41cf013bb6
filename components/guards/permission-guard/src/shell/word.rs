//! From a word as written to the fields that it may become.
//!
//! Owns expansion: quotes, escapes, variables, braces, tildes. Command substitutions are not
//! run but collected, for the walk to look into; in the word they leave a hole.

use brush_parser::ParserOptions;
use brush_parser::word::{self, Parameter, ParameterExpr, WordPiece, WordPieceWithSource};

use super::ansi;
use super::field::{Field, Origin, QUOTE_MARK, Unit, braces, split};
use super::variables::Variables;
use crate::paths::{HOLE, HOME};

/// Most combinations of variable values that one word is followed through.
const MAX_ALTERNATIVES: usize = 16;
/// Parameter expansions within parameter expansions.
const MAX_DEPTH: usize = 16;

/// The word could not be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// What a word may become.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    /// Each alternative is a list of fields: usually one alternative of one field.
    pub(crate) alternatives: Vec<Vec<Field>>,
    /// Texts of the command substitutions inside.
    pub(crate) substitutions: Vec<String>,
    /// Variables that `${x:=value}` assigns.
    pub(crate) assignments: Vec<(String, Option<String>)>,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An argument: braces, splitting and tilde apply.
    Argument,
    /// An assigned value, a redirection target, a case subject: one field.
    Single,
    /// The body of a here-document.
    HereDocument,
}

/// Grammar options for words: bash, with tildes left to [`split`] (the crate's own rule fails
/// on numbers that overflow).
pub(crate) fn options() -> ParserOptions {
    ParserOptions { tilde_expansion_at_word_start: false, ..ParserOptions::default() }
}

/// Expands a word.
pub(crate) fn expand(
    text: &str,
    place: Place,
    workspace: &str,
    variables: &mut Variables,
) -> Result<Expansion, Unreadable> {
    let mut expander = Expander { variables, workspace, found: Expansion::default(), depth: 0 };
    let quoted = place == Place::HereDocument;
    let alternatives = expander.word(text, quoted)?;
    let mut found = expander.found;
    found.alternatives = alternatives
        .into_iter()
        .map(|units| match place {
            Place::Argument => braces(units).into_iter().flat_map(|units| split(units, HOME)).collect(),
            Place::Single | Place::HereDocument => {
                let whole = units
                    .into_iter()
                    .map(|(c, origin)| {
                        let kept = origin == Origin::Expanded && c != HOLE;
                        (c, if kept { Origin::Quoted } else { origin })
                    })
                    .collect();
                let mut fields = split(whole, HOME);
                if fields.is_empty() {
                    fields.push(Field::default());
                }
                fields
            }
        })
        .collect();
    Ok(found)
}

struct Expander<'a> {
    variables: &'a mut Variables,
    workspace: &'a str,
    found: Expansion,
    depth: usize,
}

impl Expander<'_> {
    fn word(&mut self, text: &str, quoted: bool) -> Result<Vec<Vec<Unit>>, Unreadable> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unreadable);
        }
        let pieces = if quoted { word::parse_heredoc(text, &options()) } else { word::parse(text, &options()) }
            .map_err(|_| Unreadable)?;
        let result = self.pieces(text, &pieces, quoted);
        self.depth -= 1;
        result
    }

    fn pieces(
        &mut self,
        source: &str,
        pieces: &[WordPieceWithSource],
        quoted: bool,
    ) -> Result<Vec<Vec<Unit>>, Unreadable> {
        let mut alternatives: Vec<Vec<Unit>> = vec![Vec::new()];
        for piece in pieces {
            let choices = self.piece(source, piece, quoted)?;
            if let [only] = choices.as_slice() {
                // The usual case, without copying what is there already.
                for units in &mut alternatives {
                    units.extend_from_slice(only);
                }
                continue;
            }
            if alternatives.len() * choices.len() > MAX_ALTERNATIVES {
                for units in &mut alternatives {
                    units.push((HOLE, hole_origin(quoted)));
                }
                continue;
            }
            alternatives = alternatives
                .iter()
                .flat_map(|left| choices.iter().map(move |right| left.iter().chain(right).copied().collect()))
                .collect();
        }
        Ok(alternatives)
    }

    fn piece(&mut self, source: &str, piece: &WordPieceWithSource, quoted: bool) -> Result<Vec<Vec<Unit>>, Unreadable> {
        let origin = if quoted { Origin::Quoted } else { Origin::Bare };
        let one = |text: &str, origin| vec![text.chars().map(|c| (c, origin)).collect()];
        match &piece.piece {
            WordPiece::Text(text) => {
                // The grammar falls back to a literal dollar or backquote where it could not
                // read an expansion; the shell would read it, or refuse the text.
                let next = source.get(piece.end_index..).and_then(|rest| rest.chars().next());
                let fallback = text == "$" && matches!(next, Some('{' | '(' | '['));
                if fallback || text.contains('`') {
                    return Err(Unreadable);
                }
                Ok(one(&text.replace("\\\n", ""), origin))
            }
            WordPiece::SingleQuotedText(text) => Ok(marked(one(text, Origin::Quoted))),
            WordPiece::AnsiCQuotedText(text) => Ok(marked(one(&ansi::decode(text), Origin::Quoted))),
            WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                Ok(marked(self.pieces(source, inner, true)?))
            }
            WordPiece::EscapeSequence(text) => {
                let escaped = text.strip_prefix('\\').unwrap_or(text);
                Ok(one(if escaped == "\n" { "" } else { escaped }, Origin::Quoted))
            }
            WordPiece::TildeExpansion(_) => Ok(hole(quoted)),
            WordPiece::CommandSubstitution(text) => {
                self.found.substitutions.push(text.clone());
                Ok(hole(quoted))
            }
            WordPiece::BackquotedCommandSubstitution(_) => {
                let raw = source.get(piece.start_index + 1..piece.end_index.saturating_sub(1));
                self.found.substitutions.push(unescape_backquoted(raw.ok_or(Unreadable)?, quoted));
                Ok(hole(quoted))
            }
            WordPiece::ArithmeticExpression(expression) => {
                self.word(&expression.value, true)?;
                Ok(vec![vec![(HOLE, Origin::Quoted)]])
            }
            WordPiece::ParameterExpansion(expression) => self.parameter(expression, quoted),
        }
    }

    fn parameter(&mut self, expression: &ParameterExpr, quoted: bool) -> Result<Vec<Vec<Unit>>, Unreadable> {
        use ParameterExpr as E;
        if let Some(Parameter::NamedWithIndex { index, .. }) = parameter_of(expression) {
            // An index is arithmetic, and may hold a command substitution.
            self.word(index, true)?;
        }
        match expression {
            E::Parameter { parameter, indirect: false } => Ok(self.value(parameter, quoted)),
            E::UseDefaultValues { parameter, indirect: false, default_value, .. } => {
                let mut choices = self.value(parameter, quoted);
                choices.extend(self.optional(default_value.as_ref(), quoted)?);
                Ok(choices)
            }
            E::AssignDefaultValues { parameter, indirect: false, default_value, .. } => {
                let mut choices = self.value(parameter, quoted);
                let defaults = self.optional(default_value.as_ref(), quoted)?;
                if let Parameter::Named(name) = parameter {
                    for units in &defaults {
                        let text = Field(units.clone()).known();
                        self.found.assignments.push((name.clone(), text));
                    }
                }
                choices.extend(defaults);
                Ok(choices)
            }
            E::UseAlternativeValue { parameter, indirect: false, alternative_value, .. } => {
                self.value(parameter, quoted);
                let mut choices = vec![Vec::new()];
                choices.extend(self.optional(alternative_value.as_ref(), quoted)?);
                Ok(choices)
            }
            E::IndicateErrorIfNullOrUnset { parameter, indirect: false, error_message, .. } => {
                self.optional(error_message.as_ref(), quoted)?;
                Ok(self.value(parameter, quoted))
            }
            other => {
                // Not followed, but what stands inside may hold a command substitution.
                for text in inner_words(other) {
                    self.word(text, true)?;
                    // Quotes inside are active as well.
                    let _ = self.word(text, false);
                }
                Ok(hole(quoted))
            }
        }
    }

    fn optional(&mut self, text: Option<&String>, quoted: bool) -> Result<Vec<Vec<Unit>>, Unreadable> {
        let alternatives = self.word(text.map_or("", String::as_str), false)?;
        let origin = if quoted { Origin::Quoted } else { Origin::Expanded };
        Ok(alternatives
            .into_iter()
            .map(|units| {
                let inherit = |(c, own)| (c, if own == Origin::Bare { origin } else { own });
                units.into_iter().map(inherit).collect()
            })
            .collect())
    }

    fn value(&mut self, parameter: &Parameter, quoted: bool) -> Vec<Vec<Unit>> {
        let Parameter::Named(name) = parameter else { return hole(quoted) };
        let values = match name.as_str() {
            // Directories that the host sets; known unless the text changes them.
            "HOME" if !self.variables.assigned(name) => Some(vec![HOME.to_owned()]),
            "PWD" if !self.variables.assigned(name) => Some(vec![self.workspace.to_owned()]),
            "TMPDIR" if !self.variables.assigned(name) => Some(vec!["/tmp".to_owned()]),
            _ => self.variables.lookup(name),
        };
        match values {
            Some(values) if quoted || !self.variables.separators_changed() => {
                let origin = if quoted { Origin::Quoted } else { Origin::Expanded };
                let units = |value: &String| value.chars().map(|c| (c, origin)).collect();
                values.iter().map(units).collect()
            }
            _ => hole(quoted),
        }
    }
}

fn hole_origin(quoted: bool) -> Origin {
    if quoted { Origin::Quoted } else { Origin::Expanded }
}

fn hole(quoted: bool) -> Vec<Vec<Unit>> {
    vec![vec![(HOLE, hole_origin(quoted))]]
}

fn marked(alternatives: Vec<Vec<Unit>>) -> Vec<Vec<Unit>> {
    alternatives.into_iter().map(|units| std::iter::once((QUOTE_MARK, Origin::Quoted)).chain(units).collect()).collect()
}

/// Inside backquotes a backslash is removed before `$`, a backquote and a backslash (and a
/// double quote, if the whole is double-quoted): POSIX, Shell Command Language 2.6.3.
fn unescape_backquoted(text: &str, quoted: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let removed = character == '\\'
            && characters.peek().is_some_and(|next| matches!(next, '$' | '`' | '\\') || (quoted && *next == '"'));
        if removed {
            plain.extend(characters.next());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// The texts inside an expansion that is not followed.
fn inner_words(expression: &ParameterExpr) -> Vec<&str> {
    use ParameterExpr as E;
    match expression {
        E::UseDefaultValues { default_value: text, .. }
        | E::AssignDefaultValues { default_value: text, .. }
        | E::IndicateErrorIfNullOrUnset { error_message: text, .. }
        | E::UseAlternativeValue { alternative_value: text, .. }
        | E::RemoveSmallestSuffixPattern { pattern: text, .. }
        | E::RemoveLargestSuffixPattern { pattern: text, .. }
        | E::RemoveSmallestPrefixPattern { pattern: text, .. }
        | E::RemoveLargestPrefixPattern { pattern: text, .. }
        | E::UppercaseFirstChar { pattern: text, .. }
        | E::UppercasePattern { pattern: text, .. }
        | E::LowercaseFirstChar { pattern: text, .. }
        | E::LowercasePattern { pattern: text, .. } => text.iter().map(String::as_str).collect(),
        E::Substring { offset, length, .. } => {
            std::iter::once(offset).chain(length).map(|part| part.value.as_str()).collect()
        }
        E::ReplaceSubstring { pattern, replacement, .. } => {
            std::iter::once(pattern).chain(replacement).map(String::as_str).collect()
        }
        E::Parameter { .. }
        | E::ParameterLength { .. }
        | E::Transform { .. }
        | E::VariableNames { .. }
        | E::MemberKeys { .. } => Vec::new(),
    }
}

fn parameter_of(expression: &ParameterExpr) -> Option<&Parameter> {
    use ParameterExpr as E;
    match expression {
        E::Parameter { parameter, .. }
        | E::UseDefaultValues { parameter, .. }
        | E::AssignDefaultValues { parameter, .. }
        | E::IndicateErrorIfNullOrUnset { parameter, .. }
        | E::UseAlternativeValue { parameter, .. }
        | E::ParameterLength { parameter, .. }
        | E::RemoveSmallestSuffixPattern { parameter, .. }
        | E::RemoveLargestSuffixPattern { parameter, .. }
        | E::RemoveSmallestPrefixPattern { parameter, .. }
        | E::RemoveLargestPrefixPattern { parameter, .. }
        | E::Substring { parameter, .. }
        | E::Transform { parameter, .. }
        | E::UppercaseFirstChar { parameter, .. }
        | E::UppercasePattern { parameter, .. }
        | E::LowercaseFirstChar { parameter, .. }
        | E::LowercasePattern { parameter, .. }
        | E::ReplaceSubstring { parameter, .. } => Some(parameter),
        E::VariableNames { .. } | E::MemberKeys { .. } => None,
    }
}
