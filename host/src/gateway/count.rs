//! Reads from a provider's answer what it will charge for. The agent's own word for it does not
//! count.

use serde_json::Value;

use super::{api::Api, forward::MOST_NAME};
use crate::domain::price::Tokens;

/// Characters that make about one token, where the provider did not come to say.
const CHARACTERS_PER_TOKEN: u64 = 4;

/// What the answer said so far.
#[derive(Debug)]
pub(super) struct Count {
    api: Api,
    tokens: Tokens,
    /// The model that answered, in the provider's words.
    model: Option<String>,
    tier: Option<String>,
    /// The provider gave its final figures.
    reported: bool,
    /// Characters of the answer, for an estimate.
    written: u64,
}

/// What a whole call came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub tokens: Tokens,
    pub model: Option<String>,
    /// Of the usual price: that of the service tier.
    pub factor: f64,
    /// The provider's own figures rather than an estimate.
    pub exact: bool,
}

/// Tokens of a request of so many bytes, roughly.
pub(super) fn estimate(bytes: usize) -> u64 {
    bytes as u64 / CHARACTERS_PER_TOKEN
}

/// A provider's word for a model, fit for the ledger.
fn named(model: &str) -> String {
    let mut name: String = model.chars().filter(|it| !it.is_control()).take(MOST_NAME).collect();
    name.truncate(name.floor_char_boundary(MOST_NAME));
    name
}

impl Count {
    pub(super) fn new(api: Api) -> Self {
        Self { api, tokens: Tokens::default(), model: None, tier: None, reported: false, written: 0 }
    }

    /// One event of a stream.
    pub(super) fn event(&mut self, data: &str) {
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        match self.api {
            Api::Anthropic => self.anthropic(&event),
            Api::Chat | Api::Mistral => self.chat(&event),
            Api::Responses => self.responses(&event),
            Api::Google => self.google(&event),
        }
    }

    /// A whole answer that was no stream.
    pub(super) fn body(&mut self, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        match self.api {
            Api::Anthropic => {
                self.anthropic_usage(&body["usage"]);
                self.answered_by(&body);
                self.reported = body["usage"].is_object();
            }
            Api::Chat | Api::Mistral => self.chat(&body),
            Api::Responses => self.response(&body),
            Api::Google => self.google(&body),
        }
    }

    /// For a call that broke off before its figures: `asked` is the estimate of the request's tokens,
    /// `most` what its answer may have. Where nothing of the answer was seen the provider may still
    /// write it to its end, and charge for it.
    pub(super) fn finish(mut self, asked: u64, most: u64) -> Counted {
        if !self.reported {
            let seen = match self.written.div_ceil(CHARACTERS_PER_TOKEN) {
                0 => most,
                seen => seen,
            };
            self.tokens.output = self.tokens.output.max(seen);
            if self.tokens.input + self.tokens.cache_read + self.tokens.cache_write == 0 {
                self.tokens.input = asked;
            }
        }
        let factor = match (self.tier.as_deref(), self.model.as_deref()) {
            // OpenAI's tiers, as pi-ai 0.87.1 counts them (`getServiceTierCostMultiplier`).
            (Some("flex"), _) => 0.5,
            (Some("priority"), Some(model)) if model.starts_with("gpt-5.5") => 2.5,
            (Some("priority"), _) => 2.0,
            _ => 1.0,
        };
        Counted { tokens: self.tokens, model: self.model, factor, exact: self.reported }
    }

    fn answered_by(&mut self, message: &Value) {
        if let Some(model) = message["model"].as_str().filter(|model| !model.is_empty()) {
            self.model = Some(named(model));
        }
        if let Some(tier) = message["service_tier"].as_str() {
            self.tier = Some(tier.to_owned());
        }
    }

    fn wrote(&mut self, text: &Value) {
        self.written += text.as_str().map_or(0, |text| text.chars().count() as u64);
    }

