//! What an operator may set of a plugin.

use serde::Deserialize;

use super::run::matching_in_line;

/// Characters of a value.
const MOST_VALUE: usize = 16 << 10;

/// `[settings.KEY]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Setting {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// `${data-dir}` stands for the host's data directory.
    pub default: Option<String>,
    pub description: String,
    /// A key of the host's own configuration, such as `telegram.format_enabled`: what is said there counts
    /// where `plugins.<name>.settings` says nothing.
    pub config: Option<String>,
    /// Of a `choice`: what may be chosen.
    pub choices: Vec<String>,
    /// Of an `integer` or a `number`: the smallest value.
    pub min: Option<f64>,
    /// Of an `integer` or a `number`: the largest value.
    pub max: Option<f64>,
    /// Of a `text`: a regular expression that a value matches somewhere, unless it is empty.
    pub pattern: Option<String>,
    /// Not shown in listings. What must never reach a component belongs under `[[secrets]]` instead.
    pub secret: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    Choice,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Choice => "choice",
        }
    }
}

impl Setting {
    /// Whether `value` may be set.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right. Never the value of a secret.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let shown = || if self.secret { "the value".to_owned() } else { format!("`{}`", excerpt(value)) };
        if value.chars().count() > MOST_VALUE {
            return Err(format!("it has more than {MOST_VALUE} characters"));
        }
        match self.kind {
            Kind::Text => match self.pattern.as_deref().map(matcher).transpose()? {
                Some(matcher) if !value.is_empty() && !matcher.is_valid(&value.into()) => {
                    Err(format!("{} does not match {}", shown(), self.pattern.as_deref().unwrap_or_default()))
                }
                _ => Ok(()),
            },
            Kind::Integer => {
                let number: i64 = value.parse().map_err(|_| format!("{} is not a whole number", shown()))?;
                self.in_range(number as f64, &shown())
            }
            Kind::Number => {
                let number: f64 = value.parse().map_err(|_| format!("{} is not a number", shown()))?;
                if !number.is_finite() {
                    return Err(format!("{} is not a number", shown()));
                }
                self.in_range(number, &shown())
            }
            Kind::Boolean if ["true", "false"].contains(&value) => Ok(()),
            Kind::Boolean => Err(format!("{} is neither true nor false", shown())),
            Kind::Choice if self.choices.iter().any(|choice| choice == value) => Ok(()),
            Kind::Choice => Err(format!("{} is not one of {}", shown(), self.choices.join(", "))),
        }
    }

    fn in_range(&self, number: f64, shown: &str) -> Result<(), String> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if !(min..=max).contains(&number) => {
                Err(format!("{shown} is not between {min} and {max}"))
            }
            (Some(min), _) if number < min => Err(format!("{shown} is less than {min}")),
            (_, Some(max)) if number > max => Err(format!("{shown} is more than {max}")),
            _ => Ok(()),
        }
    }

    /// Whether it is declared as something that can be.
    pub(super) fn check_itself(&self) -> Result<(), String> {
        let numeric = matches!(self.kind, Kind::Integer | Kind::Number);
        if (self.kind == Kind::Choice) == self.choices.is_empty() {
            return Err("a setting of the type `choice` has `choices`, and no other has".into());
        }
        if !numeric && (self.min.is_some() || self.max.is_some()) {
            return Err("`min` and `max` belong to the types `integer` and `number`".into());
        }
        if self.min.zip(self.max).is_some_and(|(min, max)| min > max) {
            return Err("`min` is more than `max`".into());
        }
        match &self.pattern {
            Some(_) if self.kind != Kind::Text => return Err("`pattern` belongs to the type `text`".into()),
            Some(pattern) => drop(matcher(pattern)?),
            None => {}
        }
        match &self.default {
            Some(default) => self.check(default).map_err(|reason| format!("its default: {reason}")),
            None => Ok(()),
        }
    }
}

/// As JSON Schema matches a `pattern`.
fn matcher(pattern: &str) -> Result<jsonschema::Validator, String> {
    matching_in_line()
        .build(&serde_json::json!({ "type": "string", "pattern": pattern }))
        .map_err(|_| format!("`{pattern}` is not a regular expression"))
}

fn excerpt(value: &str) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> Setting {
        toml::from_str(text).unwrap()
    }

    /// extensions.md #13
    #[test]
    fn values_are_checked_by_their_type() {
        for (declared, good, bad) in [
            ("type = \"choice\"\nchoices = [\"local\", \"openai\"]", &["local", "openai"][..], &["x", "", "Local"][..]),
            ("type = \"integer\"\nmin = 0\nmax = 90", &["0", "90"], &["-1", "91", "1.5", "", "5 ", "many"]),
            ("type = \"number\"\nmin = 0.5", &["0.5", "1e3"], &["0.4", "NaN", "inf", "x"]),
            ("type = \"boolean\"", &["true", "false"], &["1", "yes", ""]),
            ("pattern = \"^https://\"", &["https://x", ""], &["http://x"]),
            ("", &["", "anything"], &[]),
        ] {
            let setting = setting(declared);
            setting.check_itself().unwrap();
            for value in good {
                setting.check(value).unwrap_or_else(|error| panic!("{declared}: {value}: {error}"));
            }
            for value in bad {
                setting.check(value).expect_err(value);
            }
        }
        assert!(setting("").check(&"x".repeat(MOST_VALUE + 1)).is_err());
        assert_eq!(
            setting("type = \"choice\"\nchoices = [\"a\", \"b\"]").check("x").unwrap_err(),
            "`x` is not one of a, b"
        );
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let error = setting("type = \"integer\"\nsecret = true").check("hunter2").unwrap_err();
        assert_eq!(error, "the value is not a whole number");
    }

    #[test]
    fn a_declaration_must_make_sense() {
        for declared in [
            "type = \"choice\"",
            "choices = [\"a\"]",
            "min = 1",
            "type = \"integer\"\nmin = 2\nmax = 1",
            "type = \"boolean\"\npattern = \"x\"",
            "pattern = \"(\"",
            "type = \"integer\"\ndefault = \"x\"",
            "type = \"choice\"\nchoices = [\"a\"]\ndefault = \"b\"",
        ] {
            setting(declared).check_itself().expect_err(declared);
        }
    }
}
