//! One line that says what a reply cost, with numbers as the reader writes them.

mod language;

#[cfg(target_family = "wasm")]
mod component;

pub use language::Language;

/// What is known of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Cached ones included.
    pub tokens_in: u64,
    pub tokens_out: u64,
    /// Millionths of a US dollar; 0 where the provider named no price.
    pub micro_usd: u64,
    pub duration_ms: u64,
}

/// What is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    pub tokens: bool,
    pub cost: bool,
    pub duration: bool,
}

impl Show {
    /// # Errors
    /// A name that is none of the three.
    pub fn parse(names: &str) -> Result<Self, String> {
        let mut show = Self::default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "tokens" => show.tokens = true,
                "cost" => show.cost = true,
                "duration" => show.duration = true,
                other => return Err(format!("the setting show names `{other}`; use tokens, cost, duration")),
            }
        }
        Ok(show)
    }
}

/// The line, or none where there is nothing to say.
pub fn footer(spent: Spent, show: Show, language: Language) -> Option<String> {
    let mut parts = Vec::new();
    if show.tokens && spent.tokens_in + spent.tokens_out > 0 {
        parts.push(language.tokens(spent.tokens_in, spent.tokens_out));
    }
    if show.cost && spent.micro_usd > 0 {
        parts.push(language.dollars(spent.micro_usd));
    }
    if show.duration {
        parts.push(language.duration(spent.duration_ms));
    }
    (!parts.is_empty()).then(|| format!("_{}_", parts.join(" · ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Show = Show { tokens: true, cost: true, duration: true };
    const SPENT: Spent = Spent { tokens_in: 1_234_567, tokens_out: 87, micro_usd: 12_345, duration_ms: 4_249 };

    #[test]
    fn numbers_are_written_as_the_reader_does() {
        for (name, expected) in [
            ("en", "_1,234,567 tokens in, 87 out · $0.01 · 4.2 s_"),
            ("de", "_1.234.567 Token hinein, 87 heraus · 0,01 $ · 4,2 s_"),
            ("es", "_1.234.567 tokens de entrada, 87 de salida · 0,01 $ · 4,2 s_"),
            ("fr", "_1\u{202F}234\u{202F}567 jetons en entrée, 87 en sortie · 0,01 $ · 4,2 s_"),
            ("he", "_1,234,567 אסימוני קלט, 87 אסימוני פלט · $0.01 · 4.2 שנ׳_"),
        ] {
            assert_eq!(footer(SPENT, ALL, Language::parse(name).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn small_costs_keep_four_digits_and_long_times_have_minutes() {
        let cost =
            |micro_usd| footer(Spent { micro_usd, ..SPENT }, Show { cost: true, ..Show::default() }, Language::English);
        assert_eq!(cost(9_999).unwrap(), "_$0.0100_");
        assert_eq!(cost(1_234).unwrap(), "_$0.0012_");
        assert_eq!(cost(20).unwrap(), "_under $0.0001_");
        assert_eq!(cost(12_345_678_900).unwrap(), "_$12,345.68_");
        assert_eq!(cost(0), None);
        let time = |duration_ms| {
            footer(Spent { duration_ms, ..SPENT }, Show { duration: true, ..Show::default() }, Language::English)
        };
        assert_eq!(time(59_949).unwrap(), "_59.9 s_");
        assert_eq!(time(59_950).unwrap(), "_1 min 0 s_");
        assert_eq!(time(185_400).unwrap(), "_3 min 5 s_");
    }

    #[test]
    fn unknown_names_are_told() {
        assert!(Show::parse("tokens, price").unwrap_err().contains("`price`"));
        assert!(Language::parse("xx").unwrap_err().contains("`xx`"));
        assert_eq!(Show::parse("cost").unwrap(), Show { cost: true, ..Show::default() });
    }
}
