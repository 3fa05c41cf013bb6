//! Whether the daemon answers, for whoever asks how the host is. Runs do not wait for it: each call finds out for
//! itself.

use std::time::Duration;

use tokio::sync::watch;

use super::daemon::{Daemon, DaemonError};

/// Between two questions, beside the 5 s that one may take: an outage is seen within 10 s.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Pulse(watch::Sender<Option<bool>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// `None` until it was asked for the first time.
    pub(super) fn answers(&self) -> Option<bool> {
        *self.0.borrow()
    }

    /// Asks again and again, and tells the operator when the daemon goes and when it comes back.
    pub(super) async fn follow(&self, daemon: &Daemon) {
        loop {
            let asked = daemon.ping().await;
            match (self.note(&asked), asked) {
                (true, Err(error)) => tracing::warn!(
                    %error,
                    "Docker does not answer: no agent can start until it does; `mercury doctor` says more"
                ),
                (true, Ok(())) => tracing::info!("Docker answers again"),
                (false, _) => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Whether that is news. An engine that refuses is there; a proxy that says of it that it is away is not.
    fn note(&self, asked: &Result<(), DaemonError>) -> bool {
        let away = |error: &DaemonError| {
            matches!(error, DaemonError::Unavailable(_) | DaemonError::Answered { status: 502..=504, .. })
        };
        let answers = !asked.as_ref().is_err_and(away);
        let before = self.0.send_replace(Some(answers));
        before.unwrap_or(true) != answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_news() {
        let pulse = Pulse::new();
        let away = || Err(DaemonError::Unavailable("connection refused".into()));
        let refused = || Err(DaemonError::Answered { status: 403, message: "not here".into() });
        assert_eq!(pulse.answers(), None);
        for (asked, news, answers) in [
            (Ok(()), false, true),
            (away(), true, false),
            (away(), false, false),
            (refused(), true, true),
            (Err(DaemonError::Answered { status: 503, message: "no server".into() }), true, false),
            (refused(), true, true),
            (Ok(()), false, true),
        ] {
            assert_eq!((pulse.note(&asked), pulse.answers()), (news, Some(answers)), "{asked:?}");
        }
        assert!(Pulse::new().note(&away()), "also at the start");
    }
}
