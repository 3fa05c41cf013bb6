//! Variables in the text of an `.env`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::dot_env;

/// The text with these variables; those with `None` are taken out. All other lines stay as they are.
///
/// # Errors
/// Where the parser would not read exactly that out of it.
pub(super) fn change(text: &str, variables: &BTreeMap<String, Option<String>>) -> Result<String, String> {
    let mut wanted = read(text)?;
    for (name, value) in variables {
        match value {
            Some(value) if value.chars().any(char::is_control) => {
                return Err(format!("the value of {name} has line breaks or other control characters"));
            }
            Some(value) => drop(wanted.insert(name.clone(), value.clone())),
            None => drop(wanted.remove(name)),
        }
    }
    let mut done = BTreeSet::new();
    let mut changed = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let name = name_of(line).filter(|name| variables.contains_key(*name));
        let Some((name, value)) = name.and_then(|name| variables.get_key_value(name)) else {
            changed.push_str(line);
            continue;
        };
        // The last of several counts; now there is one.
        if let (Some(value), true) = (value, done.insert(name)) {
            changed.push_str(&format!("{name}={}\n", quoted(value)));
        }
    }
    for (name, value) in variables.iter().filter(|(name, _)| !done.contains(name)) {
        if let Some(value) = value {
            if !changed.is_empty() && !changed.ends_with('\n') {
                changed.push('\n');
            }
            changed.push_str(&format!("{name}={}\n", quoted(value)));
        }
    }
    match read(&changed)? == wanted {
        true => Ok(changed),
        false => Err("a value of several lines stands in it, or one that refers to another".to_owned()),
    }
}

/// `  export NAME = …`
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

/// As the parser reads it back: what a shell could take for more than a word stands in quotes.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@%+=,~-".contains(&byte);
    if value.bytes().all(plain) {
        return value.to_owned();
    }
    // Where the parser looks for the line's end, a backslash takes the closing quote along.
    if !value.contains(['\'', '\\']) {
        return format!("'{value}'");
    }
    dot_env::escaped(value)
}

/// The last of several values counts.
fn read(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = dot_env::pairs(text).collect::<Result<BTreeMap<_, _>, _>>();
    // The parser's own words would repeat the line, and with it a secret.
    pairs.map_err(|_| "a line of it is no NAME=value".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str, pairs: &[(&str, Option<&str>)]) -> Result<String, String> {
        change(text, &pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect())
    }

    /// http-api.md W10 and #31 in part.
    #[test]
    fn other_lines_stay() {
        let text = "# keys\n\nA=1\n  export B = 'two'\n#C=3\nA=again\nD=last";
        assert_eq!(
            set(text, &[("A", Some("x y")), ("C", Some("3")), ("B", None)]).unwrap(),
            "# keys\n\nA='x y'\n#C=3\nD=last\nC=3\n"
        );
        assert_eq!(set("", &[("A", None)]).unwrap(), "");
        assert_eq!(set("A=1\n", &[("A", Some(""))]).unwrap(), "A=\n");
        for injected in ["x\nMERCURY_ADMINS=api:eve", "x\r", "\0"] {
            assert!(set("", &[("A", Some(injected))]).is_err(), "{injected:?}");
        }
        let lines = "A=\"first\nB=second\"\n";
        assert!(set(lines, &[("B", Some("x"))]).is_err(), "the second line is a part of the first's value");
        assert!(set("A=1\nB=${A}\n", &[("A", Some("2"))]).is_err(), "another's value would change");
        assert!(set("no line of it\n", &[("A", Some("2"))]).is_err());
    }

    proptest! {
        /// Whatever a secret looks like, it is read as it was written, and beside it nothing else.
        #[test]
        fn values_are_read_back(value in "[^\\p{Cc}]{0,40}") {
            let text = set("B=kept\n", &[("A", Some(&value))]).unwrap();
            let read = read(&text).unwrap();
            prop_assert_eq!(read.get("A"), Some(&value), "{}", text);
            prop_assert_eq!(read.len(), 2);
        }
    }
}
