use proptest::prelude::*;

use super::*;

fn rules(mode: Mode) -> Rules {
    Rules::new(mode, vec!["@Mercury".into(), "Mercury".into()], "real_bot")
}

fn group(mode: Mode, text: &str) -> Option<String> {
    rules(mode).prompt(Heard { direct: false, text, has_media: false, mentions_bot: false })
}

/// pipeline.md #18 in its decision.
#[test]
fn a_mention_is_a_word() {
    let said = |text| group(Mode::Mention, text);
    assert_eq!(said("@Mercury hi").as_deref(), Some("hi"));
    assert_eq!(said("hi mercury, how are you").as_deref(), Some("hi how are you"));
    assert_eq!(said("hi MERCURY!").as_deref(), Some("hi"));
    assert_eq!(said("Mercury").as_deref(), Some("Mercury"));
    assert_eq!(said("mercurys"), None);
    assert_eq!(said("a@mercury hi"), None);
    assert_eq!(said("nothing"), None);
    assert_eq!(said(" "), None);
    // The bot's own name is a pattern whatever is configured.
    assert_eq!(said("@Real_Bot hi").as_deref(), Some("hi"));
}

/// Patterns `@Pi` and `Pi`.
fn pi(mode: Mode, own: Own) -> Rules {
    let patterns = vec!["@Pi".into(), "Pi".into()];
    Rules::new(mode, Vec::new(), "").in_space(Own { patterns, ..own }).into_owned()
}

fn said(rules: &Rules, text: &str) -> Option<String> {
    rules.prompt(Heard { direct: false, text, has_media: false, mentions_bot: false })
}

/// pipeline.md #10
#[test]
fn where_a_mention_stands() {
    let rules = pi(Mode::Mention, Own::default());
    for (text, expected) in [
        ("@Pi hello world", Some("hello world")),
        ("hello @Pi", Some("hello")),
        ("hey @Pi do stuff", Some("hey do stuff")),
        ("@Pi, what time", Some("what time")),
        ("Pizza is good", None),
        ("Pixel art", None),
        ("@Pi", Some("@Pi")),
        // Only the first is taken away.
        ("Pi and Pi", Some("and Pi")),
    ] {
        assert_eq!(said(&rules, text).as_deref(), expected, "{text}");
    }
}

/// pipeline.md #11
#[test]
fn case_counts_where_a_space_says_so() {
    let rules = pi(Mode::Mention, Own { case_sensitive: true, ..Own::default() });
    assert_eq!(said(&rules, "@pi hello"), None);
    assert_eq!(said(&rules, "@Pi hello").as_deref(), Some("hello"));
    let turned = Own { patterns: vec!["Pi".into(), "@Pi".into()], ..Own::default() };
    assert_eq!(said(&pi(Mode::Mention, turned), "@pi hello").as_deref(), Some("hello"), "not `@ hello`");
}

/// pipeline.md #12
#[test]
fn where_a_prefix_stands() {
    let rules = pi(Mode::Prefix, Own::default());
    for (text, expected) in
        [("@Pi hello", Some("hello")), ("hello @Pi", None), ("Pixel art", None), ("Pi", Some("")), ("Pi, hello", None)]
    {
        assert_eq!(said(&rules, text).as_deref(), expected, "{text}");
    }
}

/// The bot's name is added to what is configured, once, and not to what a space says of its own.
#[test]
fn the_bots_own_name() {
    let rules = Rules::new(Mode::Mention, vec!["@MERCURY".into()], "mercury");
    assert_eq!(rules.patterns, ["@MERCURY"]);
    assert_eq!(said(&rules, "@mercury hi").as_deref(), Some("hi"));
    assert_eq!(Rules::new(Mode::Mention, vec![" ".into()], "ada").patterns, ["@ada"]);
    let own = Own { patterns: vec!["Bob".into()], ..Own::default() };
    assert_eq!(rules.in_space(own).patterns, ["Bob"]);
    let nothing = Own { patterns: vec![" ".into()], mode: Some(Mode::Prefix), ..Own::default() };
    let prefix = rules.in_space(nothing);
    assert_eq!((prefix.mode, &prefix.patterns), (Mode::Prefix, &rules.patterns));
    assert!(matches!(rules.in_space(Own::default()), Cow::Borrowed(same) if *same == rules));
}

#[test]
fn a_prefix_is_followed_by_a_space() {
    let said = |text| group(Mode::Prefix, text);
    assert_eq!(said("Mercury hi").as_deref(), Some("hi"));
    assert_eq!(said("mercury").as_deref(), Some(""));
    assert_eq!(said("Mercury, hi"), None);
    assert_eq!(said("hi Mercury"), None);
}

/// pipeline.md #13, #14, #15
#[test]
fn always_direct_and_media() {
    assert_eq!(group(Mode::Always, " Mercury hi ").as_deref(), Some("Mercury hi"));
    let direct =
        |mode, text, has_media| rules(mode).prompt(Heard { direct: true, text, has_media, mentions_bot: false });
    assert_eq!(direct(Mode::Mention, "hi", false).as_deref(), Some("hi"));
    assert_eq!(direct(Mode::Prefix, "Mercury hi", false).as_deref(), Some("hi"));
    assert_eq!(direct(Mode::Mention, "", true).as_deref(), Some(""));
    assert_eq!(direct(Mode::Mention, "", false), None);
    let in_group = |mode| rules(mode).prompt(Heard { direct: false, text: "", has_media: true, mentions_bot: false });
    assert_eq!(in_group(Mode::Mention), None);
    assert_eq!(in_group(Mode::Always).as_deref(), Some(""));
    let with_media = rules(Mode::Mention).in_space(Own { media_in_groups: true, ..Own::default() }).into_owned();
    let heard = Heard { direct: false, text: " ", has_media: true, mentions_bot: false };
    assert_eq!(with_media.prompt(heard).as_deref(), Some(""));
    assert_eq!(with_media.prompt(Heard { has_media: false, ..heard }), None);
    assert_eq!(with_media.prompt(Heard { text: "what a picture", ..heard }), None, "its words call nobody");
}

