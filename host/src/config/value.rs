//! One raw value, from the file or the environment, into the kind that its key declares.

use serde_json::Value as Json;

use super::keys::Kind;

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(String),
    List(Vec<String>),
    Json(Json),
}

/// As it would be written in the environment.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(flag) => flag.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Json(value) => value.fmt(f),
        }
    }
}

/// Reads an environment value. `Ok(None)` means "as if unset": an empty number, choice or URL is
/// what a generated env file leaves behind, not a wish (config.md C2).
pub(super) fn from_env(kind: Kind, raw: &str) -> Result<Option<Value>, String> {
    let text = raw.trim();
    if text.is_empty() {
        return Ok(match kind {
            Kind::List => Some(Value::List(Vec::new())),
            _ => None,
        });
    }
    let value = match kind {
        Kind::Bool => Value::Bool(text == "1" || text.eq_ignore_ascii_case("true")),
        Kind::Int { .. } => Value::Int(text.parse().map_err(|_| format!("`{text}` is not a whole number"))?),
        Kind::Number { .. } => Value::Number(text.parse().map_err(|_| format!("`{text}` is not a number"))?),
        Kind::Choice(_) | Kind::Text | Kind::Url => Value::Text(text.to_owned()),
        Kind::List => Value::List(split(text)),
        Kind::Json => Value::Json(serde_json::from_str(text).map_err(|error| format!("is not valid JSON: {error}"))?),
    };
    in_range(kind, value).map(Some)
}

/// Whether nobody can have meant the other: what the replaced system takes for off includes `yes`.
pub(super) fn is_plain_flag(raw: &str) -> bool {
    ["true", "1", "false", "0", "no", "off"].iter().any(|plain| raw.trim().eq_ignore_ascii_case(plain))
}

/// Reads a value of the file.
pub(super) fn from_file(kind: Kind, raw: &Json) -> Result<Option<Value>, String> {
    let value = match (kind, raw) {
        (_, Json::Null) => return Ok(None),
        (Kind::Bool, Json::Bool(flag)) => Value::Bool(*flag),
        (Kind::Bool, _) => return Err("must be true or false".into()),
        (Kind::Int { .. }, _) => Value::Int(raw.as_i64().ok_or("must be a whole number")?),
        (Kind::Number { .. }, _) => Value::Number(raw.as_f64().ok_or("must be a number")?),
        (Kind::Choice(_) | Kind::Text | Kind::Url, Json::String(text)) => Value::Text(text.clone()),
        (Kind::Text, Json::Number(number)) => Value::Text(number.to_string()),
        (Kind::Choice(_) | Kind::Text | Kind::Url, _) => return Err("must be text".into()),
        (Kind::List, Json::String(text)) => Value::List(split(text)),
        (Kind::List, Json::Array(items)) => Value::List(
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or("must be a list of text"))
                .collect::<Result<_, _>>()?,
        ),
        (Kind::List, _) => return Err("must be a list of text".into()),
        (Kind::Json, _) => Value::Json(raw.clone()),
    };
    in_range(kind, value).map(Some)
}

fn in_range(kind: Kind, value: Value) -> Result<Value, String> {
    match (kind, &value) {
        (Kind::Int { min, max }, Value::Int(number)) if !(min..=max).contains(number) => {
            Err(format!("{number} is not between {min} and {max}"))
        }
        (Kind::Number { min, max }, Value::Number(number)) if !(min..=max).contains(number) => {
            Err(format!("{number} is not between {min} and {max}"))
        }
        (Kind::Choice(choices), Value::Text(text)) if !choices.contains(&text.as_str()) => {
            Err(format!("`{text}` is not one of {}", choices.join(", ")))
        }
        (Kind::Url, Value::Text(text)) => match text.parse::<axum::http::Uri>() {
            Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => Ok(value),
            _ => Err(format!("`{text}` is not a URL with scheme and host")),
        },
        _ => Ok(value),
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// config.md #20: only `true` and `1` are true.
    #[test]
    fn booleans() {
        for (raw, expected) in [("TRUE", true), ("1", true), ("yes", false), ("0", false)] {
            assert_eq!(from_env(Kind::Bool, raw), Ok(Some(Value::Bool(expected))), "{raw}");
        }
        assert_eq!(from_env(Kind::Bool, ""), Ok(None));
        assert!(is_plain_flag(" TRUE") && is_plain_flag("off") && !is_plain_flag("yes") && !is_plain_flag("on"));
    }

    /// config.md #26: trailing garbage is an error, an empty number counts as unset.
    #[test]
    fn numbers() {
        let kind = Kind::Int { min: 1, max: 10 };
        assert!(from_env(kind, "5abc").is_err());
        assert!(from_env(kind, "11").is_err());
        assert_eq!(from_env(kind, " "), Ok(None));
        assert_eq!(from_env(kind, "7"), Ok(Some(Value::Int(7))));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(raw in ".*") {
            for kind in [Kind::Bool, Kind::Int { min: 0, max: 9 }, Kind::List, Kind::Url, Kind::Json, Kind::Choice(&["a"])] {
                let _ = from_env(kind, &raw);
            }
        }
    }
}
