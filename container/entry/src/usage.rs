//! Counting tokens and cost over a run: every attempt counts, also one that failed.

use mercury_protocol::io::Usage;
use serde_json::Value;

/// A sum of what the provider reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    input: u64,
    output: u64,
    /// Of messages that report nothing but a total.
    total_only: u64,
    cache_read: u64,
    cache_write: u64,
    /// US dollars.
    cost: f64,
}

impl Tally {
    /// Adds one message's `usage`. Providers name things differently; what is no number is 0.
    pub(crate) fn add(&mut self, usage: &Value) {
        let first = |names: &[&str]| names.iter().find_map(|name| usage.get(*name)).map_or(0, count);
        let input = first(&["input", "input_tokens", "promptTokens", "prompt_tokens"]);
        let output = first(&["output", "output_tokens", "completionTokens", "completion_tokens"]);
        if input == 0 && output == 0 {
            self.total_only += first(&["totalTokens", "total_tokens"]);
        }
        self.input += input;
        self.output += output;
        self.cache_read += first(&["cacheRead", "cache_read"]);
        self.cache_write += first(&["cacheWrite", "cache_write"]);
        let cost = usage.pointer("/cost/total").and_then(Value::as_f64).unwrap_or(0.0);
        self.cost += cost.max(0.0);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.input += other.input;
        self.output += other.output;
        self.total_only += other.total_only;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
        self.cost += other.cost;
    }

    /// Whether anything was reported.
    pub(crate) fn says_something(&self) -> bool {
        *self != Self::default()
    }

    /// As the result shows it; `None` if nothing was reported. Cache tokens are not in the total.
    pub fn shown(&self, model: Option<String>, provider: Option<String>) -> Option<Usage> {
        let some = |number: u64| (number > 0).then_some(number);
        self.says_something().then(|| Usage {
            input_tokens: self.input,
            output_tokens: self.output,
            total_tokens: some(self.input + self.output).or(some(self.total_only)),
            cache_read_tokens: some(self.cache_read),
            cache_write_tokens: some(self.cache_write),
            cost: (self.cost > 0.0).then_some(self.cost),
            model,
            provider,
        })
    }
}

/// A token count, also where a provider writes it as a float.
fn count(value: &Value) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and a negative count is 0")]
    value.as_u64().unwrap_or_else(|| value.as_f64().unwrap_or(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aliases_floats_and_nonsense() {
        let mut tally = Tally::default();
        tally.add(&json!({"prompt_tokens": 3, "completionTokens": 2.0, "cache_read": "x", "cost": {"total": -1}}));
        let usage = tally.shown(None, None).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cost), (3, 2, None, None));
        assert_eq!(Tally::default().shown(None, None), None);
    }
}
