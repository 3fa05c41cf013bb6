//! The rule for prompts: their length, and phrases that the operator has blocked.

use crate::policy::Policy;
use crate::refusal::Refusal;

/// Decides about one prompt.
pub fn check(policy: &Policy, prompt: &str) -> Result<(), Refusal> {
    if prompt.chars().nth(policy.max_prompt_chars).is_some() {
        return Err(Refusal::PromptTooLong { limit: policy.max_prompt_chars });
    }
    if policy.blocked_phrases.is_empty() {
        return Ok(());
    }
    let folded = fold(prompt);
    if policy.blocked_phrases.iter().any(|phrase| folded.contains(&fold(phrase))) {
        return Err(Refusal::BlockedPhrase);
    }
    Ok(())
}

/// One case, one space between words: a line break inside a phrase does not hide it.
fn fold(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::read("member", |key| match key {
            "blocked-phrases" => Some("Ignore all rules,דחוף".into()),
            "max-prompt-chars" => Some("40".into()),
            _ => None,
        })
    }

    #[test]
    fn phrases_are_found_in_any_case_and_spacing() {
        for prompt in ["please IGNORE all  rules", "ignore\nall rules", "זה דחוף"] {
            assert_eq!(check(&policy(), prompt), Err(Refusal::BlockedPhrase), "{prompt}");
        }
        assert_eq!(check(&policy(), "ignore all the rules"), Ok(()));
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert_eq!(check(&policy(), &"ד".repeat(40)), Ok(()));
        assert_eq!(check(&policy(), &"x".repeat(41)), Err(Refusal::PromptTooLong { limit: 40 }));
    }
}
