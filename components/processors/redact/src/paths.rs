//! Paths that say nothing to the reader: the host's directories, and the container's own ones.

use regex::{Captures, Regex};

/// What stands where a path was.
pub const REMOVED: &str = "[path removed]";

/// Where the host's and the container's own files are inside the container, as
/// `container/protocol/src/paths.rs` has it.
const CONTAINER: &[&str] = &["/run/mercury-io", "/run/mercury-global", "/run/mercury", "/opt/mercury"];

/// A path goes on with these; a dot or comma at the end belongs to the sentence.
const TAIL: &str = r"(?:/[A-Za-z0-9._~+@%:,=-]*[A-Za-z0-9_~+@%=-])*/?";

/// The text without host and container paths; paths of the space become relative to it.
pub fn remove(text: &str, space: &str, host_paths: &[String]) -> String {
    let roots: Vec<&str> = host_paths
        .iter()
        .map(|path| path.trim().trim_end_matches('/'))
        // `/` or `relative` would remove far more than a directory of the host.
        .filter(|path| path.starts_with('/') && path.len() > 1)
        .chain(CONTAINER.iter().copied())
        .collect();
    // Compiling the pattern costs about a millisecond, and most texts name no path of ours.
    if !text.contains("/spaces/") && !roots.iter().any(|root| text.contains(root)) {
        return text.to_owned();
    }
    let mut roots: Vec<String> = roots.into_iter().map(regex::escape).collect();
    // The longest first: alternation takes the first that fits.
    roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
    // Not inside a longer path or an address: `https://example.org/opt/mercury` stays.
    let outside = r"(?<before>^|[^A-Za-z0-9._~/-])";
    let pattern = format!(
        r"(?m){outside}(?:/spaces/{}/(?<inner>[A-Za-z0-9._~-])|(?<removed>(?:{}){TAIL})(?<after>$|[^A-Za-z0-9_-]))",
        regex::escape(space),
        roots.join("|"),
    );
    let Ok(pattern) = Regex::new(&pattern) else { return text.to_owned() };
    let mut text = text.to_owned();
    // Two paths that share the one character between them need a second look.
    for _ in 0..4 {
        let changed = pattern.replace_all(&text, replacement).into_owned();
        if changed == text {
            break;
        }
        text = changed;
    }
    text
}

fn replacement(found: &Captures<'_>) -> String {
    let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
    match found.name("inner") {
        Some(inner) => format!("{}{}", part("before"), inner.as_str()),
        None => format!("{}{REMOVED}{}", part("before"), part("after")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        remove(text, "main", &["/srv/mercury-data/".to_owned(), "/".to_owned(), String::new()])
    }

    #[test]
    fn paths_go_and_the_sentence_stays() {
        for (text, expected) in [
            ("see /srv/mercury-data/spaces/main/a.txt.", "see [path removed]."),
            ("`/srv/mercury-data`", "`[path removed]`"),
            ("(/run/mercury-io/input.json)", "([path removed])"),
            ("/run/mercury/api.sock, /opt/mercury/bin/mrctl", "[path removed], [path removed]"),
            ("/opt/mercury /opt/mercury", "[path removed] [path removed]"),
            ("Saved as /spaces/main/outbox/x.pdf.", "Saved as outbox/x.pdf."),
            ("file:/srv/mercury-data/x", "file:[path removed]"),
            ("```\ncat /spaces/main/a/b.rs\n```", "```\ncat a/b.rs\n```"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn other_paths_stay() {
        for text in [
            "/spaces/mainly/x",
            "/spaces/main",
            "/spaces/other/x",
            "/srv/mercury-database/x",
            "/opt/mercurial/x",
            "/opt/mercury2",
            "https://example.org/opt/mercury/x",
            "/usr/bin/env",
            "a/opt/mercury",
            "/",
        ] {
            assert_eq!(redacted(text), text, "{text}");
        }
    }
}
