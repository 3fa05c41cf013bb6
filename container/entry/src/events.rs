//! pi's event stream, read once, line by line, as bytes. Keeps what decides the run's end and
//! nothing else: the last assistant message, the usage, whether a tool ran.
//!
//! The final assistant message decides. Text of an earlier one never hides a failure of the last,
//! and never stands in for an answer that the last did not give.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lines::Lines;
use crate::message::Message;
use crate::usage::Tally;

/// Of stdout that is no event stream, this many bytes are kept as a possible reply: our own bound.
const MAX_PLAIN: usize = 256 << 10;

#[derive(Debug, Default)]
pub struct Stream {
    lines: Lines,
    seen: Seen,
}

/// What the lines so far came to.
#[derive(Debug, Default)]
struct Seen {
    last: Option<Last>,
    /// pi reports the same usage at `message_end` and at `turn_end`; one of them counts.
    at_message_end: Tally,
    at_turn_end: Tally,
    /// What tools and compactions asked of a model. Reported once.
    beside: Tally,
    /// Text of the message that is being said.
    streaming: String,
    model: Option<String>,
    provider: Option<String>,
    tool_ran: bool,
    answering: bool,
    retrying: bool,
    structured: bool,
    plain: Vec<u8>,
}

/// The end of the last assistant message.
#[derive(Debug)]
struct Last {
    text: String,
    failure: Option<String>,
}

/// What the whole stream came to.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The model's failure, if the last message was one. Otherwise the reply, maybe blank.
    pub reply: Result<String, String>,
    /// What had been said by the end, also of a message that was cut short.
    pub said: String,
    pub tally: Tally,
    pub model: Option<String>,
    pub provider: Option<String>,
    pub tool_ran: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Looked into only where it matters: the person's message comes by as well, and may be large.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "assistantMessageEvent")]
    update: Option<&'a RawValue>,
    /// Of a compaction, or of a tool.
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    delta: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Compaction {
    #[serde(default)]
    usage: Value,
}

impl Stream {
    /// Takes what was read, wherever it was cut.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { lines, seen } = self;
        lines.push(bytes, |line| seen.line(line));
    }

    /// Whether the model has begun to answer: from then on the attempt is not cut short.
    pub fn answering(&self) -> bool {
        self.seen.answering
    }

    /// Whether pi is about to repeat a failed model call before anything was done. The chain does
    /// that better: it knows when another model should be asked instead. Once a tool ran only pi
    /// can repeat the call, and does.
    pub fn retrying_from_scratch(&self) -> bool {
        self.seen.retrying && !self.seen.tool_ran
    }

    pub fn finish(mut self) -> Outcome {
        self.seen.line(&self.lines.rest());
        self.seen.outcome()
    }
}

impl Seen {
    fn outcome(self) -> Outcome {
        let said = match &self.last {
            _ if !self.streaming.trim().is_empty() => self.streaming,
            Some(last) => last.text.clone(),
            None => String::new(),
        };
        let reply = match self.last {
            Some(Last { failure: Some(failure), .. }) => Err(failure),
            Some(Last { text, .. }) => Ok(text),
            None if self.structured => Ok(String::new()),
            None => Ok(String::from_utf8_lossy(&self.plain).trim().to_owned()),
        };
        let mut tally = if self.at_message_end.says_something() { self.at_message_end } else { self.at_turn_end };
        tally.merge(&self.beside);
        Outcome { reply, said, tally, model: self.model, provider: self.provider, tool_ran: self.tool_ran }
    }

    fn line(&mut self, line: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else {
            let room = MAX_PLAIN.saturating_sub(self.plain.len() + 1);
            if !self.structured && room > 0 {
                self.plain.extend_from_slice(&line[..line.len().min(room)]);
                self.plain.push(b'\n');
            }
            return;
        };
        match event.kind.as_ref() {
            "message_end" => self.message(event.message, true),
            "turn_end" => self.message(event.message, false),
            "message_update" => self.update(event.update),
            "compaction_end" => self.compaction(event.result),
            "auto_retry_start" => self.retrying = true,
            "auto_retry_end" => self.retrying = false,
            "tool_execution_start" => (self.tool_ran, self.answering) = (true, true),
            "message_start" => self.streaming.clear(),
            "session" | "agent_start" | "agent_end" | "turn_start" => {}
            // Unknown events make no stream: new versions of pi add some, but never only those.
            _ => return,
        }
        self.structured = true;
    }

    fn update(&mut self, update: Option<&RawValue>) {
        self.answering = true;
        let Some(update) = update.and_then(|raw| serde_json::from_str::<Update<'_>>(raw.get()).ok()) else {
            return;
        };
        if update.kind == "text_delta" && self.streaming.len() < MAX_PLAIN {
            self.streaming.push_str(&update.delta.unwrap_or_default());
        }
    }

