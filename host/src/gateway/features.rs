//! What a body asks of a provider beside running the model: tools that run at the provider, files
//! and addresses that it fetches, state that it keeps, dearer tiers. Those reach the network past
//! the run's own, and cost what no price here knows, so they are refused. pi sends none of them
//! (pi-ai 0.87.1, `api/*.js`).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::api::Api;
use crate::domain::json;

/// Brackets, commas and colons outside of strings: what a tree of the body costs grows with them.
const MOST_STRUCTURE: usize = 1_000_000;
/// Stands for the length of an answer where the request sets none.
const USUAL_OUTPUT: u64 = 32_768;
/// No model writes more in one answer; a larger number must not empty the budgets of others.
const MOST_OUTPUT: u64 = 262_144;

/// A body as it stands there: a field that stands twice is there twice, since nobody knows which
/// of them a provider reads.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(u64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Whether the body is too intricate to be taken apart.
pub(super) fn too_intricate(body: &[u8]) -> bool {
    json::structure(body) > MOST_STRUCTURE
}

/// Fields of the body itself that pi never sends.
const NEVER: &[&str] = &[
    "mcp_servers",
    "container",
    "speed",
    "inference_geo",
    "plugins",
    "preset",
    "web_search_options",
    "search_parameters",
    "conversation",
    "previous_response_id",
    "prompt",
    "cached_content",
];
/// Those that may be there when they say no.
const NEVER_ON: &[&str] = &["background", "store", "enable_search"];
const TIERS: &[&str] = &["auto", "default", "standard_only"];
/// What a tool takes or gave. It is the agent's own and no provider looks for content in it.
const OPAQUE: &[&str] = &[
    "input",
    "input_schema",
    "input_examples",
    "parameters",
    "parameters_json_schema",
    "arguments",
    "args",
    "response",
    "schema",
    "json_schema",
    "response_schema",
    "response_json_schema",
    "metadata",
];
/// Content by address; the data themselves stand there as `data:`.
const ADDRESSES: &[&str] = &["image_url", "video_url", "audio_url", "file_url", "document_url"];

