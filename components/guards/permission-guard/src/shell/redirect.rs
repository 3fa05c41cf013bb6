//! Redirections: what a command would read, where its output goes, and which files they name.

use brush_parser::ast::{IoFileRedirectKind, IoFileRedirectTarget, IoRedirect};

use super::content;
use super::field::Field;
use super::walk::{Checked, Input, Walk};
use super::word::Place;

impl Walk<'_> {
    /// Applies redirections around `inner`.
    pub(crate) fn redirected(&mut self, redirects: &[IoRedirect], inner: impl FnOnce(&mut Self) -> Checked) -> Checked {
        let (input, output) = (self.input.clone(), self.output.clone());
        let checked = redirects.iter().try_for_each(|redirect| self.redirect(redirect));
        let checked = checked.and_then(|()| inner(self));
        (self.input, self.output) = (input, output);
        checked
    }

    /// Applies one redirection to what follows.
    pub(crate) fn redirect(&mut self, redirect: &IoRedirect) -> Checked {
        match redirect {
            IoRedirect::HereDocument(_, document) => {
                let text = &document.doc.value;
                let body = if document.requires_expansion {
                    let fields = self.expand(text, Place::HereDocument)?;
                    fields.into_iter().flatten().map(|field| field.text()).collect()
                } else {
                    text.clone()
                };
                self.input = Input::Text(body);
            }
            IoRedirect::HereString(_, word) => {
                let texts: Vec<String> = self.single(&word.value)?.iter().map(Field::text).collect();
                self.input = Input::Text(texts.join("\n"));
            }
            IoRedirect::OutputAndError(word, _) => self.output_to(&word.value)?,
            IoRedirect::File(descriptor, kind, target) => {
                use IoFileRedirectKind as Kind;
                let reads = matches!(kind, Kind::Read | Kind::ReadAndWrite | Kind::DuplicateInput);
                match target {
                    IoFileRedirectTarget::Filename(word) if reads => {
                        let fields = self.single(&word.value)?;
                        self.refuse_named(&fields)?;
                        let known =
                            fields.iter().all(|field| field.known().is_some_and(|name| !content::is_document(&name)));
                        self.input = if known { Input::Nothing } else { Input::Opaque };
                    }
                    IoFileRedirectTarget::Filename(word) | IoFileRedirectTarget::Duplicate(word)
                        if descriptor.is_none_or(|number| number == 1) && !reads =>
                    {
                        self.output_to(&word.value)?;
                    }
                    IoFileRedirectTarget::Filename(word) | IoFileRedirectTarget::Duplicate(word) => {
                        let fields = self.single(&word.value)?;
                        self.refuse_named(&fields)?;
                        if reads {
                            self.input = Input::Opaque;
                        }
                    }
                    IoFileRedirectTarget::Fd(_) if reads => self.input = Input::Opaque,
                    IoFileRedirectTarget::Fd(_) => {}
                    IoFileRedirectTarget::ProcessSubstitution(kind, subshell) => {
                        self.process(kind, subshell)?;
                        if reads {
                            self.input = Input::Opaque;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn output_to(&mut self, word: &str) -> Checked {
        let fields = self.single(word)?;
        self.refuse_named(&fields)?;
        self.output = fields.first().map(Field::text);
        Ok(())
    }
}
