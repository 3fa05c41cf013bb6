use proptest::prelude::*;
use url::Url;

use super::*;

const TOKEN: &str = "123:AA/b c\"%ü-token";

fn grant(text: &str) -> Grant {
    toml::from_str(text).unwrap()
}

fn secrets(grants: &[&str]) -> Secrets {
    let grants: Vec<Grant> = grants.iter().map(|text| grant(text)).collect();
    let values = [("MERCURY_A", TOKEN), ("MERCURY_HOOK", "a-long-webhook-secret"), ("MERCURY_SHORT", "1234")];
    let values = values.map(|(name, value)| (name.to_owned(), SecretString::from(value.to_owned()))).into();
    Secrets::new(&grants, &values).unwrap()
}

const BOUND: &str = "name = \"bot\"\nvariable = \"MERCURY_A\"\nhosts = [\"api.example.com\"]";

fn target(uri: &str) -> Target {
    Target::parse(uri).unwrap()
}

/// Promise 14: a secret goes to the hosts that it is bound to, encrypted, and nowhere else.
#[test]
fn a_secret_goes_only_where_it_is_bound() {
    let secrets = secrets(&[BOUND]);
    let home = target("https://api.example.com/x");
    assert_eq!(secrets.for_target("bot", &home, true), Ok(TOKEN));
    for uri in
        ["https://example.com/", "https://evil.test/", "https://x.api.example.com/", "https://api.example.com:8443/"]
    {
        let refused = secrets.for_target("bot", &target(uri), true).unwrap_err();
        assert!(matches!(refused, Unusable::NotForHost { .. }), "{uri}");
    }
    assert!(matches!(secrets.for_target("bot", &home, false), Err(Unusable::Unencrypted { .. })));
    assert!(matches!(secrets.for_target("other", &home, true), Err(Unusable::NotGranted { .. })));
    insta::assert_snapshot!(secrets.for_target("bot", &target("https://evil.test/"), true).unwrap_err(), @r#"credentials: the secret `bot` is not bound to evil.test; add hosts = ["evil.test"] under its [[secrets]] in plugin.toml"#);
    insta::assert_snapshot!(secrets.for_target("other", &home, true).unwrap_err(), @r#"credentials: the secret `other` is not granted; add name = "other" under [[secrets]] of plugin.toml"#);
    let unset = Secrets::new(&[grant(BOUND)], &BTreeMap::new()).unwrap();
    insta::assert_snapshot!(unset.for_target("bot", &home, true).unwrap_err(), @"credentials: the secret `bot` is not set; the operator sets MERCURY_A");
}

/// A bound secret is no oracle, and a short one is not compared at all.
#[test]
fn comparing_is_a_grant_of_its_own() {
    let both = format!("{BOUND}\ncompare = true");
    let hook = "name = \"hook\"\nvariable = \"MERCURY_HOOK\"";
    let short = "name = \"short\"\nvariable = \"MERCURY_SHORT\"";
    let secrets = secrets(&[&both.replace("\"bot\"", "\"both\""), BOUND, hook, short]);
    assert!(matches!(secrets.for_comparison("bot"), Err(Unusable::NotCompared { .. })));
    assert_eq!(secrets.for_comparison("both"), Ok(TOKEN));
    assert_eq!(secrets.for_comparison("hook"), Ok("a-long-webhook-secret"));
    assert!(matches!(secrets.for_comparison("short"), Err(Unusable::TooShort { .. })));
    assert!(matches!(
        secrets.for_target("hook", &target("https://api.example.com/"), true),
        Err(Unusable::NotForHost { .. })
    ));
}

#[test]
fn the_hosts_own_secrets_are_bound_by_nobody() {
    for variable in ["MERCURY_API_SECRET", "MERCURY_CHAT_API_KEY", "MERCURY_CONSOLE_INTERNAL_SECRET", "PATH", "HOME"] {
        let refused = grant(&format!("name = \"x\"\nvariable = \"{variable}\"")).read();
        assert!(refused.unwrap_err().contains(variable), "{variable}");
    }
    assert!(grant("name = \"x\"\nvariable = \"MERCURY_TELEGRAM_BOT_TOKEN\"").read().is_ok());
}

fn placed(path: &str, segments: &[(&str, &str, &str)]) -> Result<Url, PlaceError> {
    let url = Url::parse(&format!("https://api.example.com{path}")).unwrap();
    let segments = segments.iter().map(|&(placeholder, prefix, secret)| Segment { placeholder, prefix, secret });
    in_path(&url, &segments.collect::<Vec<_>>())
}

#[test]
fn a_secret_stays_one_segment() {
    let url = placed("/TOKEN/getMe?x=TOKEN", &[("TOKEN", "bot", TOKEN)]).unwrap();
    assert_eq!(url.path(), "/bot123:AA%2Fb%20c%22%25%C3%BC-token/getMe");
    assert_eq!(url.query(), Some("x=TOKEN"));
    for (path, placeholder) in [("/a/b", "TOKEN"), ("/TOKEN/TOKEN", "TOKEN"), ("/TOKENS", "TOKEN"), ("/a//b", "")] {
        assert!(matches!(placed(path, &[(placeholder, "", TOKEN)]), Err(PlaceError::Segment(_))), "{path}");
    }
    for dots in [".", ".."] {
        assert_eq!(placed("/TOKEN", &[("TOKEN", "", dots)]), Err(PlaceError::Text));
    }
}

/// A guess in the path beside the secret's place: whether it was right changes nothing that can be seen.
#[test]
fn a_placeholder_is_no_oracle() {
    for (path, guess) in [("/A/1234", "1234"), ("/A/1233", "1233"), ("/A/x", "1234"), ("/A/x", "1233")] {
        let url = placed(path, &[("A", "", "1234"), (guess, "", "B")]);
        assert_eq!(url.is_ok(), path.contains(guess), "{path}: {guess}");
    }
    assert_eq!(placed("/A/1234", &[("A", "", "1234"), ("1234", "", "B")]).unwrap().path(), "/1234/B");
    assert!(matches!(placed("/A/x", &[("A", "", "1"), ("A", "", "2")]), Err(PlaceError::Segment(_))));
}

#[test]
fn a_secret_in_json_stands_where_a_string_stood() {
    let body = br#"{"d":{"token":"","n":12345678901234567},"e":["",""]}"#;
    let placed = in_json(body, &[("/d/token", TOKEN), ("/e/1", "x")]).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&placed).unwrap();
    assert_eq!((json["d"]["token"].as_str(), json["d"]["n"].as_u64()), (Some(TOKEN), Some(12_345_678_901_234_567)));
    assert_eq!((json["e"][0].as_str(), json["e"][1].as_str()), (Some(""), Some("x")));
    for (body, pointer) in [("{}", "/token"), (r#"{"token":1}"#, "/token"), ("[", "/0"), (r#"{"token":""}"#, "")] {
        assert!(matches!(in_json(body.as_bytes(), &[(pointer, TOKEN)]), Err(PlaceError::Pointer(_))), "{body}");
    }
    let large = format!("[\"\",\"{}\"]", "x".repeat(1 << 20));
    assert_eq!(in_json(large.as_bytes(), &[("/0", TOKEN)]), Err(PlaceError::Large));
}

#[test]
fn an_echo_is_redacted_in_every_usual_spelling() {
    let secrets = secrets(&[BOUND]);
    let home = target("https://api.example.com/x");
    for spelling in [
        TOKEN.to_owned(),
        "123:AA%2Fb%20c%22%25%C3%BC-token".to_owned(),
        "123%3AAA%2Fb%20c%22%25%C3%BC%2Dtoken".to_owned(),
        "123%3aAA%2fb%20c%22%25%c3%bc%2dtoken".to_owned(),
        "123%3AAA%2Fb+c%22%25%C3%BC-token".to_owned(),
        "123:AA\\/b c\\\"%ü-token".to_owned(),
        serde_json::to_string(TOKEN).unwrap(),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, TOKEN),
        TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect(),
        TOKEN.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ] {
        let shown = secrets.redactor_for(&home).text(&format!("you sent {spelling}, thanks"));
        assert!(shown.contains("[secret]") && !shown.contains("token"), "{spelling}: {shown}");
    }
    assert_eq!(secrets.redactor_for(&home).text("nothing here"), "nothing here");
}

/// A server that never got a secret echoes texts of the plugin's: what is taken out of them would say
/// which was the secret, as often as one likes.
#[test]
fn an_echo_is_no_oracle() {
    let short = "name = \"pin\"\nvariable = \"MERCURY_SHORT\"\nhosts = [\"api.example.com\"]";
    let secrets = secrets(&[BOUND, short, "name = \"hook\"\nvariable = \"MERCURY_HOOK\""]);
    let guesses = format!("1233 1234 {TOKEN} a-long-webhook-secret");
    let shown = |uri| secrets.redactor_for(&target(uri)).text(&guesses);
    assert_eq!(shown("https://author.test/"), guesses);
    assert_eq!(shown("https://api.example.com:8443/"), guesses);
    assert_eq!(shown("https://api.example.com/"), "1233 [secret] [secret] a-long-webhook-secret");
}

proptest! {
    /// However a body is cut into pieces, it is redacted as if it came at once.
    #[test]
    fn pieces_are_redacted_as_the_whole(
        parts in prop::collection::vec(prop_oneof![Just(TOKEN.to_owned()), Just("123:AA".to_owned()), "[a-z1:A]{0,9}"], 0..12),
        cuts in prop::collection::vec(1_usize..20, 1..30),
    ) {
        let redactor = secrets(&[BOUND]).redactor_for(&target("https://api.example.com/"));
        let whole = parts.concat().into_bytes();
        let mut redacting = redactor.begin();
        let (mut rest, mut passed, mut cuts) = (whole.as_slice(), Vec::new(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(cuts.next().unwrap()));
            passed.extend(redacting.feed(piece));
            prop_assert!(!String::from_utf8_lossy(&passed).contains(TOKEN));
            rest = behind;
        }
        passed.extend(redacting.end());
        prop_assert_eq!(passed, redactor.bytes(whole));
    }
}

proptest! {
    /// Whatever stands around a secret before it is encoded (`user:secret`), of the secret nothing is left
    /// that could be decoded.
    #[test]
    fn a_secret_within_base64_is_found(before in "[ -~]{0,7}", behind in "[ -~]{0,7}", url_safe in any::<bool>()) {
        let engine = match url_safe {
            true => base64::engine::general_purpose::URL_SAFE,
            false => base64::engine::general_purpose::STANDARD,
        };
        let text = base64::Engine::encode(&engine, format!("{before}{TOKEN}{behind}"));
        let shown = secrets(&[BOUND]).redactor_for(&target("https://api.example.com/")).text(&text);
        prop_assert!(shown.contains("[secret]"), "{text}: {shown}");
        let left = shown.replace("[secret]", "");
        // At its edges two characters share bits with what is around them.
        let around = (before.len() + behind.len()) * 8 / 6 + 8;
        prop_assert!(left.len() <= around, "{text}: {shown}");
    }
}