/// # Errors
/// With the field that is not allowed.
pub(super) fn check(api: Api, body: &Node<'_>) -> Result<(), &'static str> {
    let Node::Map(fields) = body else { return Ok(()) };
    for (key, value) in fields.iter().filter(|(_, value)| !matches!(value, Node::Null)) {
        if let Some(name) = NEVER.iter().find(|name| same(name, key)) {
            return Err(name);
        }
        if let Some(name) = NEVER_ON.iter().find(|name| same(name, key))
            && !matches!(value, Node::Bool(false))
        {
            return Err(name);
        }
        if same("service_tier", key) && !value.text().is_some_and(|tier| TIERS.contains(&tier)) {
            return Err("service_tier");
        }
        // `input` is where the responses API has its messages.
        field(api, key, value, true)?;
    }
    Ok(())
}

fn field(api: Api, key: &str, value: &Node<'_>, top: bool) -> Result<(), &'static str> {
    if matches!(value, Node::Null) || !top && OPAQUE.iter().any(|name| same(name, key)) {
        return Ok(());
    }
    if same("tools", key) {
        let tools = match value {
            Node::List(tools) => tools.as_slice(),
            one => std::slice::from_ref(one),
        };
        tools.iter().try_for_each(|it| tool(api, it))?;
    }
    if let Some(name) = ADDRESSES.iter().find(|name| same(name, key)) {
        let data = |node: &Node<'_>| node.text().is_some_and(|text| text.starts_with("data:"));
        let here = match value {
            Node::Map(_) => value.all("url").all(data),
            other => data(other),
        };
        if !here {
            return Err(name);
        }
    }
    let data = value.text().is_some_and(|text| text.starts_with("data:"));
    if same("file_data", key) && (api == Api::Google || !data) {
        return Err("file_data");
    }
    if same("file_id", key) {
        return Err("file_id");
    }
    let inline = |kind: &Node<'_>| matches!(kind.text(), Some("base64" | "text" | "content"));
    if same("source", key) && !value.all("type").all(inline) {
        return Err("source.type");
    }
    if same("type", key) && value.text() == Some("item_reference") {
        return Err("item_reference");
    }
    walk(api, value)
}

fn walk(api: Api, value: &Node<'_>) -> Result<(), &'static str> {
    match value {
        Node::List(items) => items.iter().try_for_each(|item| walk(api, item)),
        Node::Map(fields) => fields.iter().try_for_each(|(key, value)| field(api, key, value, false)),
        _ => Ok(()),
    }
}

/// A tool that the agent itself runs.
fn tool(api: Api, tool: &Node<'_>) -> Result<(), &'static str> {
    let own = |kind: &Node<'_>| matches!(kind, Node::Null) || matches!(kind.text(), Some("custom" | "function"));
    match tool {
        Node::Map(fields) if api == Api::Google => {
            let declared = fields.iter().all(|(key, _)| same("function_declarations", key));
            if declared { Ok(()) } else { Err("tools") }
        }
        _ if tool.all("type").all(own) => Ok(()),
        _ => Err("tools[].type"),
    }
}

/// The most tokens that the answer may have.
pub(super) fn most_output(api: Api, body: &Node<'_>) -> u64 {
    let of = |node: &Node<'_>, names: &[&str]| {
        let numbers = names.iter().flat_map(|name| node.all(name));
        // Google takes a number in quotes, too; zero is no limit to some servers.
        let numbers = numbers.filter_map(|node| match node {
            Node::Number(number) => Some(*number),
            other => other.text()?.parse().ok(),
        });
        numbers.filter(|number| *number > 0).max()
    };
    let (length, answers) = if api == Api::Google {
        let most = |name| body.all("generation_config").filter_map(|config| of(config, &[name])).max();
        (most("max_output_tokens"), most("candidate_count"))
    } else {
        (of(body, &["max_tokens", "max_completion_tokens", "max_output_tokens"]), of(body, &["n"]))
    };
    length.unwrap_or(USUAL_OUTPUT).saturating_mul(answers.unwrap_or(1)).min(MOST_OUTPUT)
}

/// Google takes a name in two spellings, and some servers do not mind the case.
fn same(name: &str, key: &str) -> bool {
    fn plain(text: &str) -> impl Iterator<Item = u8> {
        text.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase())
    }
    key.len() <= 64 && plain(name).eq(plain(key))
}

impl<'a> Node<'a> {
    /// # Errors
    /// Where the body is no JSON.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Every value of that name.
    fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Node<'a>> {
        let fields = if let Self::Map(fields) = self { fields.as_slice() } else { &[] };
        fields.iter().filter(move |(key, _)| same(name, key)).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Node::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Node::Number(0))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        // Saturates; some servers take `4096.0`.
        Ok(Node::Number(value as u64))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Node<'de>>()? {
            match key {
                Node::Text(key) => fields.push((key, map.next_value()?)),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Node::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(api: Api, body: &str) -> Result<(), &'static str> {
        check(api, &Node::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn what_a_provider_would_do_by_itself_is_refused() {
        use Api::{Anthropic, Chat, Google, Mistral, Responses};
        for (api, body, field) in [
            (Anthropic, r#"{"mcp_servers":[{"url":"https://x"}]}"#, "mcp_servers"),
            (Anthropic, r#"{"container":"c"}"#, "container"),
            (Anthropic, r#"{"speed":"fast"}"#, "speed"),
            (Anthropic, r#"{"service_tier":"priority"}"#, "service_tier"),
            (Anthropic, r#"{"service_tier":"auto","service_tier":"flex"}"#, "service_tier"),
            (Anthropic, r#"{"service_tier":["flex"]}"#, "service_tier"),
            (Anthropic, r#"{"tools":[{"name":"a"},{"type":"web_search_20250305"}]}"#, "tools[].type"),
            (Anthropic, r#"{"tools":[{"type":"custom","type":"web_fetch_20250910"}]}"#, "tools[].type"),
            (Anthropic, r#"{"tools":[],"to\u006fls":[{"type":"code_execution_20250825"}]}"#, "tools[].type"),
            (Anthropic, r#"{"messages":[{"content":[{"source":{"type":"url","url":"https://x"}}]}]}"#, "source.type"),
            (
                Anthropic,
                r#"{"messages":[{"content":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}]}"#,
                "source.type",
            ),
            (Anthropic, r#"{"messages":[{"content":[{"type":"container_upload","file_id":"f"}]}]}"#, "file_id"),
            (Chat, r#"{"plugins":[{"id":"web"}]}"#, "plugins"),
            (Chat, r#"{"web_search_options":{}}"#, "web_search_options"),
            (Chat, r#"{"search_parameters":{"mode":"on"}}"#, "search_parameters"),
            (Chat, r#"{"store":true}"#, "store"),
            (Chat, r#"{"messages":[{"content":[{"image_url":{"url":"https://x/a.png"}}]}]}"#, "image_url"),
            (Chat, r#"{"messages":[{"content":[{"image_url":{"url":"data:x","url":"http://x"}}]}]}"#, "image_url"),
            (Chat, r#"{"messages":[{"tools":[{"type":"builtin_function"}]}]}"#, "tools[].type"),
            (Mistral, r#"{"messages":[{"content":[{"document_url":"https://x"}]}]}"#, "document_url"),
            (Mistral, r#"{"messages":[{"content":[{"imageUrl":"https://x"}]}]}"#, "image_url"),
            (Responses, r#"{"background":true}"#, "background"),
            (Responses, r#"{"Background":true}"#, "background"),
            (Responses, r#"{"conversation":"c"}"#, "conversation"),
            (Responses, r#"{"previous_response_id":"r"}"#, "previous_response_id"),
            (Responses, r#"{"prompt":{"id":"p"}}"#, "prompt"),
            (Responses, r#"{"tools":[{"type":"mcp","server_url":"https://x"}]}"#, "tools[].type"),
            (Responses, r#"{"tools":[{"type":"image_generation"}]}"#, "tools[].type"),
            (Responses, r#"{"input":[{"type":"additional_tools","tools":[{"type":"file_search"}]}]}"#, "tools[].type"),
            (Responses, r#"{"input":[{"content":[{"image_url":"https://x"}]}]}"#, "image_url"),
            (Responses, r#"{"input":[{"content":[{"type":"input_file","file_url":"https://x"}]}]}"#, "file_url"),
            (Responses, r#"{"input":[{"type":"item_reference","id":"i"}]}"#, "item_reference"),
            (Google, r#"{"tools":[{"googleSearch":{}}]}"#, "tools"),
            (Google, r#"{"tools":[{"functionDeclarations":[],"url_context":{}}]}"#, "tools"),
            (Google, r#"{"contents":[{"parts":[{"fileData":{"fileUri":"https://x"}}]}]}"#, "file_data"),
            (Google, r#"{"contents":[{"parts":[{"file_data":{}}]}]}"#, "file_data"),
            (Google, r#"{"cachedContent":"c"}"#, "cached_content"),
        ] {
            assert_eq!(checked(api, body), Err(field), "{body}");
        }
    }

    /// The forms of pi-ai 0.87.1, and tools whose arguments are called as such a field is.
    #[test]
    fn what_pi_sends_passes() {
        use Api::{Anthropic, Chat, Google, Mistral, Responses};
        for (api, body) in [
            (
                Anthropic,
                r#"{"max_tokens":9,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},
                "tools":[{"name":"a","input_schema":{"properties":{"file_id":{},"source":{"type":"url"}}},"defer_loading":true}],
                "messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"x"}}]},
                {"role":"assistant","content":[{"type":"tool_use","input":{"image_url":"https://x","tools":[{"type":"mcp"}]}}]},
                {"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"a"}}]}]}"#,
            ),
            (
                Chat,
                r#"{"store":false,"service_tier":null,"provider":{"order":["a"]},"stream_options":{"include_usage":true},
                "tools":[{"type":"function","function":{"name":"a","parameters":{"properties":{"image_url":{"type":"string"}}}}}],
                "messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,x"}}]}]}"#,
            ),
            (Mistral, r#"{"messages":[{"content":[{"type":"image_url","image_url":"data:image/png;base64,x"}]}]}"#),
            (
                Responses,
                r#"{"store":false,"service_tier":"auto","include":["reasoning.encrypted_content"],"tools":[{"type":"custom"}],
                "input":[{"content":[{"type":"input_image","image_url":"data:x"}]},{"type":"function_call_output","output":"x"},
                {"type":"tool_search_output","execution":"client","tools":[{"type":"function"}]}]}"#,
            ),
            (
                Google,
                r#"{"tools":[{"functionDeclarations":[{"parametersJsonSchema":{"properties":{"fileData":{}}}}]}],
                "contents":[{"parts":[{"inlineData":{"data":"x"}},{"functionCall":{"args":{"fileData":1}}},
                {"functionResponse":{"response":{"file_id":1}}}]}]}"#,
            ),
        ] {
            assert_eq!(checked(api, body), Ok(()), "{body}");
        }
    }

    #[test]
    fn the_most_that_an_answer_may_have() {
        let most = |api, body: &str| most_output(api, &Node::parse(body.as_bytes()).unwrap());
        assert_eq!(most(Api::Anthropic, r#"{"max_tokens":100}"#), 100);
        assert_eq!(most(Api::Chat, r#"{"max_tokens":1,"max_completion_tokens":200,"n":3}"#), 600);
        assert_eq!(most(Api::Responses, r#"{"max_output_tokens":300}"#), 300);
        assert_eq!(most(Api::Google, r#"{"generationConfig":{"maxOutputTokens":400}}"#), 400);
        assert_eq!(most(Api::Google, r#"{"generation_config":{"max_output_tokens":"500"}}"#), 500);
        assert_eq!(most(Api::Chat, "{}"), USUAL_OUTPUT);
        assert_eq!(most(Api::Chat, r#"{"max_tokens":-1}"#), USUAL_OUTPUT);
        assert_eq!(most(Api::Chat, r#"{"max_tokens":99999999999999}"#), MOST_OUTPUT);
    }

    #[test]
    fn an_intricate_body_is_not_taken_apart() {
        let nested = format!("[{}0]", "{},".repeat(MOST_STRUCTURE));
        assert!(too_intricate(nested.as_bytes()));
        let text = format!(r#"{{"a":"\"{}"}}"#, "{},".repeat(MOST_STRUCTURE));
        assert!(!too_intricate(text.as_bytes()), "within a string it is text");
    }
}
