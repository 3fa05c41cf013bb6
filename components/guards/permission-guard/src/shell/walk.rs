//! The walk over the syntax tree: every simple command, wherever it hides.
//!
//! Owns what is in force at a place: variables, standard input, loops, depth. It decides
//! nothing about programs; [`super::command`] does.

use std::collections::BTreeSet;

use brush_parser::ast::{
    AndOr, AndOrList, Command, CompoundCommand, CompoundList, FunctionDefinition, Pipeline, ProcessSubstitutionKind,
    SeparatorOperator, SubshellCommand,
};

use super::field::Field;
use super::grammar::{self, Failure};
use super::variables::Variables;
use super::word::{self, Place};
use crate::paths::{HOLE, normalise, refuse_embedded, refuse_protected};
use crate::policy::Policy;
use crate::refusal::Refusal;

pub(crate) type Checked = Result<(), Refusal>;

/// Texts within texts: substitutions, `sh -c`, `eval`.
const MAX_DEPTH: usize = 32;
/// Words and commands in all, over every pass.
const MAX_STEPS: usize = 60_000;
/// Directories that relative paths are tried against.
const MAX_DIRECTORIES: usize = 8;

/// What a program would read from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nothing, or a file that is named in the text.
    Nothing,
    /// This text, perhaps with holes.
    Text(String),
    /// Something that only the run will show.
    Opaque,
}