#[test]
fn the_platform_may_say_that_the_bot_is_meant() {
    let heard = Heard { direct: false, text: "you there", has_media: false, mentions_bot: true };
    assert_eq!(rules(Mode::Mention).prompt(heard).as_deref(), Some("you there"));
}

/// A text of known parts, so that what a mode makes of it can be said without looking for it.
#[derive(Clone, Debug)]
struct Said {
    before: String,
    /// A pattern, and whether it is written in another case.
    called: Option<(&'static str, bool)>,
    behind: &'static str,
}

impl Said {
    fn text(&self) -> String {
        let called = match self.called {
            Some((pattern, true)) => pattern.to_uppercase(),
            Some((pattern, false)) => pattern.to_owned(),
            None => String::new(),
        };
        let gap = if self.before.is_empty() || called.is_empty() { "" } else { " " };
        format!("{}{gap}{called}{}", self.before, if called.is_empty() { "" } else { self.behind })
    }

    /// What a mode leaves where it takes the text for a call.
    fn call(&self, mode: Mode, case_sensitive: bool) -> Option<String> {
        self.called.filter(|(_, other_case)| !(*other_case && case_sensitive))?;
        match mode {
            Mode::Mention => {
                let ends = self.behind.is_empty() || self.behind.starts_with([' ', '\n', ',', ';', ':', '.', '!', '?']);
                let behind = self.behind.trim_start_matches([' ', '\n', ',', ';', ':', '.', '!', '?']).trim_end();
                let left = [self.before.as_str(), behind];
                let left = left.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
                ends.then(|| if left.is_empty() { self.text().trim().to_owned() } else { left })
            }
            Mode::Prefix => {
                let begins =
                    self.before.is_empty() && (self.behind.trim_end().is_empty() || self.behind.starts_with(' '));
                begins.then(|| self.behind.trim().to_owned())
            }
            Mode::Always => None,
        }
    }
}

fn anything_said() -> impl Strategy<Value = Said> {
    let pattern = prop::sample::select(vec!["@Mercury", "Mercury", "@real_bot"]);
    let behind =
        prop::sample::select(vec!["", " ", " tell us", ", tell us", "!", "\nyes", "x", "-like", "'s", " please"]);
    ("([a-lno-z]{1,5}( [a-lno-z]{1,5}){0,2})?", prop::option::of((pattern, any::<bool>())), behind)
        .prop_map(|(before, called, behind)| Said { before, called, behind })
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Mention, Mode::Prefix, Mode::Always])
}

proptest! {
    /// The table of pipeline.md section 5, row by row.
    #[test]
    fn the_decision_table(
        said in anything_said(), mode in any_mode(), direct: bool, has_media: bool, mentions_bot: bool,
        case_sensitive: bool, media_in_groups: bool,
    ) {
        let own = Own { mode: Some(mode), case_sensitive, media_in_groups, ..Own::default() };
        let configured = rules(Mode::Mention);
        let text = said.text();
        let found = configured.in_space(own).prompt(Heard { direct, text: &text, has_media, mentions_bot });
        let whole = text.trim().to_owned();
        let expected = if whole.is_empty() {
            (has_media && (direct || mentions_bot || media_in_groups || mode == Mode::Always)).then(String::new)
        } else if mode == Mode::Always {
            Some(whole)
        } else {
            said.call(mode, case_sensitive).or_else(|| (direct || mentions_bot).then_some(whole))
        };
        prop_assert_eq!(found, expected, "{:?}", text);
    }

    #[test]
    fn the_order_of_patterns_is_nothing(mut patterns in prop::collection::vec("@?[a-c]{1,3}", 1..5), text in "[a-c@ ,]{0,12}", mode in any_mode()) {
        let before = Rules::new(mode, patterns.clone(), "bot");
        patterns.reverse();
        prop_assert_eq!(super::tests::said(&before, &text), super::tests::said(&Rules::new(mode, patterns, "bot"), &text));
    }

    #[test]
    fn no_text_breaks_it(text in "\\PC*", pattern in "\\PC{0,6}", direct: bool) {
        for mode in [Mode::Mention, Mode::Prefix, Mode::Always] {
            let rules = Rules::new(mode, vec![pattern.clone()], "İbot");
            let prompt = rules.prompt(Heard { direct, text: &text, has_media: false, mentions_bot: false });
            prop_assert!(prompt.is_none_or(|prompt| prompt.len() <= text.len()));
        }
    }

    /// A direct message with words always asks something.
    #[test]
    fn a_direct_message_is_meant(text in "\\PC*[a-z]\\PC*") {
        let heard = Heard { direct: true, text: &text, has_media: false, mentions_bot: false };
        prop_assert!(rules(Mode::Mention).prompt(heard).is_some_and(|prompt| !prompt.is_empty()));
    }

    /// A group is left alone by words that are not the bot's.
    #[test]
    fn other_words_call_nobody(words in proptest::collection::vec("[a-lno-z]{1,8}", 0..12)) {
        prop_assert_eq!(group(Mode::Mention, &words.join(" ")), None);
    }
}
