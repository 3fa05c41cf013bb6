//! One reply as calls of the Bot API, one after the other. It decides what is sent next and what an
//! answer means; somebody else does the calls.

mod call;
mod carry;
mod form;

use mercury_plugin::{chat_adapter::OutboundMessage, deliveries::FailureKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    inbound::{chat_of, conversation_id},
    problem::Problem,
    rich::{MOST_CAPTION, MOST_TEXT, Rich, units},
};

pub use call::{Call, edit};
pub use carry::{Carrier, carry};
pub use form::Form;

/// Bytes of `callback_data` (core.telegram.org/bots/api#inlinekeyboardbutton).
const MOST_CHOICE_ID: usize = 64;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Text {
        part: usize,
        plain: bool,
    },
    /// `caption`: with the text.
    File {
        file: usize,
        form: Form,
        caption: bool,
        plain: bool,
    },
    Album {
        files: Vec<(usize, Form)>,
        caption: bool,
        plain: bool,
    },
}

/// How far a delivery has come; what `resume` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    chat: i64,
    thread: Option<i64>,
    sent: Vec<i64>,
    left: Vec<Step>,
    reduced: Vec<String>,
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    GoOn,
    /// The conversation has a new id: old, new. Go on there.
    Moved(String, String),
    Stop(FailureKind, String),
}

/// A reply on its way.
pub struct Delivery<'a> {
    message: &'a OutboundMessage,
    parts: Vec<Rich>,
    /// With markup.
    formatted: bool,
    progress: Progress,
}

impl<'a> Delivery<'a> {
    /// # Errors
    /// A message that can never be sent; why.
    pub fn begin(message: &'a OutboundMessage, formatted: bool) -> Result<Self, String> {
        let chat = chat_of(&message.conversation)
            .ok_or_else(|| format!("`{}` is no conversation of Telegram", message.conversation))?;
        if let Some(choice) = message.choices.iter().find(|choice| choice.id.len() > MOST_CHOICE_ID) {
            return Err(format!("the choice `{}` has an id of more than {MOST_CHOICE_ID} bytes", choice.label));
        }
        let rich = if formatted { Rich::from_markdown(&message.text) } else { Rich::plain(&message.text) };
        let parts = rich.split(MOST_TEXT);
        if parts.is_empty() && !message.choices.is_empty() {
            return Err("choices without a text cannot be shown".into());
        }
        let resumed = message.resume.as_deref().and_then(|resume| serde_json::from_str(resume).ok());
        let thread = message.thread.as_ref().and_then(|thread| thread.parse().ok());
        let progress = resumed.unwrap_or_else(|| {
            let (left, reduced) = plan(message, &parts);
            Progress { chat, thread, sent: Vec::new(), left, reduced }
        });
        Ok(Self { message, parts, formatted, progress })
    }

    pub fn chat(&self) -> i64 {
        self.progress.chat
    }

    /// How many messages the next call makes, for the pace.
    pub fn next_messages(&self) -> usize {
        match self.progress.left.first() {
            Some(Step::Album { files, .. }) => files.len(),
            _ => 1,
        }
    }

    /// None when all was sent.
    pub fn next(&self) -> Option<Call> {
        self.progress.left.first().map(|step| call::of(self, step))
    }

    pub fn answered(&mut self, answer: Result<Value, Problem>) -> Next {
        if self.progress.left.is_empty() {
            return Next::GoOn;
        }
        match answer {
            Ok(result) => {
                self.progress.left.remove(0);
                let messages = match &result {
                    Value::Array(messages) => messages.as_slice(),
                    message => std::slice::from_ref(message),
                };
                self.progress.sent.extend(messages.iter().filter_map(|message| message["message_id"].as_i64()));
                Next::GoOn
            }
            Err(Problem::Moved(chat)) if chat != self.progress.chat => {
                let old = std::mem::replace(&mut self.progress.chat, chat);
                Next::Moved(conversation_id(old), conversation_id(chat))
            }
            Err(Problem::Markup(_)) if self.make_plain() => Next::GoOn,
            Err(Problem::NoTopic) if self.progress.thread.is_some() => {
                self.progress.thread = None;
                self.progress.reduced.push("The topic does not exist any more, so this went to the group.".into());
                Next::GoOn
            }
            Err(Problem::RetryAfter(ms)) => Next::Stop(FailureKind::RetryAfter(ms), Problem::RetryAfter(ms).message()),
            Err(problem @ (Problem::Passing(_) | Problem::Token(_) | Problem::Conflict(_) | Problem::TooLarge(_))) => {
                Next::Stop(FailureKind::Transient, problem.message())
            }
            Err(problem @ Problem::Barred(_)) => Next::Stop(FailureKind::Permanent, problem.message()),
            Err(problem) => self.refused(&problem.message()),
        }
    }

