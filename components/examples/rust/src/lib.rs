//! Asks before the agent sends mail to strangers.
//!
//! The rule is a pure function of the command's text and the settings; [`component`] connects it.

use regex::Regex;

#[cfg(target_family = "wasm")]
mod component;

/// What an operator has set.
#[derive(Clone, Debug)]
pub struct Rules {
    pub programs: Vec<String>,
    pub known_domains: Vec<String>,
}

/// The items of a setting that is a list.
pub fn list(setting: &str) -> Vec<String> {
    setting.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_lowercase).collect()
}

/// The question to be asked before `command` runs, if any.
pub fn question(command: &str, rules: &Rules) -> Option<String> {
    let words: Vec<&str> = command.split(|c: char| c.is_whitespace() || ";|&()<>'\"`".contains(c)).collect();
    let name = |word: &&str| word.rsplit('/').next().unwrap_or(word).to_lowercase();
    let program = words.iter().map(name).find(|name| rules.programs.contains(name))?;
    let addresses = addresses(command);
    let strangers: Vec<&str> =
        addresses.iter().filter(|address| !is_known(address, &rules.known_domains)).map(String::as_str).collect();
    if !strangers.is_empty() {
        return Some(format!("{program} would send mail to {}. Allow it?", strangers.join(", ")));
    }
    let sends = words.iter().any(|word| matches!(word.trim_start_matches(['+', '-']), "send" | "reply" | "forward"));
    (sends && addresses.is_empty()).then(|| format!("{program} would send mail, to whom it does not say. Allow it?"))
}

/// Every mail address in the text, in lower case, once each.
fn addresses(text: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+") else { return Vec::new() };
    let mut found: Vec<String> = pattern.find_iter(text).map(|found| found.as_str().to_lowercase()).collect();
    found.sort();
    found.dedup();
    found
}

fn is_known(address: &str, domains: &[String]) -> bool {
    let domain = address.rsplit('@').next().unwrap_or_default();
    domains
        .iter()
        .any(|known| domain == known || domain.strip_suffix(known.as_str()).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> Rules {
        Rules { programs: list("ymail, gws"), known_domains: list("example.com") }
    }

    #[test]
    fn strangers_are_asked_about() {
        for (command, asked) in [
            ("ymail send --to ada@example.com", None),
            ("ymail send --to bob@mail.example.com", None),
            ("ymail send --to eve@example.org", Some("ymail would send mail to eve@example.org. Allow it?")),
            ("ymail send --to eve@notexample.com", Some("ymail would send mail to eve@notexample.com. Allow it?")),
            ("cat x; /usr/bin/ymail reply 7", Some("ymail would send mail, to whom it does not say. Allow it?")),
            ("gws gmail +send --to \"$WHO\"", Some("gws would send mail, to whom it does not say. Allow it?")),
            ("ymail list", None),
            ("echo eve@example.org", None),
        ] {
            assert_eq!(question(command, &rules()).as_deref(), asked, "{command}");
        }
    }

    proptest! {
        /// Whatever else stands in the command, a stranger's address behind a mail program is asked about.
        #[test]
        fn no_context_hides_a_stranger(before in "[a-z ]{0,20}", after in "[a-z ]{0,20}") {
            let command = format!("{before} ymail send --to eve@example.org {after}");
            prop_assert!(question(&command, &rules()).is_some());
        }

        /// Any text has an answer.
        #[test]
        fn any_text_is_taken(command in "\\PC{0,200}") {
            let _ = question(&command, &rules());
        }
    }
}