    fn compaction(&mut self, result: Option<&RawValue>) {
        if let Some(result) = result.and_then(|raw| serde_json::from_str::<Compaction>(raw.get()).ok()) {
            self.beside.add(&result.usage);
        }
    }

    fn message(&mut self, message: Option<&RawValue>, message_end: bool) {
        let Some(message) = message.and_then(Message::read) else {
            return;
        };
        if !message.of_assistant() {
            if message_end {
                self.beside.add(&message.usage);
            }
            return;
        }
        self.streaming.clear();
        self.last = Some(Last { text: message.text(), failure: message.failure() });
        if message_end { &mut self.at_message_end } else { &mut self.at_turn_end }.add(&message.usage);
        self.model = message.model().or(self.model.take());
        self.provider = message.provider().or(self.provider.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stream: &str) -> Outcome {
        let mut all = Stream::default();
        all.push(stream.as_bytes());
        all.finish()
    }

    fn assistant(event: &str, text: &str, rest: &str) -> String {
        format!(
            r#"{{"type":"{event}","message":{{"role":"assistant","content":[{{"type":"text","text":"{text}"}}]{rest}}}}}"#
        )
    }

    /// agent-entry.md #37
    #[test]
    fn one_turn_gives_text_and_usage() {
        let rest = r#","model":"m","provider":"p","usage":{"input":380,"output":2,"cost":{"total":0.000226}}"#;
        let all = outcome(&assistant("turn_end", "Hello", rest));
        assert_eq!(all.reply.as_deref(), Ok("Hello"));
        let usage = all.tally.shown(all.model, all.provider).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (380, 2, Some(382)));
        assert_eq!(
            (usage.cost, usage.model.as_deref(), usage.provider.as_deref()),
            (Some(0.000_226), Some("m"), Some("p"))
        );
    }

