//! Text that bash evaluates once more: arithmetic, tests, and what builtins take as a name.

use brush_parser::ast::ExtendedTestExpr;

use super::walk::{Checked, Walk};
use super::word::Place;

impl Walk<'_> {
    pub(super) fn test(&mut self, expression: &ExtendedTestExpr) -> Checked {
        match expression {
            ExtendedTestExpr::And(left, right) | ExtendedTestExpr::Or(left, right) => {
                self.test(left)?;
                self.test(right)
            }
            ExtendedTestExpr::Not(inner) | ExtendedTestExpr::Parenthesized(inner) => self.test(inner),
            // A shell without `[[` reads `[[ x || gws ]]` as two commands.
            ExtendedTestExpr::UnaryTest(_, word) => {
                let fields = self.single(&word.value)?;
                self.refuse_named(&fields)?;
                self.deferred(&word.value)
            }
            ExtendedTestExpr::BinaryTest(_, left, right) => {
                let fields = self.single(&left.value)?;
                self.refuse_named(&fields)?;
                self.deferred(&left.value)?;
                self.deferred(&right.value)
            }
        }
    }

    /// A word that bash may evaluate once more, as arithmetic.
    fn deferred(&mut self, word: &str) -> Checked {
        for field in self.single(word)? {
            self.evaluated_again(&field.text())?;
        }
        Ok(())
    }

    /// Text that is data until some builtin evaluates it: `x='a[$(gws)]'; ((x))`.
    pub(crate) fn evaluated_again(&mut self, text: &str) -> Checked {
        if text.contains("$(") || text.contains('`') { self.quoted(text) } else { Ok(()) }
    }

    /// Text whose command substitutions run, as in double quotes.
    pub(super) fn quoted(&mut self, text: &str) -> Checked {
        self.expand(text, Place::HereDocument).map(drop)
    }
}
