use proptest::prelude::*;

use super::*;

const TABLE: &str = include_str!("targets.tsv");

fn grant(hosts: &[&str], methods: &[&str], paths: &[&str], plain: bool) -> Grant {
    Grant {
        hosts: hosts.iter().map(|host| Pattern::parse(host).unwrap()).collect(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        paths: paths.iter().map(|path| PathPattern::parse(path).unwrap()).collect(),
        plain,
    }
}

fn ask(grant: &Grant, method: &str, uri: &str) -> Result<Target, Refusal> {
    let target = Target::parse(uri)?;
    decide(std::slice::from_ref(grant), method, &target)?;
    Ok(target)
}

fn name_of(outcome: &Result<Target, Refusal>) -> &'static str {
    match outcome {
        Ok(_) => "granted",
        Err(Refusal::Uri(_)) => "uri",
        Err(Refusal::Host(_)) => "host",
        Err(Refusal::NotGranted { .. }) => "not-granted",
        Err(Refusal::Scheme { .. }) => "scheme",
        Err(Refusal::Plain { .. }) => "plain",
        Err(Refusal::Method { .. }) => "method",
        Err(Refusal::Path { .. }) => "path",
        Err(Refusal::Disguised { .. }) => "disguised",
        Err(Refusal::Address { .. }) => "address",
    }
}

/// `\xNN` as its byte.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        whole.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        whole.push_str(rest);
    }
    whole
}