    fn anthropic(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("message_start") => {
                self.anthropic_usage(&event["message"]["usage"]);
                self.answered_by(&event["message"]);
            }
            Some("content_block_delta") => {
                for part in ["text", "thinking", "partial_json"] {
                    self.wrote(&event["delta"][part]);
                }
            }
            Some("message_delta") if event["usage"].is_object() => {
                self.anthropic_usage(&event["usage"]);
                self.reported = true;
            }
            _ => {}
        }
    }

    /// Figures are totals so far; those that an event leaves out stand.
    fn anthropic_usage(&mut self, usage: &Value) {
        let tokens = &mut self.tokens;
        for (name, place) in [
            ("input_tokens", &mut tokens.input),
            ("output_tokens", &mut tokens.output),
            ("cache_read_input_tokens", &mut tokens.cache_read),
            ("cache_creation_input_tokens", &mut tokens.cache_write),
        ] {
            if let Some(number) = usage[name].as_u64() {
                *place = number;
            }
        }
        if let Some(number) = usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64() {
            tokens.cache_write_long = number;
        }
    }

    fn chat(&mut self, chunk: &Value) {
        self.answered_by(chunk);
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        for choice in choices {
            for text in ["content", "reasoning_content", "reasoning"] {
                self.wrote(&choice["delta"][text]);
            }
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                self.wrote(&call["function"]["arguments"]);
                self.wrote(&call["custom"]["input"]);
            }
        }
        // Moonshot has it in the choice.
        let usage = std::iter::once(&chunk["usage"]).chain(choices.iter().map(|choice| &choice["usage"]));
        for usage in usage.filter(|usage| usage.is_object()) {
            let number = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
            let cache_read = number("/prompt_tokens_details/cached_tokens")
                .or_else(|| number("/prompt_cache_hit_tokens"))
                .or_else(|| number("/cached_tokens"))
                .unwrap_or(0);
            let cache_write = number("/prompt_tokens_details/cache_write_tokens").unwrap_or(0);
            self.tokens = Tokens {
                input: number("/prompt_tokens").unwrap_or(0).saturating_sub(cache_read + cache_write),
                output: number("/completion_tokens").unwrap_or(0),
                cache_read,
                cache_write,
                cache_write_long: 0,
            };
            self.reported = true;
        }
    }

    fn responses(&mut self, event: &Value) {
        self.wrote(&event["delta"]);
        if event["response"].is_object() {
            self.response(&event["response"]);
        }
    }

    fn response(&mut self, response: &Value) {
        self.answered_by(response);
        let usage = &response["usage"];
        if !usage.is_object() {
            return;
        }
        let number = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let cache_read = number("/input_tokens_details/cached_tokens");
        let cache_write = number("/input_tokens_details/cache_write_tokens");
        self.tokens = Tokens {
            input: number("/input_tokens").saturating_sub(cache_read + cache_write),
            output: number("/output_tokens"),
            cache_read,
            cache_write,
            cache_write_long: 0,
        };
        self.reported = true;
    }

    fn google(&mut self, chunk: &Value) {
        if let Some(model) = chunk["modelVersion"].as_str() {
            self.model = Some(named(model));
        }
        let candidates = chunk["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
        for part in candidates.iter().filter_map(|candidate| candidate["content"]["parts"].as_array()).flatten() {
            self.wrote(&part["text"]);
            if part["functionCall"].is_object() {
                self.written += part["functionCall"].to_string().len() as u64;
            }
        }
        let usage = &chunk["usageMetadata"];
        if !usage.is_object() {
            return;
        }
        let number = |name: &str| usage[name].as_u64().unwrap_or(0);
        let cache_read = number("cachedContentTokenCount");
        self.tokens = Tokens {
            input: number("promptTokenCount").saturating_sub(cache_read),
            output: number("candidatesTokenCount") + number("thoughtsTokenCount"),
            cache_read,
            ..Tokens::default()
        };
        self.reported = candidates.iter().any(|candidate| candidate["finishReason"].is_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn count(api: Api, events: &[Value]) -> Counted {
        let mut count = Count::new(api);
        for event in events {
            count.event(&event.to_string());
        }
        count.finish(1000, 500)
    }

    fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
        Tokens { input, output, cache_read, cache_write, cache_write_long: 0 }
    }

    fn anthropic() -> [Value; 3] {
        [
            json!({"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 12, "output_tokens": 1,
                "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 10}}}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "12345678 12345678 12345678 12345678 "}}),
            json!({"type": "message_delta", "usage": {"output_tokens": 5}}),
        ]
    }

    #[test]
    fn anthropic_streams() {
        let counted = count(Api::Anthropic, &anthropic());
        assert_eq!(counted.tokens, Tokens { cache_write_long: 10, ..tokens(12, 5, 100, 30) });
        assert_eq!((counted.model.as_deref(), counted.exact), (Some("claude"), true));
    }

    #[test]
    fn what_broke_off_is_estimated() {
        let counted = count(Api::Anthropic, &anthropic()[..2]);
        assert_eq!((counted.tokens.input, counted.tokens.output, counted.exact), (12, 9, false));
        let counted = count(Api::Chat, &[json!({"choices": [{"delta": {"content": "four"}}], "usage": null})]);
        assert_eq!((counted.tokens, counted.exact), (tokens(1000, 1, 0, 0), false));
        assert_eq!(count(Api::Responses, &[]).tokens, tokens(1000, 500, 0, 0), "nothing was seen of the answer");
        assert_eq!(count(Api::Anthropic, &anthropic()[..1]).tokens.output, 500);
        let mut whole = Count::new(Api::Chat);
        whole.body(b"{\"choices\":[");
        assert_eq!(whole.finish(1000, 500).tokens, tokens(1000, 500, 0, 0), "a whole answer that broke off");
    }

    #[test]
    fn chat_completions() {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10}});
        let last = json!({"model": "m", "choices": [], "usage": usage});
        let counted =
            count(Api::Chat, &[json!({"choices": [{"delta": {"content": "x"}}], "usage": null}), last.clone()]);
        assert_eq!((counted.tokens, counted.exact), (tokens(50, 7, 40, 10), true));
        let inside = json!({"choices": [{"delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1}}]});
        assert_eq!(count(Api::Mistral, &[inside]).tokens, tokens(2, 2, 1, 0));
        let mut whole = Count::new(Api::Chat);
        whole.body(last.to_string().as_bytes());
        assert_eq!(whole.finish(0, 0).tokens, tokens(50, 7, 40, 10));
    }

    #[test]
    fn responses_and_their_tiers() {
        let usage = json!({"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 60}});
        let done = json!({"type": "response.completed", "response": {"model": "gpt-5.5", "service_tier": "priority", "usage": usage}});
        let counted = count(Api::Responses, &[json!({"type": "response.output_text.delta", "delta": "hi"}), done]);
        assert_eq!((counted.tokens, counted.exact, counted.factor), (tokens(40, 7, 60, 0), true, 2.5));
    }

    #[test]
    fn google_says_it_in_every_chunk() {
        let chunk = |output: u64, reason: Option<&str>| {
            json!({"modelVersion": "gemini", "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": output, "thoughtsTokenCount": 2, "cachedContentTokenCount": 4}})
        };
        let counted = count(Api::Google, &[chunk(1, None), chunk(3, Some("STOP"))]);
        assert_eq!((counted.tokens, counted.exact), (tokens(6, 5, 4, 0), true));
        assert!(!count(Api::Google, &[chunk(1, None)]).exact);
    }

    #[test]
    fn a_models_name_is_cut_and_plain() {
        let long = format!("a\n{}", "\u{e9}".repeat(300));
        let name = count(Api::Chat, &[json!({ "model": long })]).model.unwrap();
        assert!(name.starts_with("a\u{e9}") && name.len() <= MOST_NAME, "{name}");
    }

    #[test]
    fn nonsense_counts_nothing() {
        let mut count = Count::new(Api::Anthropic);
        for text in ["[DONE]", "", "{", "[1]", r#"{"type":"message_delta","usage":{"output_tokens":-5}}"#] {
            count.event(text);
        }
        assert_eq!(count.finish(0, 0).tokens, Tokens::default());
    }
}
