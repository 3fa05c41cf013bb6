//! Takes a plugin's secrets out of what it is told: answers that echo them, texts of errors.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::place::encoded_segment;

const REMOVED: &[u8] = b"[secret]";
/// A shorter one would take words out of every text.
const SHORTEST: usize = 4;
/// In the middle of other Base64 a shorter one leaves too few characters to be told from other text.
const SHORTEST_WITHIN: usize = 9;

/// Knows the secrets in every spelling that a server is likely to echo. A server that means to tell
/// them can always find another; which servers get them is what the manifest's `hosts` are for.
#[derive(Clone)]
pub(in crate::plugins) struct Redactor {
    /// `None` where there is nothing to look for.
    spellings: Option<AhoCorasick>,
    longest: usize,
}

impl Redactor {
    pub(in crate::plugins) fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let spellings: BTreeSet<String> =
            secrets.filter(|secret| secret.len() >= SHORTEST).flat_map(spellings_of).collect();
        let longest = spellings.iter().map(String::len).max().unwrap_or(0);
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&spellings);
        // It fails for more than billions of states only; then nothing may be shown at all.
        Self { spellings: automaton.ok().filter(|_| longest > 0), longest }
    }

    pub(in crate::plugins) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes().to_vec())).into_owned()
    }

    pub(in crate::plugins) fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.spellings {
            Some(found) if found.is_match(&bytes) => {
                found.replace_all_bytes(&bytes, &vec![REMOVED; found.patterns_len()])
            }
            _ => bytes,
        }
    }

    /// For a body that comes piece by piece.
    pub(in crate::plugins) fn begin(&self) -> Redacting<'_> {
        Redacting { redactor: self, held: Vec::new() }
    }
}

/// Holds back as much as could be the beginning of a secret.
pub(in crate::plugins) struct Redacting<'a> {
    redactor: &'a Redactor,
    held: Vec<u8>,
}

impl Redacting<'_> {
    /// What can be passed on after `piece`.
    pub(in crate::plugins) fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        // What begins before this ends within what is there.
        self.pass(self.held.len().saturating_sub(self.redactor.longest.saturating_sub(1)))
    }

    /// What is left when nothing more comes.
    pub(in crate::plugins) fn end(mut self) -> Vec<u8> {
        self.pass(self.held.len())
    }

    fn pass(&mut self, safe: usize) -> Vec<u8> {
        let Some(spellings) = &self.redactor.spellings else { return std::mem::take(&mut self.held) };
        let mut passed = Vec::with_capacity(safe);
        let mut from = 0;
        for found in spellings.find_iter(&self.held).take_while(|found| found.start() < safe) {
            passed.extend_from_slice(&self.held[from..found.start()]);
            passed.extend_from_slice(REMOVED);
            from = found.end();
        }
        let until = from.max(safe);
        passed.extend_from_slice(&self.held[from..until]);
        self.held.drain(..until);
        passed
    }
}

fn spellings_of(secret: &str) -> Vec<String> {
    let everything = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut spellings = vec![
        secret.to_owned(),
        lower_hex(&everything),
        everything,
        lower_hex(&form),
        form,
        encoded_segment(secret),
        json.replace('/', "\\/"),
        json,
        hex.to_ascii_uppercase(),
        hex,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    if secret.len() >= SHORTEST_WITHIN {
        spellings.extend(within_base64(secret));
    }
    spellings
}

/// What of a secret stands in the Base64 of a longer text (`user:secret`), whatever is around it: of its
/// three places in a group, the characters that it alone makes.
fn within_base64(secret: &str) -> Vec<String> {
    let mut within = Vec::new();
    for before in 0..3_usize {
        let text = [&vec![0; before], secret.as_bytes()].concat();
        // Six bits a character: those that share bits with what stands before or behind are left out.
        let (from, until) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            within.push(encoded[from..until].to_owned());
        }
    }
    within
}

/// `%2F` as `%2f`.
fn lower_hex(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(part.len().min(2));
        text.push('%');
        text.push_str(&hex.to_ascii_lowercase());
        text.push_str(rest);
    }
    text
}
