//! The bodies of the fuzz targets as properties, over texts that are near to what they are about.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fuzz/src/allowlist.rs"]
mod allowlist;
#[path = "../../fuzz/src/manifest.rs"]
mod manifest;

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
