//! Lines out of bytes that come in pieces. Bytes, not text: a piece may end within a character.

/// Longest line that is passed on; longer ones are dropped. Our own bound: `agent_end` repeats
/// every message of the run, with its images.
const MAX_LINE: usize = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The line that is not complete yet.
    partial: Vec<u8>,
    /// The rest of the current line is dropped.
    overlong: bool,
}

impl Lines {
    /// Calls `take` for each line that `bytes` completes, without its end.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = &bytes[..end];
            if self.overlong {
                self.overlong = false;
            } else if self.partial.is_empty() {
                take(line);
            } else {
                self.partial.extend_from_slice(line);
                take(&self.partial);
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        if self.overlong || self.partial.len() + bytes.len() > MAX_LINE {
            self.overlong = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    /// What came after the last line end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for cut in 0..=text.len() {
            let (mut lines, mut taken) = (Lines::default(), Vec::new());
            for piece in [&text[..cut], &text[cut..]] {
                lines.push(piece, |line| taken.push(line.to_vec()));
            }
            assert_eq!(taken, [&b"one"[..], b"", b"two"], "cut at {cut}");
            assert_eq!(lines.rest(), b"three");
        }
    }

    #[test]
    fn an_overlong_line_is_dropped_alone() {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        let piece = vec![b'x'; MAX_LINE / 2 + 1];
        for bytes in [&piece[..], &piece, b"end\nnext\n"] {
            lines.push(bytes, |line| taken.push(line.to_vec()));
        }
        assert_eq!(taken, [b"next"]);
    }
}
