//! What a request asks for, read from its body without trusting it: the model decides what it
//! costs, so there must be only one way to read it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// The fields that matter. The rest of the body is passed on as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    pub model: Option<String>,
    pub streams: bool,
    /// Models that the provider may use instead: `fallbacks` of Anthropic's API.
    pub fallbacks: Vec<String>,
    /// OpenRouter's `models`: any of them, in the client's order.
    pub alternatives: Vec<String>,
}

impl Ask {
    /// # Errors
    /// Where the body is no JSON object, or names a field twice: the provider might read the other.
    pub(super) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

#[derive(Deserialize)]
struct Fallback {
    model: String,
}

impl<'de> Deserialize<'de> for Ask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Ask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ask, A::Error> {
        use serde::de::Error;
        const READ: [&str; 4] = ["model", "stream", "fallbacks", "models"];
        let mut ask = Ask::default();
        let mut seen = [false; 4];
        while let Some(key) = map.next_key::<String>()? {
            // Some servers do not mind the case, so another spelling is the same field once more.
            let Some(index) = READ.iter().position(|name| name.eq_ignore_ascii_case(&key)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if READ[index] != key || std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::custom(format!("the field `{key}` may stand there once, in lower case")));
            }
            match index {
                0 => ask.model = map.next_value()?,
                1 => ask.streams = map.next_value::<Option<bool>>()?.unwrap_or(false),
                2 => {
                    let fallbacks = map.next_value::<Option<Vec<Fallback>>>()?.unwrap_or_default();
                    ask.fallbacks = fallbacks.into_iter().map(|fallback| fallback.model).collect();
                }
                _ => ask.alternatives = map.next_value::<Option<Vec<String>>>()?.unwrap_or_default(),
            }
        }
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_decides_the_cost_is_read() {
        let body =
            br#"{"messages":[{"model":"inner"}],"model":"m","stream":true,"fallbacks":[{"model":"f"}],"models":["a"]}"#;
        let expected =
            Ask { model: Some("m".into()), streams: true, fallbacks: vec!["f".into()], alternatives: vec!["a".into()] };
        assert_eq!(Ask::parse(body).unwrap(), expected);
        assert_eq!(Ask::parse(b"{}").unwrap(), Ask::default());
    }

    #[test]
    fn a_body_that_can_be_read_in_two_ways_is_refused() {
        for body in [
            r#"{"model":"cheap","model":"dear"}"#,
            r#"{"model":"cheap","Model":"dear"}"#,
            r#"{"MODEL":"dear"}"#,
            r#"{"model":"cheap","mod\u0065l":"dear"}"#,
            r#"{"model":["dear"]}"#,
            r#"["model"]"#,
            r#"{"model":"a"} {"model":"b"}"#,
            "",
        ] {
            assert!(Ask::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>) {
            let _ = Ask::parse(&body);
        }

        /// Wherever it stands, and whatever stands around it.
        #[test]
        fn the_model_is_found(before in "[a-z]{1,5}", model in "[ -~]{0,20}") {
            prop_assume!(!["model", "stream", "models"].contains(&before.as_str()));
            let body = serde_json::json!({ &before: { "model": "x" }, "model": &model }).to_string();
            prop_assert_eq!(Ask::parse(body.as_bytes()).unwrap().model, Some(model));
        }
    }
}
