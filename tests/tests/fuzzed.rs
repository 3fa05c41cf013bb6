//! The bodies of the fuzz targets as properties, over texts that are near to what they are about.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/allowlist.rs"]
mod allowlist;
#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/manifest.rs"]
mod manifest;
#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/queue.rs"]
mod queue;
#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/result.rs"]
mod result;
#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/webhook.rs"]
mod webhook;

use proptest::prelude::*;

/// Words of URIs, between which the trouble is.
fn uri() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "https://",
        "http://",
        "api.example.com",
        "below.test",
        "a.below.test",
        "127.0.0.1",
        "evil.test",
        "@",
        ":",
        ":443",
        ":8080",
        "/",
        "//",
        "\\",
        "?",
        "#",
        "..",
        ".",
        "%2e",
        "%2f",
        "%252f",
        "%5c",
        "%00",
        ";",
        "v1",
        "files",
        "x",
        "*",
        "[",
        "]",
        "::1",
        "0x7f",
        "1",
        "\u{3002}",
        "ü",
        "\t",
        " ",
    ]);
    let tail = prop::collection::vec(word.clone(), 0..10).prop_map(|words| words.concat());
    let near = prop::sample::select(vec![
        "https://api.example.com/",
        "https://a.below.test/files/",
        "https://127.0.0.1:8080/v1/",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..14).prop_map(|words| words.concat()),
        (near, tail).prop_map(|(head, tail)| format!("{head}{tail}")),
        ".{0,40}",
    ]
}

const SMALL: &str = include_str!("../../fuzz/corpus/manifest/small.toml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Promise 15 and 22: whatever passes is what was granted.
    #[test]
    fn any_uri(uri in uri()) {
        allowlist::check(&uri);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Promise 17 and 22: any text is a manifest or is refused.
    #[test]
    fn any_manifest(text in ".{0,200}", at in 0..SMALL.len(), put in "[\\[\\]\"=.,\\n a-z0-9/*-]{0,12}", cut in 0_usize..20) {
        manifest::check(&text);
        // A manifest with a wound.
        let end = (at + cut).min(SMALL.len());
        manifest::check(&format!("{}{put}{}", &SMALL[..at], &SMALL[end..]));
    }
}

/// Texts that are near to a result of `entry`.
fn result_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"ok\"",
        "\"reply\"",
        "\"error\"",
        "\"files\"",
        "\"usage\"",
        "\"cost\"",
        "\"failure\"",
        "\"sealed\"",
        "\"mac\"",
        "\"out-of-memory\"",
        "\"stopped\"",
        "true",
        "false",
        "null",
        "1e999",
        "-1",
        "18446744073709551616",
        "\"\"",
        "\"\\u0000\"",
        "\"x\"",
    ]);
    let near = prop::sample::select(vec![
        "{\"ok\":true,\"reply\":\"done\"",
        "{\"ok\":false,\"error\":\"no\"",
        "{\"ok\":false,\"failure\":\"stopped\"",
        "{\"sealed\":\"{}\",\"mac\":\"00\"",
    ]);
    let tail = prop::collection::vec(word.clone(), 0..8).prop_map(|words| words.concat());
    prop_oneof![
        2 => (near.clone(), tail).prop_map(|(head, tail)| format!("{head}{tail}")),
        2 => near.prop_map(|head| format!("{head}}}")),
        1 => prop::collection::vec(word, 0..14).prop_map(|words| words.concat()),
        1 => ".{0,60}",
        1 => (0..400_usize).prop_map(|depth| "[".repeat(depth)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Promise 22: only what `entry` sealed is a result, whatever lies there.
    #[test]
    fn any_result(text in result_text()) {
        result::check(text.as_bytes());
    }

    /// Promise 22: nothing but what was signed passes as a platform's.
    #[test]
    fn any_webhook(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        webhook::check(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Promises 1 and 22: however the host ends in between, no message is lost and none answered twice.
    #[test]
    fn any_queue(steps in prop::collection::vec(any::<u8>(), 0..40)) {
        queue::check(&steps);
    }
}
