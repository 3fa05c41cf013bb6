//! What a JSON text costs before it is parsed.

/// How many values the text has at most: what opens and separates them, outside of strings. A tree of
/// it takes memory by this number, some hundred bytes each, however short the text is.
pub fn structure(text: &[u8]) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' | b',' | b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::structure;

    /// A file of many commas is one value; a list of many lists is many.
    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(structure(br#"{"a":"x,[{:\",,,"}"#), 2, "an escaped quote ends no text");
        assert_eq!(structure(br#"{"id":"1","arguments":{"l":[[],[]]}}"#), 10);
        assert_eq!(structure(format!("[{}]", "{},".repeat(60_000)).as_bytes()), 120_001);
        assert_eq!(structure(serde_json::json!({ "text": "a,b:c[d]".repeat(1000) }).to_string().as_bytes()), 2);
    }
}
