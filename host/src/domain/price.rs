//! What tokens cost.

/// Tokens of one call or of several, each counted once: `input` is without those that the
/// provider's cache gave or took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Those of `cache_write` that are kept for an hour; the others are for five minutes.
    pub cache_write_long: u64,
}

/// US dollars per million tokens, which is the same number in millionths of a dollar per token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    pub cache_write: f64,
}

/// What a model costs. Some cost more from a number of input tokens on.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    pub base: Rates,
    /// Above so many input tokens, cached ones included, these rates hold. In rising order.
    pub tiers: Vec<(u64, Rates)>,
}

/// Writing into the cache for an hour costs twice the input rate (Anthropic, "Prompt caching").
const LONG_WRITE: f64 = 2.0;

impl Price {
    /// Millionths of a US dollar, rounded up. `factor` is that of the service tier: 1 is the usual one.
    pub fn micro_usd(&self, tokens: Tokens, factor: f64) -> u64 {
        let size = tokens.input + tokens.cache_read + tokens.cache_write;
        let rates = self.tiers.iter().rev().find(|(above, _)| size > *above).map_or(self.base, |(_, rates)| *rates);
        let long = tokens.cache_write_long.min(tokens.cache_write);
        let sum = tokens.input as f64 * rates.input
            + tokens.output as f64 * rates.output
            + tokens.cache_read as f64 * rates.cache_read
            + (tokens.cache_write - long) as f64 * rates.cache_write
            + long as f64 * rates.input * LONG_WRITE;
        (sum * factor).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        let base = Rates { input: 5.0, output: 25.0, cache_read: 0.5, cache_write: 6.25 };
        let double = Rates { input: 10.0, output: 50.0, cache_read: 1.0, cache_write: 12.5 };
        Price { base, tiers: vec![(200_000, double)] }
    }

    #[test]
    fn every_kind_of_token_has_its_rate() {
        let tokens = Tokens { input: 100, output: 10, cache_read: 1000, cache_write: 8, cache_write_long: 4 };
        assert_eq!(price().micro_usd(tokens, 1.0), 500 + 250 + 500 + 25 + 40);
        assert_eq!(price().micro_usd(tokens, 0.5), 658, "rounded up");
        assert_eq!(price().micro_usd(Tokens::default(), 1.0), 0);
    }

    #[test]
    fn a_tier_begins_above_its_border_and_counts_what_is_cached() {
        let at = |cache_read| price().micro_usd(Tokens { output: 1, cache_read, ..Tokens::default() }, 1.0);
        assert_eq!((at(200_000), at(200_001)), (100_025, 200_051));
    }
}