/// Promise 15, for plugins: more than 200 requests, each with the one right decision.
#[test]
fn every_request_of_the_table_is_decided_right() {
    let mut current = None;
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(section) = line.strip_prefix("[").filter(|_| !line.contains('\t')) {
            let columns: Vec<&str> = section.trim_end_matches(']').split('|').map(str::trim).collect();
            let list = |text: &'static str| -> Vec<&str> { text.split(", ").filter(|item| !item.is_empty()).collect() };
            let methods = if columns[1].is_empty() { vec!["GET", "POST"] } else { list(columns[1]) };
            // An address in brackets at the end keeps its own.
            let hosts = list(columns[0]);
            current = Some(grant(&hosts, &methods, &list(columns[2]), columns[3] == "plain"));
            continue;
        }
        let [expected, method, uri] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        count += 1;
        let outcome = name_of(&ask(current.as_ref().unwrap(), method, &unescape(uri)));
        if !expected.split("-or-").any(|name| name == outcome) {
            wrong.push(format!("{method} {uri}: {outcome}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 200, "{count}");
}

/// The author reads which line of the manifest is missing.
#[test]
fn a_refusal_names_the_missing_line() {
    let grants = grant(&["api.x.com"], &["GET"], &["/v1/*"], false);
    let refusal = |method: &str, uri: &str| ask(&grants, method, uri).unwrap_err().to_string();
    insta::assert_snapshot!(refusal("GET", "https://api.y.com/v1/a"), @r#"http: api.y.com is not granted; add hosts = ["api.y.com"] under [[http]] of plugin.toml"#);
    insta::assert_snapshot!(refusal("GET", "https://api.x.com:8443/v1/a"), @r#"http: api.x.com:8443 is not granted; add hosts = ["api.x.com:8443"] under [[http]] of plugin.toml"#);
    insta::assert_snapshot!(refusal("POST", "https://api.x.com/v1/a"), @r#"http: POST of api.x.com is not granted; add methods = ["POST"] under the [[http]] of api.x.com in plugin.toml"#);
    insta::assert_snapshot!(refusal("GET", "https://api.x.com/v2/a?secret=1"), @r#"http: the path /v2/a of api.x.com is not granted; add paths = ["/v2/a"] under the [[http]] of api.x.com in plugin.toml"#);
    insta::assert_snapshot!(refusal("GET", "http://api.x.com/v1/a"), @"http: api.x.com without encryption is not granted; write https://, or add plain = true under the [[http]] of api.x.com in plugin.toml");
    insta::assert_snapshot!(refusal("GET", "https://api.x.com/v1/a%2fb"), @"http: the path of the URI hides a slash or a dot segment, which no granted path of api.x.com can have");
    insta::assert_snapshot!(refusal("GET", "ftp://api.x.com/"), @"http: ftp:// is not spoken here; write an https:// URI");
    insta::assert_snapshot!(refusal("GET", "https://a@api.x.com/"), @"http: the host of the URI cannot be used: it holds a user name or password");
    let address = check_addresses("weather", "api.x.com", &["10.1.2.3".parse().unwrap()], &[]).unwrap_err();
    insta::assert_snapshot!(address, @r#"http: api.x.com leads to 10.1.2.3, which is a private network (10.0.0.0/8); the operator can open it with plugins.weather.private: ["10.1.2.3/32"] in mercury.yaml"#);
}

/// The second entry counts as well, and the refusal is of the entry that came furthest.
#[test]
fn one_entry_must_allow_all_of_it() {
    let grants =
        [grant(&["a.test"], &["GET"], &["/read/*"], false), grant(&["a.test"], &["POST"], &["/write/*"], false)];
    let decided = |method: &str, uri: &str| decide(&grants, method, &Target::parse(uri).unwrap());
    assert_eq!(decided("GET", "https://a.test/read/x"), Ok(0));
    assert_eq!(decided("POST", "https://a.test/write/x"), Ok(1));
    assert!(matches!(decided("POST", "https://a.test/read/x"), Err(Refusal::Path { .. })));
    assert!(matches!(decided("PUT", "https://a.test/read/x"), Err(Refusal::Method { .. })));
}

#[test]
fn a_network_is_opened_by_the_operator_only() {
    let open = |address: &str, private: &[&str]| {
        let private: Vec<IpNet> = private.iter().map(|net| IpNet::from(net.parse::<IpAddr>().unwrap())).collect();
        check_addresses("p", "h", &["93.184.216.34".parse().unwrap(), address.parse().unwrap()], &private).is_ok()
    };
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fe80::1",
        "fc00::1",
    ] {
        assert!(!open(address, &[]) && !open(address, &["192.168.0.1", "::2"]), "{address}");
        assert!(open(address, &["192.168.0.1", address]), "{address}");
    }
    assert!(open("93.184.216.35", &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is written: what passes goes to the granted host, encrypted, below the granted path,
    /// in the reading of the parser that the client uses.
    #[test]
    fn what_passes_is_what_was_granted(uri in "(https?|HTTPS)://(api\\.example\\.com|evil\\.test|[a-z.@:%\\[\\]0-9]{0,12})[a-z0-9/.@:?#%;&=\\\\ ]{0,30}") {
        let granted = grant(&["api.example.com"], &["GET"], &["/v1/*/x", "/files/**"], false);
        if let Ok(target) = ask(&granted, "GET", &uri) {
            let url = Url::parse(&uri).unwrap();
            prop_assert_eq!(url.host_str(), Some("api.example.com"));
            prop_assert_eq!((url.scheme(), url.port_or_known_default()), ("https", Some(443)));
            prop_assert_eq!((url.username(), url.password()), ("", None));
            prop_assert_eq!(url.path(), target.url.path());
            let decoded = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
            let parts: Vec<&str> = decoded.split('/').collect();
            prop_assert!(parts.iter().all(|part| !matches!(*part, "." | "..")));
            prop_assert!(parts[1] == "v1" && parts.len() == 4 && parts[3] == "x" || parts[1] == "files" && parts.len() > 2);
        }
    }

    /// Disguises of a step up, at any place and any depth of encoding, never come through a pattern.
    #[test]
    fn no_spelling_of_a_step_up_passes(
        step in prop::sample::select(vec!["..", "%2e%2e", ".%2E", "%252e%252e", "..;x", "%2e%2e;"]),
        slash in prop::sample::select(vec!["/", "%2f", "%2F", "%5c", "%252f"]),
        before in "[a-z]{0,3}", after in "[a-z]{1,3}",
    ) {
        let granted = grant(&["a.test"], &["GET"], &["/files/**"], false);
        let uri = format!("https://a.test/files/{before}{slash}{step}{slash}{step}{slash}{after}");
        prop_assert!(ask(&granted, "GET", &uri).is_err(), "{uri}");
    }

    #[test]
    fn any_text_is_a_target_or_refused(uri in ".{0,60}", method in ".{0,8}") {
        let granted = grant(&["*"], &["GET"], &[], true);
        let _ = ask(&granted, &method, &uri);
    }
}
