//! `$'...'`: the escapes of ANSI C quoting, as the bash manual (3.1.2.4) lists them.

/// The text that `$'inner'` stands for.
pub(crate) fn decode(inner: &str) -> String {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            push(&mut bytes, character);
            continue;
        }
        let Some(escape) = rest.next() else {
            bytes.push(b'\\');
            break;
        };
        let mut digits = |most: usize, radix: u32| -> Option<u32> {
            let mut value = None;
            for _ in 0..most {
                let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else { break };
                value = Some(value.unwrap_or(0_u32).wrapping_mul(radix).wrapping_add(digit));
                rest.next();
            }
            value
        };
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'e' | 'E' => bytes.push(27),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' | '\'' | '"' | '?' => push(&mut bytes, escape),
            '0'..='7' => {
                let first = escape.to_digit(8).unwrap_or(0);
                let more = [digits(1, 8), digits(1, 8)];
                let value = more.into_iter().flatten().fold(first, |value, d| value * 8 + d);
                bytes.push(value as u8);
            }
            'x' => match digits(2, 16) {
                Some(value) => bytes.push(value as u8),
                None => bytes.extend(b"\\x"),
            },
            'u' | 'U' => match digits(if escape == 'u' { 4 } else { 8 }, 16) {
                Some(value) => push(&mut bytes, char::from_u32(value).unwrap_or('\u{fffd}')),
                None => push_all(&mut bytes, ['\\', escape]),
            },
            'c' => match rest.next() {
                Some(control) => bytes.push((control as u32 as u8) & 0x1f),
                None => bytes.extend(b"\\c"),
            },
            other => push_all(&mut bytes, ['\\', other]),
        }
    }
    // bash ends the text at a NUL.
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_all(bytes: &mut Vec<u8>, characters: [char; 2]) {
    characters.into_iter().for_each(|character| push(bytes, character));
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes() {
        for (inner, text) in [
            ("gws", "gws"),
            (r"g\x77s", "gws"),
            (r"\147\167\163", "gws"),
            (r"\u0067w\U00000073", "gws"),
            (r"g\'s", "g's"),
            (r"a\nb", "a\nb"),
            (r"gws\0tail", "gws"),
            (r"g\qs", r"g\qs"),
            (r"\x", r"\x"),
            ("\\", "\\"),
        ] {
            assert_eq!(decode(inner), text, "{inner}");
        }
    }
}
