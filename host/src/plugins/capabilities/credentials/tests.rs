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

#[test]
fn a_secret_stays_one_segment() {
    let url = Url::parse("https://api.example.com/TOKEN/getMe?x=TOKEN").unwrap();
    let placed = in_path(&url, "TOKEN", "bot", TOKEN).unwrap();
    assert_eq!(placed.path(), "/bot123:AA%2Fb%20c%22%25%C3%BC-token/getMe");
    assert_eq!(placed.query(), Some("x=TOKEN"));
    for (path, placeholder) in [("/a/b", "TOKEN"), ("/TOKEN/TOKEN", "TOKEN"), ("/TOKENS", "TOKEN"), ("/a//b", "")] {
        let url = Url::parse(&format!("https://api.example.com{path}")).unwrap();
        assert!(matches!(in_path(&url, placeholder, "", TOKEN), Err(PlaceError::Segment(_))), "{path}");
    }
    for dots in [".", ".."] {
        assert_eq!(in_path(&url, "TOKEN", "", dots), Err(PlaceError::Text));
    }
}

#[test]
fn a_secret_in_json_stands_where_a_string_stood() {
    let placed = in_json(br#"{"d":{"token":"","n":12345678901234567}}"#, "/d/token", TOKEN).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&placed).unwrap();
    assert_eq!((json["d"]["token"].as_str(), json["d"]["n"].as_u64()), (Some(TOKEN), Some(12_345_678_901_234_567)));
    for (body, pointer) in [("{}", "/token"), (r#"{"token":1}"#, "/token"), ("[", "/0"), (r#"{"token":""}"#, "")] {
        assert!(matches!(in_json(body.as_bytes(), pointer, TOKEN), Err(PlaceError::Pointer(_))), "{body}");
    }
}

#[test]
fn an_echo_is_redacted_in_every_usual_spelling() {
    let secrets = secrets(&[BOUND]);
    for spelling in [
        TOKEN.to_owned(),
        "123:AA%2Fb%20c%22%25%C3%BC-token".to_owned(),
        "123%3AAA%2Fb%20c%22%25%C3%BC%2Dtoken".to_owned(),
        "123%3aAA%2fb%20c%22%25%c3%bc%2dtoken".to_owned(),
        "123%3AAA%2Fb+c%22%25%C3%BC-token".to_owned(),
        "123:AA\\/b c\\\"%ü-token".to_owned(),
        serde_json::to_string(TOKEN).unwrap(),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, TOKEN),
    ] {
        let shown = secrets.redactor().text(&format!("you sent {spelling}, thanks"));
        assert!(shown.contains("[secret]") && !shown.contains("token"), "{spelling}: {shown}");
    }
    assert_eq!(secrets.redactor().text("nothing here"), "nothing here");
}

proptest! {
    /// However a body is cut into pieces, it is redacted as if it came at once.
    #[test]
    fn pieces_are_redacted_as_the_whole(
        parts in prop::collection::vec(prop_oneof![Just(TOKEN.to_owned()), Just("123:AA".to_owned()), "[a-z1:A]{0,9}"], 0..12),
        cuts in prop::collection::vec(1_usize..20, 1..30),
    ) {
        let secrets = secrets(&[BOUND]);
        let whole = parts.concat().into_bytes();
        let mut redacting = secrets.redactor().begin();
        let (mut rest, mut passed, mut cuts) = (whole.as_slice(), Vec::new(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(cuts.next().unwrap()));
            passed.extend(redacting.feed(piece));
            prop_assert!(!String::from_utf8_lossy(&passed).contains(TOKEN));
            rest = behind;
        }
        passed.extend(redacting.end());
        prop_assert_eq!(passed, secrets.redactor().bytes(whole));
    }
}