    /// agent-entry.md #38
    #[test]
    fn usage_is_summed_and_the_last_text_replies() {
        let first = assistant("turn_end", "one", r#","usage":{"input":100,"output":10,"cost":{"total":0.001}}"#);
        let second = assistant("turn_end", "two", r#","usage":{"input":50,"output":5,"cost":{"total":0.002}}"#);
        let all = outcome(&format!("{first}\n{second}\n"));
        assert_eq!(all.reply.as_deref(), Ok("two"));
        let usage = all.tally.shown(None, None).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (150, 15, Some(165)));
        assert!((usage.cost.unwrap() - 0.003).abs() < 1e-12);
    }

    /// agent-entry.md #39
    #[test]
    fn plain_text_replies_and_junk_before_an_event_does_not() {
        let all = outcome("just\ntext\n");
        assert_eq!((all.reply.as_deref(), all.tally.says_something()), (Ok("just\ntext"), false));
        assert_eq!(outcome(&format!("junk\n{}", assistant("message_end", "good", ""))).reply.as_deref(), Ok("good"));
    }

    /// agent-entry.md #40
    #[test]
    fn usage_of_both_events_counts_once_and_a_bare_total_is_kept() {
        let usage = r#","usage":{"input":7,"output":1}"#;
        let both = format!("{}\n{}", assistant("message_end", "a", usage), assistant("turn_end", "a", usage));
        assert_eq!(outcome(&both).tally.shown(None, None).unwrap().total_tokens, Some(8));
        assert_eq!(
            outcome(&assistant("message_end", "a", usage)).tally.shown(None, None).unwrap().total_tokens,
            Some(8)
        );
        let total = outcome(&assistant("message_end", "a", r#","usage":{"total_tokens":999}"#))
            .tally
            .shown(None, None)
            .unwrap();
        assert_eq!((total.input_tokens, total.output_tokens, total.total_tokens), (0, 0, Some(999)));
    }

    /// agent-entry.md #41
    #[test]
    fn a_nested_error_is_the_failure_and_nothing_else_of_the_stream() {
        let stream = concat!(
            r#"{"type":"session","version":3,"cwd":"/s"}"#,
            "\n",
            r#"{"type":"message_end","message":{"role":"assistant","content":[],"stopReason":"error","errorMessage":"429 {\"error\":{\"type\":\"rate_limit\"}}"}}"#,
        );
        let failure = outcome(stream).reply.unwrap_err();
        assert!(failure.contains("429") && !failure.contains("session") && failure.len() < stream.len());
    }

    /// agent-entry.md #42, and weakness E6: the last message decides, in both directions.
    #[test]
    fn the_last_message_decides() {
        let failed = assistant("message_end", "", r#","stopReason":"error","errorMessage":"overloaded""#);
        let good = assistant("message_end", "fine", r#","stopReason":"stop""#);
        let silent = assistant("message_end", "", r#","stopReason":"stop""#);
        let half = assistant("message_end", "half of", r#","stopReason":"error","errorMessage":"terminated""#);
        assert_eq!(outcome(&format!("{failed}\n{good}")).reply.as_deref(), Ok("fine"));
        assert_eq!(outcome(&format!("{good}\n{failed}")).reply, Err("overloaded".into()));
        assert_eq!(outcome(&format!("{good}\n{silent}")).reply.as_deref(), Ok(""));
        assert_eq!(outcome(&half).reply, Err("terminated".into()));
    }

    /// agent-entry.md, weakness E8: sub-agents and compactions cost something too.
    #[test]
    fn usage_of_tools_and_compactions_counts_once() {
        let usage = r#""usage":{"input":5,"output":1,"cost":{"total":0.01}}"#;
        let stream = [
            assistant("message_end", "a", &format!(",{usage}")),
            format!(r#"{{"type":"tool_execution_end","result":{{{usage}}}}}"#),
            format!(r#"{{"type":"message_end","message":{{"role":"toolResult",{usage}}}}}"#),
            format!(r#"{{"type":"turn_end","message":{{"role":"assistant",{usage}}},"toolResults":[{{{usage}}}]}}"#),
            format!(r#"{{"type":"compaction_end","reason":"overflow","result":{{{usage}}}}}"#),
            r#"{"type":"compaction_end","reason":"overflow"}"#.into(),
        ];
        let usage = outcome(&stream.join("\n")).tally.shown(None, None).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (15, 3));
        assert!((usage.cost.unwrap() - 0.03).abs() < 1e-9);
    }

    /// agent-entry.md, weakness E14: what was said before a run is stopped is not lost.
    #[test]
    fn a_message_that_is_cut_short_was_said() {
        let delta = |text: &str| {
            format!(r#"{{"type":"message_update","assistantMessageEvent":{{"type":"text_delta","delta":"{text}"}}}}"#)
        };
        let thought = r#"{"type":"message_update","assistantMessageEvent":{"type":"thinking_delta","delta":"hm"}}"#;
        let first = assistant("message_end", "first", "");
        assert_eq!(outcome(&[first.clone(), delta("sec"), thought.into(), delta("ond")].join("\n")).said, "second");
        assert_eq!(outcome(&[delta("fi"), first, thought.into()].join("\n")).said, "first");
    }

    /// agent-entry.md #43
    #[test]
    fn a_stream_without_an_answer_has_a_blank_reply() {
        let all = outcome("{\"type\":\"session\"}\n{\"type\":\"agent_start\"}\njunk\n");
        assert_eq!(all.reply.as_deref(), Ok(""));
    }

    /// agent-entry.md #46, weakness E9
    #[test]
    fn characters_survive_any_cut() {
        let line = format!("{}\n", assistant("message_end", "שלום 🦀", ""));
        for cut in 0..=line.len() {
            let mut all = Stream::default();
            all.push(&line.as_bytes()[..cut]);
            all.push(&line.as_bytes()[cut..]);
            assert_eq!(all.finish().reply.as_deref(), Ok("שלום 🦀"), "cut at {cut}");
        }
    }

    #[test]
    fn a_repetition_by_pi_counts_only_before_the_first_tool() {
        let mut all = Stream::default();
        all.push(b"{\"type\":\"auto_retry_start\",\"attempt\":1}\n");
        assert!(all.retrying_from_scratch());
        all.push(b"{\"type\":\"tool_execution_start\"}\n");
        assert!(!all.retrying_from_scratch());
    }

    #[test]
    fn tools_and_answers_are_noticed() {
        let mut all = Stream::default();
        all.push(b"{\"type\":\"agent_start\"}\n");
        assert!(!all.answering());
        all.push(b"{\"type\":\"tool_execution_start\",\"toolCallId\":\"1\"}\n");
        assert!(all.answering() && all.finish().tool_ran);
    }

    proptest::proptest! {
        /// No stream, however broken and however cut, ends otherwise than whole.
        #[test]
        fn cuts_change_nothing(pieces in proptest::collection::vec(PIECE, 0..12), cut in 0_usize..400) {
            let stream = pieces.concat().into_bytes();
            let cut = cut.min(stream.len());
            let (mut whole, mut parts) = (Stream::default(), Stream::default());
            whole.push(&stream);
            parts.push(&stream[..cut]);
            parts.push(&stream[cut..]);
            proptest::prop_assert_eq!(whole.finish(), parts.finish());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut all = Stream::default();
            all.push(&bytes);
            proptest::prop_assert!(all.finish().reply.is_ok(), "no failure is made up");
        }
    }

    const PIECE: &str = concat!(
        r#"(\{"type":"(message_end|turn_end|message_start|session|agent_end|message_update|compaction_end|x)"(,"message":"#,
        r#"\{"role":"(assistant|user|toolResult)","content":(\[\{"type":"text","text":"(a|שלום|🦀)"\}\]|"t"|7|null)"#,
        r#"(,"stopReason":("error"|"stop"|3))?(,"errorMessage":("e"|null|\[\]))?(,"usage":(\{"input":(5|"x"|-1|1\.5)\}|null))?\}"#,
        r#"|,"message":(null|3|\{\}))?\}|junk|\{|\n)\n?"#
    );
}
