use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn rules(hosts: &[&str], private: &[&str]) -> Rules {
    Rules {
        hosts: hosts.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        private: private.iter().map(|text| text.parse().unwrap()).collect(),
        plugins: Vec::new(),
        most_bytes: 1 << 20,
    }
}

fn at(text: &str) -> Authority {
    Authority::parse(text, None).unwrap()
}

#[test]
fn patterns_match_what_they_say() {
    for (pattern, matching, other) in [
        ("example.com", vec!["example.com:80", "EXAMPLE.com:443"], vec!["www.example.com:443", "example.com:22"]),
        ("example.com:22", vec!["example.com:22"], vec!["example.com:443"]),
        (
            "*.example.com",
            vec!["a.example.com:443", "a.b.example.com:80"],
            vec!["example.com:443", "badexample.com:443", "example.com.evil.test:443"],
        ),
        ("*", vec!["anything.test:443", "8.8.8.8:80"], vec!["anything.test:22"]),
        ("*:22", vec!["anything.test:22"], vec!["anything.test:443"]),
        ("bücher.example", vec!["xn--bcher-kva.example:443", "XN--BCHER-KVA.example:80"], vec!["bucher.example:443"]),
        ("1.2.3.4", vec!["1.2.3.4:443"], vec!["1.2.3.40:443"]),
        ("*.3.4", vec![], vec![]),
        ("[2606:4700::1]:8443", vec!["[2606:4700:0::1]:8443"], vec!["[2606:4700::1]:443"]),
    ] {
        let Ok(parsed) = Pattern::parse(pattern) else {
            assert!(matching.is_empty() && other.is_empty(), "{pattern}");
            continue;
        };
        for text in matching {
            assert!(parsed.matches(&at(text)), "{pattern} {text}");
        }
        for text in other {
            assert!(!parsed.matches(&at(text)), "{pattern} {text}");
        }
        assert_eq!(Pattern::parse(&parsed.to_string()), Ok(parsed), "{pattern}");
    }
}

#[test]
fn patterns_that_mean_nothing_are_refused() {
    for (pattern, reason) in [
        ("https://example.com", "without scheme"),
        ("example.com/path", "without scheme"),
        ("a*.example.com", "`*` can only be"),
        ("*.*.com", "characters"),
        ("*.1.2.3.4", "nothing below"),
        ("user@example.com", "user name"),
        ("example.com.", "empty"),
        ("example.com:0", "port"),
        ("example.com:99999", "port"),
        ("0x7f.1", "usual form"),
        ("", "no host"),
        ("ex ample.com", "characters"),
    ] {
        let said = Pattern::parse(pattern).unwrap_err();
        assert!(said.contains(reason), "{pattern}: {said}");
    }
}

#[test]
fn a_private_network_is_open_only_where_the_operator_opened_it() {
    let rules = rules(&["*"], &["10.1.0.0/16", "::1/128"]);
    let check = |address: &str| rules.check_answer(&at("name.test:443"), &[address.parse().unwrap()]);
    assert!(check("10.1.2.3").is_ok() && check("::1").is_ok() && check("93.184.216.34").is_ok());
    for closed in ["10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::a01:203", "169.254.169.254"] {
        assert!(matches!(check(closed), Err(Refusal::Address { .. })), "{closed}");
    }
    let mixed = ["93.184.216.34".parse().unwrap(), "10.2.0.1".parse().unwrap()];
    assert!(rules.check_answer(&at("name.test:443"), &mixed).is_err(), "one bad address spoils the answer");
}

#[test]
fn a_refusal_names_the_setting() {
    let refusal = Refusal::NotListed { host: "a.test".into(), port: 8443 };
    assert!(refusal.next_step().contains("`a.test:8443`") && refusal.next_step().contains("MERCURY_AGENT_EGRESS"));
    let refusal = Refusal::Address { host: "a.test".into(), address: Ipv4Addr::LOCALHOST.into(), kind: "x" };
    assert!(refusal.next_step().contains("127.0.0.1/32"));
}

