//! What went wrong with what caused it, each said once: many an error quotes its cause already.

use std::error::Error;

/// The error's words and those of its causes that are not in them, with colons in between.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("the archive cannot be read: {source}")]
        Quoting { source: std::io::Error },
        #[error("the archive cannot be read")]
        Silent { source: std::io::Error },
    }

    #[test]
    fn nothing_is_said_twice() {
        let cause = || std::io::Error::other("the disk is gone");
        for error in [Example::Quoting { source: cause() }, Example::Silent { source: cause() }] {
            assert_eq!(with_causes(&error), "the archive cannot be read: the disk is gone");
        }
    }
}