pub(crate) struct Walk<'a> {
    pub(crate) policy: &'a Policy,
    directories: Vec<String>,
    pub(crate) variables: Variables,
    pub(crate) input: Input,
    /// The file that standard output goes to, where there is one with a known name.
    pub(crate) output: Option<String>,
    /// Names that the text gives a new meaning: functions and aliases.
    pub(crate) renamed: BTreeSet<String>,
    /// Only certain findings count: the text may be prose.
    pub(crate) lenient: bool,
    /// Inside a loop or a function, where text runs again.
    pub(crate) repeated: usize,
    /// The text at hand, for what the tree does not say.
    source: String,
    depth: usize,
    steps: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(policy: &'a Policy, directory: &str) -> Self {
        Self {
            policy,
            directories: vec![directory.to_owned()],
            variables: Variables::default(),
            input: Input::Nothing,
            output: None,
            renamed: BTreeSet::new(),
            lenient: false,
            repeated: 0,
            source: String::new(),
            depth: 0,
            steps: 0,
        }
    }

    /// Back to the beginning, keeping what has been learnt about variables and names.
    pub(crate) fn restart(&mut self) {
        self.variables.definite.clear();
        self.variables.stale = false;
        self.input = Input::Nothing;
        self.output = None;
    }

    /// A shell text, in the present state.
    pub(crate) fn text(&mut self, text: &str) -> Checked {
        if self.depth >= MAX_DEPTH {
            return self.too_complex();
        }
        let program = match grammar::parse(text) {
            Ok(program) => program,
            Err(Failure::TooLong) => return self.too_complex(),
            Err(Failure::Unreadable) => return self.unreadable(),
        };
        self.depth += 1;
        let outer = std::mem::replace(&mut self.source, text.to_owned());
        let checked = program.complete_commands.iter().try_for_each(|list| self.list(list));
        self.source = outer;
        self.depth -= 1;
        checked
    }

    /// A text that runs in a shell of its own: it sees no variables that are not exported, so
    /// none counts as known.
    pub(crate) fn child(&mut self, text: &str) -> Checked {
        self.scoped(|walk| {
            walk.variables.definite.clear();
            walk.text(text)
        })
    }

    /// Text of which only certain findings count.
    pub(crate) fn leniently(&mut self, text: &str) -> Checked {
        let before = std::mem::replace(&mut self.lenient, true);
        let checked = self.child(text);
        self.lenient = before;
        checked
    }

    /// Runs `inner` where assignments may not happen, or not last.
    pub(crate) fn scoped(&mut self, inner: impl FnOnce(&mut Self) -> Checked) -> Checked {
        let definite = self.variables.definite.clone();
        let input = self.input.clone();
        let output = self.output.clone();
        let checked = inner(self);
        self.variables.definite = definite;
        self.input = input;
        self.output = output;
        checked
    }

    fn list(&mut self, list: &CompoundList) -> Checked {
        list.0.iter().try_for_each(|item| match item.1 {
            SeparatorOperator::Sequence => self.and_or(&item.0),
            SeparatorOperator::Async => self.scoped(|walk| walk.and_or(&item.0)),
        })
    }

    fn and_or(&mut self, list: &AndOrList) -> Checked {
        self.pipeline(&list.first)?;
        if list.additional.is_empty() {
            return Ok(());
        }
        let certain = self.variables.definite.clone();
        for item in &list.additional {
            match item {
                AndOr::And(pipeline) => self.pipeline(pipeline)?,
                AndOr::Or(pipeline) => {
                    self.variables.definite.clone_from(&certain);
                    self.pipeline(pipeline)?;
                }
            }
        }
        self.variables.definite = certain;
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Checked {
        if let [only] = pipeline.seq.as_slice() {
            return self.command(only);
        }
        for (index, command) in pipeline.seq.iter().enumerate() {
            self.scoped(|walk| {
                if index > 0 {
                    walk.input = Input::Opaque;
                }
                walk.command(command)
            })?;
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Checked {
        self.step()?;
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Compound(compound, redirects) => {
                let redirects = redirects.as_ref().map_or(&[][..], |list| &list.0);
                self.redirected(redirects, |walk| walk.compound(compound))
            }
            Command::Function(function) => self.function(function),
            Command::ExtendedTest(test, redirects) => {
                let redirects = redirects.as_ref().map_or(&[][..], |list| &list.0);
                self.redirected(redirects, |walk| walk.test(&test.expr))
            }
        }
    }

    fn function(&mut self, function: &FunctionDefinition) -> Checked {
        self.renamed.insert(function.fname.value.clone());
        let redirects = function.body.1.as_ref().map_or(&[][..], |list| &list.0);
        self.repeating(|walk| {
            // Whoever calls it decides what it reads.
            walk.input = Input::Opaque;
            walk.redirected(redirects, |walk| walk.compound(&function.body.0))
        })
    }

    fn repeating(&mut self, inner: impl FnOnce(&mut Self) -> Checked) -> Checked {
        self.repeated += 1;
        let checked = self.scoped(inner);
        self.repeated -= 1;
        checked
    }

    fn compound(&mut self, command: &CompoundCommand) -> Checked {
        match command {
            CompoundCommand::Arithmetic(arithmetic) => {
                self.leniently(&arithmetic.expr.value)?;
                self.quoted(&arithmetic.expr.value)?;
                // Only `((` closed by an unbroken `))` is arithmetic; otherwise bash sees two
                // subshells, and dash always does. The grammar's positions are not exact
                // after a here-document, so a broken one anywhere counts.
                if has_broken_close(&self.source) {
                    self.dynamic("((")?;
                }
                Ok(())
            }
            CompoundCommand::ArithmeticForClause(clause) => {
                for part in [&clause.initializer, &clause.condition, &clause.updater] {
                    self.quoted(part.as_ref().map_or("", |part| &part.value))?;
                }
                self.repeating(|walk| walk.list(&clause.body.list))
            }
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(subshell) => self.subshell(subshell),
            CompoundCommand::ForClause(clause) => {
                let Some(words) = &clause.values else {
                    // Over the positional parameters.
                    self.variables.assign(&clause.variable_name, None);
                    return self.repeating(|walk| walk.list(&clause.body.list));
                };
                for word in words {
                    for field in self.argument(&word.value)?.into_iter().flatten() {
                        self.variables.assign(&clause.variable_name, field.known().as_deref());
                    }
                }
                self.repeating(|walk| {
                    walk.variables.definite.insert(clause.variable_name.clone());
                    walk.list(&clause.body.list)
                })
            }
            CompoundCommand::CaseClause(clause) => {
                self.single(&clause.value.value)?;
                for case in &clause.cases {
                    for pattern in &case.patterns {
                        self.single(&pattern.value)?;
                    }
                    if let Some(list) = &case.cmd {
                        self.scoped(|walk| walk.list(list))?;
                    }
                }
                Ok(())
            }
            CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition)?;
                self.scoped(|walk| walk.list(&clause.then))?;
                for other in clause.elses.iter().flatten() {
                    self.scoped(|walk| {
                        if let Some(condition) = &other.condition {
                            walk.list(condition)?;
                        }
                        walk.list(&other.body)
                    })?;
                }
                Ok(())
            }
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => self.repeating(|walk| {
                walk.list(&clause.0)?;
                walk.list(&clause.1.list)
            }),
            CompoundCommand::Coprocess(coprocess) => self.scoped(|walk| {
                // The shell can write to it.
                walk.input = Input::Opaque;
                walk.command(&coprocess.body)
            }),
        }
    }

    pub(crate) fn subshell(&mut self, subshell: &SubshellCommand) -> Checked {
        self.scoped(|walk| walk.list(&subshell.list))
    }

    /// `<(..)` and `>(..)`; the latter reads what the command writes.
    pub(crate) fn process(&mut self, kind: &ProcessSubstitutionKind, subshell: &SubshellCommand) -> Checked {
        self.scoped(|walk| {
            if matches!(kind, ProcessSubstitutionKind::Write) {
                walk.input = Input::Opaque;
            }
            walk.list(&subshell.list)
        })
    }

    /// The fields that an argument word may become, by alternative.
    pub(crate) fn argument(&mut self, word: &str) -> Result<Vec<Vec<Field>>, Refusal> {
        self.expand(word, Place::Argument)
    }

    /// The values of a word that stays one field.
    pub(crate) fn single(&mut self, word: &str) -> Result<Vec<Field>, Refusal> {
        Ok(self.expand(word, Place::Single)?.into_iter().flatten().collect())
    }

    pub(super) fn expand(&mut self, text: &str, place: Place) -> Result<Vec<Vec<Field>>, Refusal> {
        self.step()?;
        let directory = self.directory();
        let Ok(found) = word::expand(text, place, &directory, &mut self.variables) else {
            self.unreadable()?;
            return Ok(vec![vec![Field::hole()]]);
        };
        for substitution in &found.substitutions {
            self.scoped(|walk| walk.text(substitution))?;
        }
        for (name, value) in &found.assignments {
            self.variables.assign(name, value.as_deref());
        }
        for fields in &found.alternatives {
            self.paths(fields)?;
        }
        Ok(found.alternatives)
    }

    /// Refuses fields that name a protected path, from any directory that the text goes to.
    pub(crate) fn paths(&self, fields: &[Field]) -> Checked {
        let protected = &self.policy.protected_paths;
        for text in fields.iter().map(Field::text) {
            for (index, directory) in self.directories.iter().enumerate() {
                match index {
                    0 => refuse_embedded(protected, directory, &text)?,
                    _ => refuse_protected(protected, directory, &text)?,
                }
            }
        }
        Ok(())
    }

    /// The text changes its directory.
    pub(crate) fn enter(&mut self, directory: &str) {
        let base = self.directories.last().map_or("/", String::as_str);
        let target = normalise(base, directory);
        if self.directories.len() < MAX_DIRECTORIES && !self.directories.contains(&target) {
            self.directories.push(target);
        }
    }

    /// The directory that the text starts in.
    pub(crate) fn directory(&self) -> String {
        self.directories.first().cloned().unwrap_or_default()
    }

    /// Whether refusals about the denied list apply.
    pub(crate) fn strict(&self) -> bool {
        self.policy.restricted() && !self.lenient
    }

    pub(crate) fn dynamic(&self, what: &str) -> Checked {
        if self.strict() {
            return Err(Refusal::dynamic(&what.replace(HOLE, "…")));
        }
        Ok(())
    }

    fn unreadable(&self) -> Checked {
        if self.strict() { Err(Refusal::Unreadable) } else { Ok(()) }
    }

    pub(crate) fn too_complex(&self) -> Checked {
        if self.policy.restricted() { Err(Refusal::TooComplex) } else { Ok(()) }
    }

    fn step(&mut self) -> Checked {
        self.steps += 1;
        if self.steps > MAX_STEPS { self.too_complex() } else { Ok(()) }
    }
}

/// Whether two closing brackets stand with only blanks between them.
fn has_broken_close(text: &str) -> bool {
    text.split(')').skip(1).any(|between| !between.is_empty() && between.trim().is_empty()) && text.contains("((")
}
