//! Any URI of a plugin: what passes goes where the grant says, in the reading of the client's parser.

use mercury::domain::{
    egress::Pattern,
    outbound::{Grant, PathPattern, Target, decide},
};

/// # Panics
/// Where something passes that was not granted.
pub fn check(uri: &str) {
    let grant = Grant {
        hosts: ["api.example.com", "*.below.test", "127.0.0.1:8080"]
            .iter()
            .filter_map(|h| Pattern::parse(h).ok())
            .collect(),
        methods: vec!["GET".to_owned()],
        paths: ["/v1/*/x", "/files/**"].iter().filter_map(|path| PathPattern::parse(path).ok()).collect(),
        plain: false,
    };
    assert_eq!((grant.hosts.len(), grant.paths.len()), (3, 2));
    let Ok(target) = Target::parse(uri) else { return };
    if decide(&[grant], "GET", &target).is_err() {
        return;
    }
    let url = url::Url::parse(uri).expect("the client reads what was granted");
    let host = url.host_str().unwrap_or_default();
    let named = host == "api.example.com" || host.ends_with(".below.test") && host.len() > ".below.test".len();
    assert!(
        named && url.port_or_known_default() == Some(443) || host == "127.0.0.1" && url.port() == Some(8080),
        "{uri}"
    );
    assert_eq!(url.scheme(), "https");
    assert!(url.username().is_empty() && url.password().is_none());
    let decoded = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    let parts: Vec<&str> = decoded.split('/').collect();
    assert!(!parts.iter().any(|part| matches!(*part, "." | "..")), "{uri}");
    assert!(parts[1] == "v1" && parts.len() == 4 && parts[3] == "x" || parts[1] == "files" && parts.len() > 2, "{uri}");
}
