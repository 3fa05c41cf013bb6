//! When a credential is renewed, and when it is left alone. Pure: the time comes as an argument.

use std::time::Duration;

/// What any caller gets at least, whatever it asks for (oauth.md 3.1). A run asks for its whole
/// time instead, so that a token does not end in its middle (W10).
pub(super) const LOOK_AHEAD: Duration = Duration::from_secs(60);
/// The rest after the first failure; it doubles with each further one (oauth.md 3.1).
const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);
/// The most that a server's `Retry-After` is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is known of an access token. Times are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    /// As stored; `None` means that it never ends.
    pub expires: Option<i64>,
    /// How much later than `expires` it really ends.
    pub margin: i64,
    /// From its issue to its end, where this process saw its issue.
    pub lifetime: Option<i64>,
    /// The provider said that it does not take it.
    pub refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Long enough for what is asked.
    None,
    /// To be renewed; `works` says whether it serves meanwhile, or if that fails.
    Renewal { works: bool },
}

impl Validity {
    /// Whether the provider takes it now.
    pub(super) fn works(&self, now: i64) -> bool {
        !self.refused && self.expires.is_none_or(|expires| now < expires + self.margin)
    }

    /// Renew when it would end within `min_validity`, or when what is stored says that it has ended.
    /// A token that lives shorter than is asked for is renewed in the second half of its life, not
    /// at every call.
    pub(super) fn need(&self, now: i64, min_validity: Duration) -> Need {
        if self.refused {
            return Need::Renewal { works: false };
        }
        let Some(expires) = self.expires else { return Need::None };
        let wanted = millis(min_validity).min(self.lifetime.map_or(i64::MAX, |lifetime| lifetime / 2));
        let due = now >= expires || now + wanted.max(millis(LOOK_AHEAD)) > expires + self.margin;
        if due { Need::Renewal { works: self.works(now) } } else { Need::None }
    }
}

/// The rest that one credential has after it could not be renewed. Another one (another refresh
/// token) starts afresh.
#[derive(Clone, Debug, Default)]
pub(super) struct CoolDown {
    /// Fingerprint of the refresh token.
    credential: String,
    failures: u32,
    until: i64,
}

impl CoolDown {
    pub(super) fn allows(&self, credential: &str, now: i64) -> bool {
        self.credential != credential || self.failures == 0 || now > self.until
    }

    pub(super) fn failed(&mut self, credential: &str, now: i64, retry_after: Option<Duration>) {
        if self.credential != credential {
            *self = Self { credential: credential.to_owned(), ..Self::default() };
        }
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(10)).min(LONGEST_REST);
        let rest = rest.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        self.failures += 1;
        self.until = now + millis(rest);
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;
    const MINUTE: i64 = 60_000;

    fn ends_in(millis: i64) -> Validity {
        Validity { expires: Some(NOW + millis), margin: 0, lifetime: None, refused: false }
    }

    /// oauth.md #2, #3: exactly a minute is enough, a millisecond less is not.
    #[test]
    fn the_edge_of_a_minute() {
        assert_eq!(ends_in(60 * MINUTE).need(NOW, LOOK_AHEAD), Need::None);
        assert_eq!(ends_in(MINUTE).need(NOW, LOOK_AHEAD), Need::None);
        assert_eq!(ends_in(MINUTE).need(NOW + 1, LOOK_AHEAD), Need::Renewal { works: true });
        assert_eq!(ends_in(MINUTE - 1).need(NOW, Duration::ZERO), Need::Renewal { works: true }, "the least");
        assert_eq!(ends_in(0).need(NOW, LOOK_AHEAD), Need::Renewal { works: false });
        let endless = Validity { expires: None, ..ends_in(0) };
        assert_eq!(endless.need(NOW, LOOK_AHEAD), Need::None);
    }

    /// W10: a run's whole time counts.
    #[test]
    fn a_run_wants_its_whole_time() {
        let run = Duration::from_secs(360);
        assert_eq!(ends_in(6 * MINUTE).need(NOW, run), Need::None);
        assert_eq!(ends_in(6 * MINUTE - 1).need(NOW, run), Need::Renewal { works: true });
    }

    /// A token that lives shorter than a run is not renewed at every call.
    #[test]
    fn short_lives() {
        let token = Validity { lifetime: Some(20 * MINUTE), ..ends_in(20 * MINUTE) };
        let run = Duration::from_secs(61 * 60);
        assert_eq!(token.need(NOW, run), Need::None);
        assert_eq!(token.need(NOW + 10 * MINUTE, run), Need::None);
        assert_eq!(token.need(NOW + 10 * MINUTE + 1, run), Need::Renewal { works: true });
    }

    /// W13: what is stored says five minutes too early that it has ended; it is renewed then, and
    /// still works if that fails.
    #[test]
    fn the_stored_margin() {
        let token = Validity { margin: 5 * MINUTE, ..ends_in(0) };
        assert_eq!(token.need(NOW, LOOK_AHEAD), Need::Renewal { works: true });
        assert_eq!(token.need(NOW - 1, LOOK_AHEAD), Need::None);
        assert_eq!(token.need(NOW + 5 * MINUTE, LOOK_AHEAD), Need::Renewal { works: false });
        let refused = Validity { refused: true, ..ends_in(60 * MINUTE) };
        assert_eq!(refused.need(NOW, LOOK_AHEAD), Need::Renewal { works: false });
    }

    /// oauth.md #16: a rest after failures only, strictly longer than a minute, per credential.
    #[test]
    fn cool_down() {
        let mut rest = CoolDown::default();
        assert!(rest.allows("a", NOW));
        rest.failed("a", NOW, None);
        assert!(!rest.allows("a", NOW + MINUTE));
        assert!(rest.allows("a", NOW + MINUTE + 1));
        assert!(rest.allows("b", NOW), "another credential");
        rest.failed("a", NOW, None);
        assert!(!rest.allows("a", NOW + 2 * MINUTE) && rest.allows("a", NOW + 2 * MINUTE + 1), "it doubles");
        rest.failed("a", NOW, Some(Duration::from_secs(3000)));
        assert!(!rest.allows("a", NOW + 50 * MINUTE) && rest.allows("a", NOW + 50 * MINUTE + 1), "Retry-After");
        for _ in 0..40 {
            rest.failed("a", NOW, None);
        }
        assert!(rest.allows("a", NOW + 15 * MINUTE + 1), "never longer than a quarter of an hour");
        rest.succeeded();
        assert!(rest.allows("a", NOW));
    }
}