/// What the standard library knows about addresses, with the blocks that it has no stable name for:
/// written apart from the table that it checks.
fn is_surely_not_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(v6) => {
            let embedded = match v6.segments() {
                [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
                    let [.., a, b, c, d] = v6.octets();
                    Some(Ipv4Addr::new(a, b, c, d))
                }
                // 6to4 and Teredo carry theirs elsewhere.
                [0x2002, high, low, ..] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
                [0x2001, 0, .., high, low] => Some(Ipv4Addr::from(!(u32::from(high) << 16 | u32::from(low)))),
                _ => None,
            };
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || embedded.is_some_and(|v4| is_surely_not_public(v4.into()))
        }
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    // Plain random ones hardly ever meet a small block.
    let near = prop::sample::select(vec![
        "0.0.0.0",
        "10.0.0.0",
        "100.64.0.0",
        "127.0.0.0",
        "169.254.0.0",
        "172.16.0.0",
        "192.0.2.0",
        "192.168.0.0",
        "198.18.0.0",
        "198.51.100.0",
        "203.0.113.0",
        "224.0.0.0",
        "240.0.0.0",
        "255.255.255.255",
    ]);
    let v4 = (near, any::<u32>(), 0_u32..33).prop_map(|(base, noise, keep)| {
        let base: Ipv4Addr = base.parse().unwrap();
        let mask = u32::MAX.checked_shr(keep).unwrap_or(0);
        Ipv4Addr::from(u32::from(base) & !mask | noise & mask)
    });
    let prefix = prop::sample::select(vec![
        "::",
        "::ffff:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "2001::",
        "2002::",
        "fc00::",
        "fe80::",
        "ff00::",
        "2606::",
    ]);
    let v6 = (prefix, v4.clone(), 0_u8..3).prop_map(|(prefix, v4, shift)| {
        let prefix: Ipv6Addr = prefix.parse().unwrap();
        let embedded = u128::from(u32::from(v4)) << [0, 80, 96][usize::from(shift)];
        Ipv6Addr::from(u128::from(prefix) | embedded)
    });
    prop_oneof![
        v4.prop_map(IpAddr::V4),
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        v6.prop_map(IpAddr::V6),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

/// Spellings in which clients, resolvers and libraries write one IPv4 address.
fn spellings(v4: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = v4.octets();
    let number = u32::from(v4);
    let tail = number & 0xff_ffff;
    vec![
        v4.to_string(),
        number.to_string(),
        format!("{number:#x}"),
        format!("0{number:o}"),
        format!("{a}.{tail}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{v4}."),
        format!("{a}.{b}.{}", u32::from(c) << 8 | u32::from(d)),
        format!("[::ffff:{v4}]"),
        format!("[::{v4}]"),
        format!("[64:ff9b::{v4}]"),
        format!("[::ffff:{v4}%25eth0]"),
        format!("user@{v4}"),
        format!("%31{v4}"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Promise 15: whatever a client writes, and whatever its name leads to, no address that is not
    /// public is ever one to connect to.
    #[test]
    fn no_answer_leads_to_a_forbidden_address(addresses in prop::collection::vec(any_address(), 1..4)) {
        let rules = rules(&["*"], &[]);
        if rules.check_answer(&at("name.test:443"), &addresses).is_ok() {
            for address in addresses {
                prop_assert!(!is_surely_not_public(address), "{address}");
            }
        }
    }

    #[test]
    fn no_spelling_of_an_address_is_more_than_the_address(address in any_address(), port in any::<u16>()) {
        let IpAddr::V4(v4) = address else { return Ok(()) };
        let rules = rules(&["*"], &[]);
        for spelling in spellings(v4) {
            let Ok(authority) = Authority::parse(&format!("{spelling}:{port}"), None) else { continue };
            let Host::Address(read) = authority.host else {
                return Err(TestCaseError::fail(format!("{spelling} was read as a name")));
            };
            if rules.check_answer(&authority, &[read]).is_ok() {
                prop_assert!(!is_surely_not_public(v4.into()), "{spelling}");
            }
        }
    }

    /// What we accept, a browser's parser reads in the same way: there is no second opinion.
    #[test]
    fn an_accepted_authority_has_one_reading(text in "[a-zA-Z0-9.:@%_\\-\\[\\]x]{0,24}|([a-z0-9-]{1,6}\\.){1,3}[a-z0-9]{1,4}(:[0-9]{1,6})?") {
        let Ok(authority) = Authority::parse(&text, Some(80)) else { return Ok(()) };
        prop_assert_eq!(Authority::parse(&authority.to_string(), None), Ok(authority.clone()));
        let url = url::Url::parse(&format!("http://{text}/"));
        let url = url.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(url.host_str().map(str::to_owned), Some(authority.host.to_string()));
        prop_assert_eq!(url.port_or_known_default(), Some(authority.port));
        prop_assert_eq!((url.username(), url.password()), ("", None));
    }

    #[test]
    fn nothing_is_below_a_name_but_what_ends_in_it(host in "[a-z.-]{1,20}") {
        let pattern = Pattern::parse("*.example.com").unwrap();
        for text in [format!("{host}example.com:443"), format!("{host}.example.com:443"), format!("{host}:443")] {
            if let Ok(authority) = Authority::parse(&text, None) {
                let below = authority.host.to_string().ends_with(".example.com");
                prop_assert_eq!(pattern.matches(&authority), below, "{}", text);
            }
        }
    }

    #[test]
    fn any_entry_is_read_or_refused(text in ".{0,40}") {
        let _ = Pattern::parse(&text);
    }
}