    /// What an earlier attempt is continued with.
    pub fn progress(&self) -> Option<String> {
        serde_json::to_string(&self.progress).ok()
    }

    /// Ids of the messages, and what could not be sent as it was.
    pub fn delivered(self) -> (Vec<String>, Option<String>) {
        let reduced = (!self.progress.reduced.is_empty()).then(|| self.progress.reduced.join("\n"));
        (self.progress.sent.iter().map(i64::to_string).collect(), reduced)
    }

    fn make_plain(&mut self) -> bool {
        match self.progress.left.first_mut() {
            Some(Step::Text { plain, .. } | Step::File { plain, .. } | Step::Album { plain, .. }) => {
                self.formatted && !std::mem::replace(plain, true)
            }
            None => false,
        }
    }

    /// Telegram will not take this step: another form of it, or what is left of it.
    fn refused(&mut self, said: &str) -> Next {
        let instead = match self.progress.left.first() {
            Some(Step::Album { files, caption, plain }) => files
                .iter()
                .enumerate()
                .map(|(at, (file, form))| Step::File {
                    file: *file,
                    form: *form,
                    caption: *caption && at == 0,
                    plain: *plain,
                })
                .collect(),
            Some(Step::File { file, form, caption, plain }) if *form != Form::Document => {
                vec![Step::File { file: *file, form: Form::Document, caption: *caption, plain: *plain }]
            }
            Some(Step::File { file, caption, plain, .. }) => {
                let name = name(self.message, *file);
                self.progress.reduced.push(format!("{name} was not sent. Telegram refused it: {said}"));
                if *caption { vec![Step::Text { part: 0, plain: *plain }] } else { Vec::new() }
            }
            Some(Step::Text { .. }) | None => return Next::Stop(FailureKind::Permanent, said.to_owned()),
        };
        self.progress.left.splice(..1, instead);
        Next::GoOn
    }
}

/// Text first, then files; a short text goes with the first file.
fn plan(message: &OutboundMessage, parts: &[Rich]) -> (Vec<Step>, Vec<String>) {
    let mut reduced = Vec::new();
    let mut files: Vec<(usize, Form)> = Vec::new();
    for (at, file) in message.attachments.iter().enumerate() {
        match Form::of(file) {
            Ok(form) => files.push((at, form)),
            Err(reason) => reduced.push(format!("{} was not sent: {reason}.", name(message, at))),
        }
    }
    let short = matches!(parts, [part] if units(&part.text) <= MOST_CAPTION);
    let mut caption = short && message.choices.is_empty() && !files.is_empty();
    let mut steps = Vec::new();
    if !caption {
        steps.extend((0..parts.len()).map(|part| Step::Text { part, plain: false }));
    }
    for album in form::albums(files) {
        let caption = std::mem::take(&mut caption);
        steps.push(match album.as_slice() {
            [(file, form)] => Step::File { file: *file, form: *form, caption, plain: false },
            _ => Step::Album { files: album, caption, plain: false },
        });
    }
    (steps, reduced)
}

fn name(message: &OutboundMessage, file: usize) -> String {
    let file = message.attachments.get(file);
    file.and_then(|file| file.file_name.clone()).unwrap_or_else(|| "A file".into())
}

#[cfg(test)]
mod tests;
