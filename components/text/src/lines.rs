//! Where code is in a text, line by line, and where inside one line.

use std::ops::Range;

/// What a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Text,
    /// The line that opens a fenced block, or closes it.
    Opening,
    Closing,
    /// Inside a fenced block.
    Code,
}

impl Place {
    /// Neither text nor anything that may be changed.
    pub fn is_code(self) -> bool {
        self != Self::Text
    }
}

/// A fence that is open: what closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    mark: u8,
    length: usize,
}

impl Fence {
    /// The fence that `line` opens (CommonMark 0.31, 4.5). At any indentation: what is a fence inside
    /// a list item can stand far right.
    pub fn opened_by(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let mark = line.bytes().next().filter(|byte| matches!(byte, b'`' | b'~'))?;
        let length = run(line, mark);
        (length >= 3 && (mark == b'~' || !line[length..].contains('`'))).then_some(Self { mark, length })
    }

    pub fn is_closed_by(self, line: &str) -> bool {
        let line = line.trim();
        run(line, self.mark) == line.len() && line.len() >= self.length
    }

    /// The line that closes it.
    pub fn closing(self) -> String {
        char::from(self.mark).to_string().repeat(self.length)
    }
}

fn run(text: &str, mark: u8) -> usize {
    text.bytes().take_while(|byte| *byte == mark).count()
}

/// Every line of the text (without its line feed) with its place.
#[derive(Debug)]
pub struct Lines<'a> {
    lines: std::str::Split<'a, char>,
    open: Option<Fence>,
}

pub fn lines(text: &str) -> Lines<'_> {
    Lines { lines: text.split('\n'), open: None }
}

impl Lines<'_> {
    /// What is open behind the line that came last.
    pub fn open(&self) -> Option<Fence> {
        self.open
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a str, Place);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let place = match self.open {
            Some(fence) if fence.is_closed_by(line) => {
                self.open = None;
                Place::Closing
            }
            Some(_) => Place::Code,
            None => {
                self.open = Fence::opened_by(line);
                if self.open.is_some() { Place::Opening } else { Place::Text }
            }
        };
        Some((line, place))
    }
}

/// The code spans of one line, with their backticks (CommonMark 0.31, 6.1).
pub fn code_spans(line: &str) -> Vec<Range<usize>> {
    let bytes = line.as_bytes();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'`' {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
            continue;
        }
        let length = run(&line[at..], b'`');
        let inside = at + length;
        match closing(line, inside, length) {
            Some(end) => {
                spans.push(at..end);
                at = end;
            }
            None => at = inside,
        }
    }
    spans
}

/// The end of the next run of exactly so many backticks.
fn closing(line: &str, from: usize, length: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = line[at..].find('`') {
        let start = at + found;
        let here = run(&line[start..], b'`');
        if here == length {
            return Some(start + here);
        }
        at = start + here;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> String {
        let letter = |place| match place {
            Place::Text => 't',
            Place::Opening => 'o',
            Place::Code => 'c',
            Place::Closing => 'x',
        };
        lines(text).map(|(_, place)| letter(place)).collect()
    }

    #[test]
    fn fences_open_and_close() {
        for (text, expected) in [
            ("a\n```rust\nb\n```\nc", "tocxt"),
            ("````\n```\n````", "ocx"),
            ("~~~\n```\n~~~", "ocx"),
            ("- x\n      ```\n      y\n      ```\nz", "tocxt"),
            ("``` a`b\nx", "tt"),
            ("```\nopen", "oc"),
            ("```\n``` no\n```  ", "ocx"),
            ("``\nx", "tt"),
            ("", "t"),
        ] {
            assert_eq!(places(text), expected, "{text:?}");
        }
    }

    #[test]
    fn spans_of_code() {
        let spans = |line: &str| code_spans(line).into_iter().map(|range| line[range].to_owned()).collect::<Vec<_>>();
        assert_eq!(spans("a `b` c ``d`e`` f"), ["`b`", "``d`e``"]);
        assert_eq!(spans("a ` b \\`c` ``"), ["` b \\`"]);
        assert!(spans("a \\` b ` c").is_empty());
        assert!(spans("ends with \\").is_empty());
    }
}
