//! When a reply is read aloud without being asked.

/// Whether the mode is `auto`: the newer setting decides, and where it says nothing the older one.
pub fn is_automatic(mode: &str, legacy_auto: &str) -> bool {
    match mode.trim() {
        "auto" => true,
        "on_demand" => false,
        _ => legacy_auto.trim() == "true",
    }
}

/// What is known of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    pub text: &'a str,
    pub failed: bool,
    pub scheduled: bool,
}

impl Reply<'_> {
    /// Failures, scheduled runs and replies without words stay silent.
    pub fn is_spoken(&self) -> bool {
        !self.failed && !self.scheduled && !self.text.trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// examples.md #50
    #[test]
    fn the_newer_setting_decides() {
        assert!(is_automatic("", "true"));
        assert!(!is_automatic("on_demand", "true"));
        assert!(is_automatic("auto", "false"));
        assert!(!is_automatic("", "false"));
        assert!(!is_automatic("nonsense", ""));
    }

    #[test]
    fn silence() {
        let reply = Reply { text: "hi", failed: false, scheduled: false };
        assert!(reply.is_spoken());
        assert!(!Reply { failed: true, ..reply }.is_spoken());
        assert!(!Reply { scheduled: true, ..reply }.is_spoken());
        assert!(!Reply { text: " \n", ..reply }.is_spoken());
    }
}
