//! The decision about one simple command: which program it is, and what it does with its
//! arguments.

use super::builtins;
use super::content;
use super::field::Field;
use super::interpreters::Interpreter;
use super::programs::{self, Wrapper};
use super::walk::{Checked, Input, Walk};
use crate::paths::HOLE;
use crate::refusal::Refusal;
use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem as Item, SimpleCommand,
};

/// Combinations of word alternatives that are followed; beyond, words become holes.
const MAX_COMBINATIONS: usize = 32;

impl Walk<'_> {
    /// A simple command as the grammar gives it.
    pub(crate) fn simple(&mut self, command: &SimpleCommand) -> Checked {
        let prefix = command.prefix.as_ref().map_or(&[][..], |prefix| &prefix.0);
        let suffix = command.suffix.as_ref().map_or(&[][..], |suffix| &suffix.0);
        let (input, output) = (self.input.clone(), self.output.clone());
        let mut words: Vec<Vec<Vec<Field>>> = Vec::new();
        let lasting = command.word_or_name.is_none();
        for item in prefix {
            self.item(item, lasting, true, &mut words)?;
        }
        if let Some(name) = &command.word_or_name {
            words.push(self.argument(&name.value)?);
        }
        for item in suffix {
            self.item(item, false, false, &mut words)?;
        }
        let commands = combinations(words);
        self.any_of(&commands)?;
        let redirects_shell = commands.iter().any(|argv| argv.len() == 1 && argv[0].text() == "exec");
        if redirects_shell && prefix.iter().chain(suffix).any(|item| matches!(item, Item::IoRedirect(_))) {
            self.input = Input::Opaque;
        } else {
            (self.input, self.output) = (input, output);
        }
        Ok(())
    }

    /// Each of the commands that this may turn out to be. A certain finding counts for more
    /// than an uncertain one, since its refusal says more.
    fn any_of(&mut self, commands: &[Vec<Field>]) -> Checked {
        let mut uncertain = Ok(());
        for argv in commands {
            match self.argv(argv).and_then(|()| self.written(argv)) {
                Err(Refusal::Dynamic { what }) => uncertain = Err(Refusal::Dynamic { what }),
                checked => checked?,
            }
        }
        uncertain
    }

    fn item(&mut self, item: &Item, lasting: bool, prefix: bool, words: &mut Vec<Vec<Vec<Field>>>) -> Checked {
        match item {
            Item::IoRedirect(redirect) => self.redirect(redirect),
            Item::Word(word) => {
                words.push(self.argument(&word.value)?);
                Ok(())
            }
            Item::AssignmentWord(assignment, _) if prefix => self.assignment(assignment, lasting),
            Item::AssignmentWord(assignment, word) => {
                match &assignment.value {
                    AssignmentValue::Scalar(_) => words.push(self.argument(&word.value)?),
                    AssignmentValue::Array(_) => self.assignment(assignment, false)?,
                }
                Ok(())
            }
            Item::ProcessSubstitution(kind, subshell) => {
                self.process(kind, subshell)?;
                words.push(vec![vec![Field::hole()]]);
                Ok(())
            }
        }
    }

    /// An assignment; a lasting one certainly holds for what follows.
    fn assignment(&mut self, assignment: &Assignment, lasting: bool) -> Checked {
        let name = match &assignment.name {
            AssignmentName::VariableName(name) => name,
            AssignmentName::ArrayElementName(name, index) => {
                self.evaluated_again(index)?;
                self.variables.assign(name, None);
                name
            }
        };
        if matches!(name.as_str(), "BASH_ALIASES" | "BASH_CMDS") {
            self.dynamic(name)?;
        }
        match &assignment.value {
            AssignmentValue::Array(elements) => {
                for (key, value) in elements {
                    if let Some(key) = key {
                        self.single(&key.value)?;
                    }
                    self.argument(&value.value)?;
                }
                self.variables.assign(name, None);
            }
            AssignmentValue::Scalar(word) => {
                let before = if assignment.append { self.variables.lookup(name) } else { None };
                for field in self.single(&word.value)? {
                    let text = (!field.has_hole()).then(|| field.text());
                    match (assignment.append, &before, text) {
                        (false, _, text) => self.assign(name, text.as_deref())?,
                        (true, Some(values), Some(text)) if self.repeated == 0 => {
                            for value in values {
                                self.assign(name, Some(&format!("{value}{text}")))?;
                            }
                        }
                        (true, ..) => self.assign(name, None)?,
                    }
                }
            }
        }
        if lasting {
            self.variables.definite.insert(name.clone());
        }
        Ok(())
    }

    /// Records a value, and looks at it where the name says that it is a command.
    pub(crate) fn assign(&mut self, name: &str, value: Option<&str>) -> Checked {
        self.variables.assign(name, value);
        let Some(value) = value else { return Ok(()) };
        self.evaluated_again(value)?;
        let names_command = [
            "PAGER",
            "EDITOR",
            "VISUAL",
            "BROWSER",
            "SHELL",
            "ASKPASS",
            "LESSOPEN",
            "LESSCLOSE",
            "_COMMAND",
            "_CMD",
            "_SSH",
            "_EDITOR",
        ]
        .iter()
        .any(|suffix| name.ends_with(suffix));
        if names_command { self.leniently(value.trim_start_matches(['|', '-', '!', ' '])) } else { Ok(()) }
    }

    /// One command with its arguments.
    pub(crate) fn argv(&mut self, argv: &[Field]) -> Checked {
        let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
        let path = program.text();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        // zsh: `=gws` is where `gws` lies.
        self.refuse_name(name.trim_start_matches('='))?;
        if program.has_glob() || program.may_vanish_or_split() || name.contains(HOLE) {
            return self.dynamic(&path);
        }
        if self.renamed.contains(&name) {
            return self.suspects(arguments);
        }
        if let Some(wrapper) = Wrapper::find(&name) {
            return self.wrapped(wrapper, arguments);
        }
        if programs::is_shell(&name) {
            return self.shell(&path, arguments);
        }
        if let Some(interpreter) = Interpreter::find(&name) {
            return self.interpreter(interpreter, &name, arguments);
        }
        if let Some(checked) = builtins::check(self, &name, arguments) {
            return checked;
        }
        if programs::is_inert(&name) {
            return Ok(());
        }
        if programs::is_reader(&name) {
            return self.reader(arguments);
        }
        self.suspects(arguments)
    }

    fn wrapped(&mut self, wrapper: &Wrapper, arguments: &[Field]) -> Checked {
        let asks = |field: &Field| matches!(field.text().as_str(), "-v" | "-V" | "-pv" | "-pV");
        if wrapper.name == "command" && arguments.first().is_some_and(asks) {
            return Ok(());
        }
        if wrapper.name == "env" {
            for (index, argument) in arguments.iter().enumerate() {
                let text = argument.text();
                let (split, rest) = match text.strip_prefix("--split-string") {
                    Some(value) => (value.trim_start_matches('=').to_owned(), index + 1),
                    None if text.starts_with('-') && !text.starts_with("--") && text.contains('S') => {
                        (text.split_once('S').map_or("", |(_, value)| value).to_owned(), index + 1)
                    }
                    None => continue,
                };
                let (split, rest) = match (split.is_empty(), arguments.get(rest)) {
                    (true, Some(next)) => (next.text(), rest + 1),
                    _ => (split, rest),
                };
                let after = arguments.get(rest..).unwrap_or_default();
                return self.joined(&split, after);
            }
        }
        match wrapper.command(arguments) {
            None => self.dynamic(wrapper.name),
            // A shell for the other user, reading what comes.
            Some([]) if matches!(wrapper.name, "sudo" | "doas") => self.shell_input(),
            Some(command) => self.argv(command),
        }
    }

    /// Text that a program splits into words and continues with more of them.
    fn joined(&mut self, text: &str, after: &[Field]) -> Checked {
        let quoted = |field: &Field| format!("'{}'", field.text().replace('\'', r"'\''"));
        let rest: Vec<String> = after.iter().map(quoted).collect();
        if text.contains(HOLE) {
            return self.dynamic(text);
        }
        self.child(&format!("{text} {}", rest.join(" ")))
    }

    /// `sh`, with a text, a file or its input.
    fn shell(&mut self, path: &str, arguments: &[Field]) -> Checked {
        let (mut index, mut takes_text, mut reads_input) = (0, false, false);
        while let Some(argument) = arguments.get(index) {
            let text = argument.text();
            if text.starts_with(HOLE) || argument.may_vanish_or_split() {
                return self.dynamic(path);
            }
            index += 1;
            if matches!(text.as_str(), "--" | "-") {
                break;
            }
            if text.starts_with("--") {
                index += usize::from(matches!(text.as_str(), "--rcfile" | "--init-file"));
            } else if let Some(letters) = text.strip_prefix(['-', '+']) {
                takes_text |= letters.contains('c');
                reads_input |= letters.contains('s');
                index += letters.matches(['o', 'O']).count();
            } else {
                index -= 1;
                break;
            }
        }
        match arguments.get(index) {
            Some(text) if takes_text => match text.text() {
                text if text.contains(HOLE) => self.dynamic(&text),
                text => self.child(&text),
            },
            None if takes_text => Ok(()),
            Some(script) if !reads_input => {
                let text = script.text();
                self.refuse_name(text.rsplit('/').next().unwrap_or_default())?;
                if script.known().is_none() || is_unseen(&text) {
                    return self.dynamic(&format!("{path} {text}"));
                }
                self.suspects(&arguments[index..])
            }
            _ => self.shell_input(),
        }
    }

    /// A shell that runs what it reads.
    pub(crate) fn shell_input(&mut self) -> Checked {
        match self.input.clone() {
            Input::Nothing => Ok(()),
            Input::Text(text) if !text.contains(HOLE) => self.child(&text),
            Input::Text(_) | Input::Opaque => self.dynamic("a shell that runs what it reads"),
        }
    }

    /// Code in another language: it is not parsed, so the name alone is too much.
    fn interpreter(&mut self, interpreter: &Interpreter, name: &str, arguments: &[Field]) -> Checked {
        if matches!(name, "make" | "gmake") {
            // Its arguments are names of targets and assignments.
            self.suspects(arguments)?;
        } else {
            arguments.iter().try_for_each(|argument| self.refuse_word(&argument.text()))?;
        }
        if let Input::Text(text) = &self.input {
            self.refuse_word(text)?;
        }
        let given = interpreter.given(arguments);
        if let Some(code) = given.code.iter().chain(&given.script).find(|code| code.has_hole()) {
            return self.dynamic(&format!("{name} {}", code.text()));
        }
        if let Some(script) = given.script.map(Field::text).filter(|script| is_unseen(script)) {
            return self.dynamic(&format!("{name} {script}"));
        }
        match &self.input {
            _ if !given.runs_input => Ok(()),
            Input::Nothing => Ok(()),
            Input::Text(text) if !text.contains(HOLE) => Ok(()),
            Input::Text(_) | Input::Opaque => self.dynamic(&format!("{name} that runs what it reads")),
        }
    }

    /// Text that the command writes to a file, as far as it stands in the command.
    fn written(&mut self, argv: &[Field]) -> Checked {
        if !self.strict() {
            return Ok(());
        }
        let name = argv.first().map(Field::text).unwrap_or_default();
        let named = match name.as_str() {
            "tee" => argv.iter().skip(1).map(Field::text).find(|text| !text.starts_with('-')),
            _ => None,
        };
        let Some(file) = self.output.clone().or(named) else { return Ok(()) };
        let directory = self.directory();
        if let Input::Text(text) = self.input.clone() {
            content::check(self.policy, &directory, &file, &text)?;
        }
        if matches!(name.as_str(), "echo" | "printf") {
            let texts: Vec<String> = argv.iter().skip(1).map(Field::text).collect();
            let text = super::ansi::decode(&texts.join(" "));
            content::check(self.policy, &directory, &file, &text)?;
        }
        Ok(())
    }
}

/// Whether nobody looked at a script when it was written: it is no file, or its name is a document's.
pub(crate) fn is_unseen(script: &str) -> bool {
    script.starts_with("/dev/") || content::is_document(script)
}

/// Every combination of the words' alternatives.
fn combinations(words: Vec<Vec<Vec<Field>>>) -> Vec<Vec<Field>> {
    let mut commands: Vec<Vec<Field>> = vec![Vec::new()];
    for mut alternatives in words {
        if let [_] = alternatives.as_slice() {
            // The usual case, without copying what is there already.
            let fields = alternatives.pop().unwrap_or_default();
            for command in &mut commands {
                command.extend_from_slice(&fields);
            }
            continue;
        }
        if commands.len() * alternatives.len() > MAX_COMBINATIONS {
            for command in &mut commands {
                command.push(Field::hole());
            }
            continue;
        }
        commands = commands
            .iter()
            .flat_map(|left| alternatives.iter().map(move |right| left.iter().chain(right).cloned().collect()))
            .collect();
    }
    commands
}
