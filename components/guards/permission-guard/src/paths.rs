//! Paths as text: lexical normalisation, and whether one lies at or below a protected pattern.
//!
//! Nothing here looks at a file system: the guard has none. A symlink is therefore followed by
//! nobody; the host's mounts are what holds then.

use glob::Pattern;

use crate::refusal::Refusal;

/// The agent's home in the container, as `container/protocol` has it.
pub(crate) const HOME: &str = "/home/mercury";
/// Stands in expanded text for a part that is known only when the command runs.
pub(crate) const HOLE: char = '\u{fffc}';

/// An absolute path whose components may hold `*`, `?` and `[..]`.
#[derive(Debug, Clone)]
pub struct PathPattern {
    components: Vec<Pattern>,
}

impl PathPattern {
    /// Reads a pattern; a component that is no valid pattern is taken literally.
    pub fn new(path: &str) -> Self {
        let components = components("/", path).iter().map(|part| pattern(part)).collect();
        Self { components }
    }

    /// Whether `path` (absolute, normalised; its own components may be patterns or hold a
    /// hole) is, or may turn out to be, the protected path or something below it.
    fn covers(&self, path: &[String]) -> bool {
        !self.components.is_empty()
            && path.len() >= self.components.len()
            && self.components.iter().zip(path).all(|(protected, part)| {
                protected.matches(part) || may_expand_to(part, protected.as_str())
            })
            // `/*` only names what lies in the root; `/$a/$b/c` may be anything at all.
            && (path.len() > self.components.len() || path.iter().any(|part| part.contains(char::is_alphanumeric)))
            && path.iter().take(self.components.len()).any(|part| part.chars().ne([HOLE]))
    }

    /// Whether the protected path lies below `directory` (absolute, normalised).
    pub(crate) fn is_below(&self, directory: &str) -> bool {
        let parent = components("/", directory);
        parent.len() < self.components.len() && self.components.iter().zip(&parent).all(|(own, part)| own.matches(part))
    }
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.components.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|_| Pattern::new(&Pattern::escape(text)).unwrap_or_default())
}

/// Whether the shell could expand `part` to a name such as `protected`.
fn may_expand_to(part: &str, protected: &str) -> bool {
    if !part.contains(['*', '?', '[', HOLE]) {
        return false;
    }
    let open = part.replace(HOLE, "*");
    // A protected pattern is represented by a name that it covers.
    let sample = protected.replace("[0-9]*", "1").replace(['*', '?'], "x");
    pattern(&open).matches(&sample)
}

fn components(base: &str, path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

/// `path` made absolute under `base`, without `.`, `..`, doubled slashes or a leading `~`.
pub(crate) fn normalise(base: &str, path: &str) -> String {
    let path = path.trim();
    let path = path.strip_prefix("file://").unwrap_or(path);
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{HOME}{rest}"),
        _ => path.to_owned(),
    };
    format!("/{}", components(base, &path).join("/"))
}

/// Refuses a path at or below a protected one.
pub(crate) fn refuse_protected(protected: &[PathPattern], base: &str, path: &str) -> Result<(), Refusal> {
    let absolute = normalise(base, path);
    let parts = components("/", &absolute);
    if protected.iter().any(|pattern| pattern.covers(&parts)) {
        return Err(Refusal::ProtectedPath { path: absolute.replace(HOLE, "…") });
    }
    Ok(())
}

/// Refuses a word in which a protected path is embedded: `if=/proc/self/environ`, `@/run/..`,
/// code with a path in quotes.
pub(crate) fn refuse_embedded(protected: &[PathPattern], base: &str, word: &str) -> Result<(), Refusal> {
    refuse_protected(protected, base, word)?;
    let mut before = None;
    for (index, character) in word.char_indices() {
        let starts = character == '/'
            && before.is_none_or(|c: char| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-' | HOLE));
        // An option with its value attached: `-f/proc/self/environ`.
        let attached = character == '/' && word.starts_with('-') && !word[..index].contains('/');
        before = Some(character);
        if !starts && !attached {
            continue;
        }
        let tail = &word[index..];
        let end = tail.find(|c: char| c.is_whitespace() || "\"'`;|&()<>,:=".contains(c));
        refuse_protected(protected, base, &tail[..end.unwrap_or(tail.len())])?;
    }
    Ok(())
}

/// Refuses a write that is neither in the workspace nor in a place for scratch files.
pub(crate) fn refuse_outside(workspace: &str, path: &str) -> Result<(), Refusal> {
    let absolute = normalise(workspace, path);
    let inside = [workspace, "/tmp", HOME]
        .iter()
        .any(|root| absolute.strip_prefix(root).is_some_and(|rest| rest.starts_with('/')));
    if inside { Ok(()) } else { Err(Refusal::OutsideWorkspace { path: absolute }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(word: &str) -> bool {
        let protected = ["/run/mercury", "/proc/[0-9]*", "/proc/self"].map(PathPattern::new);
        refuse_embedded(&protected, "/spaces/main", word).is_err()
    }

    #[test]
    fn protected_paths_are_found_in_every_spelling() {
        for word in [
            "/run/mercury",
            "/run/mercury/",
            "/run/mercury/api.sock",
            "/run//mercury/./api.sock",
            "/run/x/../mercury/api.sock",
            "../../run/mercury/api.sock",
            "~/../../run/mercury",
            "/proc/1/environ",
            "/proc/\u{fffc}/environ",
            "/proc/*/environ",
            "/p*/self/environ",
            "/*/*/environ",
            "if=/proc/self/environ",
            "@/proc/self/environ",
            "-f/proc/self/environ",
            "open('/proc/self/environ').read()",
            "unix-connect:/run/mercury/api.sock",
            "file:///proc/self/environ",
        ] {
            assert!(refused(word), "{word}");
        }
    }

    #[test]
    fn other_paths_are_left_alone() {
        for word in [
            "/run/mercury-global/AGENTS.md",
            "/proc/cpuinfo",
            "/etc/os-release",
            "docs/proc/self/x",
            "https://example.org/run/mercury/x",
            "/*",
            "*",
            "run/mercury",
            "",
        ] {
            assert!(!refused(word), "{word}");
        }
    }

    #[test]
    fn writes_stay_in_the_workspace() {
        for path in ["a.txt", "./a/../b", "/tmp/x", "/spaces/main/x", "~/x", "/home/mercury/.x"] {
            assert_eq!(refuse_outside("/spaces/main", path), Ok(()), "{path}");
        }
        for path in ["../other/x", "/spaces/mainly/x", "/etc/x", "/tmp/../etc/x", "/"] {
            assert!(refuse_outside("/spaces/main", path).is_err(), "{path}");
        }
    }
}
