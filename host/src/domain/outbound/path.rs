//! Paths of a grant: `/bot*/sendMessage`, `/files/**`.

use percent_encoding::percent_decode_str;

/// Times that a text is decoded in the search for what it hides: servers behind servers decode again.
const MOST_DECODED: usize = 4;

/// `*` stands for a part of one segment, at least one character; `**` as the last segment for any rest,
/// at least one character as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<String>,
    /// It ended in `**`.
    any_rest: bool,
}

impl PathPattern {
    /// Reads a pattern as a manifest has it.
    ///
    /// # Errors
    /// The reason, to stand after the entry.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(inside) = text.strip_prefix('/') else { return Err("must begin with `/`".into()) };
        if text.contains(['?', '#', '\\']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("is no path: leave out query, fragment, blanks and backslashes".into());
        }
        if !text.is_ascii() || is_disguised(text) {
            return Err("is not written as it is sent: use ASCII, and neither dot segments nor encoded slashes".into());
        }
        let mut segments: Vec<String> = inside.split('/').map(str::to_owned).collect();
        let any_rest = segments.last().is_some_and(|last| last == "**");
        if any_rest {
            segments.pop();
        }
        if segments.iter().any(|segment| segment.contains("**")) {
            return Err("has `**` elsewhere than as its last segment".into());
        }
        Ok(Self { segments, any_rest })
    }

    /// `path` is that of a parsed URL, which is not [`is_disguised`]: a `*` takes no slash, so what
    /// hides one must not come here.
    pub fn matches(&self, path: &str) -> bool {
        let Some(inside) = path.strip_prefix('/') else { return false };
        let mut asked = inside.split('/');
        for segment in &self.segments {
            match asked.next() {
                Some(text) if matches_segment(segment, text) => {}
                _ => return false,
            }
        }
        match self.any_rest {
            true => asked.next().is_some_and(|first| !first.is_empty()),
            false => asked.next().is_none(),
        }
    }
}

/// Whether some server could read another path in it than we do: encoded slashes, dot segments in any
/// disguise, parameters behind dots (`..;`), bytes that end a text.
pub(super) fn is_disguised(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for round in 0..MOST_DECODED {
        let hides = |segment: &[u8]| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..") || segment.iter().any(|byte| matches!(byte, b'\\' | b'\0' | b'\r' | b'\n'))
        };
        if text.split(|byte| *byte == b'/').any(hides) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode_str(&String::from_utf8_lossy(&text)).collect();
        let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
        if slashes(&decoded) != slashes(&text) {
            return true;
        }
        if decoded == text {
            return false;
        }
        if round + 1 == MOST_DECODED {
            return true;
        }
        text = decoded;
    }
    false
}

/// Without recursion or backtracking over more than one star: linear in the text for each star.
fn matches_segment(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut rest = rest;
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        // The star takes at least one character.
        let Some(first) = rest.chars().next() else { return false };
        let behind = &rest[first.len_utf8()..];
        if parts.peek().is_none() {
            return behind.ends_with(part);
        }
        match behind.find(part) {
            Some(at) => rest = &behind[at + part.len()..],
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn stars_take_parts_of_one_segment() {
        for (pattern, yes, no) in [
            ("/", vec!["/"], vec!["/x", "//", ""]),
            ("/a/b", vec!["/a/b"], vec!["/a", "/a/b/", "/a/bc", "/A/b", "//a/b"]),
            ("/a/", vec!["/a/"], vec!["/a", "/a/x"]),
            (
                "/bot*/send*",
                vec!["/bot1/sendMessage", "/botx/sendX"],
                vec!["/bot/sendX", "/bot1/send", "/bot1/x/sendX"],
            ),
            ("/*", vec!["/x", "/x.y"], vec!["/", "/x/y", "/x/"]),
            ("/*/x", vec!["/a/x"], vec!["//x", "/x"]),
            ("/a*b*c", vec!["/a1b2c", "/abbbc"], vec!["/abc", "/ab2c/", "/a1bc"]),
            ("/files/**", vec!["/files/a", "/files/a/b/c"], vec!["/files", "/files/", "/filesx/a", "/files//a"]),
            ("/**", vec!["/a", "/a/b/"], vec!["/", "//a"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn a_pattern_says_what_is_wrong_with_it() {
        for bad in ["", "x", "/a?b", "/a#b", "/a b", "/../a", "/a/%2e%2e/b", "/a%2fb", "/**/a", "/a**", "/ä", "/a\\b"]
        {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn disguises_are_seen_through() {
        for bad in [
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/%2e%2e/x",
            "/.%2e/x",
            "/a/..;/b",
            "/a/.;x/b",
            "/a/%2e%2e;x/b",
            "/a%00",
            "/a%252fb",
            "/%252e%252e/x",
            "/a%25252fb",
            "/a%2525252fb",
            "/%2525252525",
            "/a%0d%0ab",
            "/a/%2e/b",
        ] {
            assert!(is_disguised(bad), "{bad}");
        }
        for good in ["/a%20b", "/a%25", "/a;b=c/d", "/a.b/..c", "/%E4%BD%A0", "/", "/a//b", "/100%", "/a%zz"] {
            assert!(!is_disguised(good), "{good}");
        }
    }

    proptest! {
        /// The plain reading of the rule, by brute force.
        #[test]
        fn a_star_is_one_or_more_characters(pattern in "[*]?([ab]{1,3}[*]?){0,3}", text in "[ab]{0,8}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (1..=text.len()).any(|taken| slow(rest, &text[taken..])),
                    Some((byte, rest)) => text.first() == Some(byte) && slow(rest, &text[1..]),
                }
            }
            prop_assert_eq!(matches_segment(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_pattern_is_read_or_refused(text in ".{0,40}", path in "/.{0,40}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                let _ = pattern.matches(&path);
            }
            let _ = is_disguised(&path);
        }
    }
}
