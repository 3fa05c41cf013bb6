//! Any text as a manifest: read or refused, and what is read keeps the rules of its fields.

use std::path::Path;

use mercury::plugins::Manifest;

/// # Panics
/// Where a manifest passes that breaks a rule.
pub fn check(text: &str) {
    let Ok(manifest) = Manifest::parse(Path::new("plugin.toml"), text) else { return };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    assert!(!manifest.name.is_empty() && manifest.name.bytes().all(plain));
    assert!(!manifest.component.contains(['/', '\\']) && !manifest.component.starts_with('.'));
    assert!(!manifest.provides.is_empty());
    assert!((1..=256).contains(&manifest.limits.memory_mib) && (1..=10_000).contains(&manifest.limits.deadline_ms));
    assert!((1..=4096).contains(&manifest.media.quota_mib));
    for grant in &manifest.http {
        assert!(!grant.hosts.is_empty() && !grant.methods.iter().any(|method| method == "CONNECT"));
        assert!((1..=16).contains(&grant.max_response_mib) && (1..=6000).contains(&grant.per_minute));
    }
    for secret in &manifest.secrets {
        assert!(secret.variable.starts_with("MERCURY_") && secret.variable != "MERCURY_API_SECRET");
    }
    for folder in &manifest.folders {
        assert!(!folder.space_folder.contains(['/', '\\']) && !folder.space_folder.starts_with('.'));
    }
}
