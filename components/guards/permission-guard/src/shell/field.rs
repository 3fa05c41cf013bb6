//! What the shell hands to a program: fields, made of characters that know how they were quoted.

use crate::paths::HOLE;

/// Most fields that brace expansion may make of one word.
const MAX_BRACES: usize = 64;

/// How a character came into a word, which decides what it may still mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Written without quotes: braces, globs and blanks are active.
    Bare,
    /// From an unquoted expansion: globs and blanks are active, braces are not.
    Expanded,
    /// Quoted or escaped: only itself.
    Quoted,
}

/// One character of a field; [`HOLE`] stands for a part that only the run will show.
pub(crate) type Unit = (char, Origin);

/// One argument of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field(pub(crate) Vec<Unit>);

impl Field {
    pub(crate) fn literal(text: &str) -> Self {
        Self(text.chars().map(|c| (c, Origin::Quoted)).collect())
    }

    pub(crate) fn hole() -> Self {
        Self(vec![(HOLE, Origin::Expanded)])
    }

    /// The characters, with holes and active globs as they are.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(c, _)| c).collect()
    }

    pub(crate) fn has_hole(&self) -> bool {
        self.0.iter().any(|(c, _)| *c == HOLE)
    }

    /// Whether an unquoted hole could turn into no field or several.
    pub(crate) fn may_vanish_or_split(&self) -> bool {
        self.0.contains(&(HOLE, Origin::Expanded))
    }

    pub(crate) fn has_glob(&self) -> bool {
        self.0.iter().any(|(c, origin)| *origin != Origin::Quoted && matches!(c, '*' | '?' | '['))
            && !matches!(self.text().as_str(), "[" | "[[")
    }

    /// The text, if it is known and is exactly one field.
    pub(crate) fn known(&self) -> Option<String> {
        (!self.has_hole() && !self.has_glob()).then(|| self.text())
    }
}

/// Splits at active blanks and expands a leading tilde.
pub(crate) fn split(units: Vec<Unit>, home: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut current: Vec<Unit> = Vec::new();
    // An empty quoted word is a field; an expansion to nothing is none. The caller marks
    // quotes with a zero character.
    let mut open = false;
    for (character, origin) in units {
        if origin == Origin::Expanded && character.is_whitespace() {
            if open {
                fields.push(Field(std::mem::take(&mut current)));
            }
            open = false;
            continue;
        }
        open = true;
        if character != QUOTE_MARK {
            current.push((character, origin));
        }
    }
    if open {
        fields.push(Field(current));
    }
    for field in &mut fields {
        expand_tilde(field, home);
    }
    fields
}

/// Says that quotes were here, even if nothing was between them.
pub(crate) const QUOTE_MARK: char = '\0';

fn expand_tilde(field: &mut Field, home: &str) {
    if field.0.first() != Some(&('~', Origin::Bare)) {
        return;
    }
    let end = field.0.iter().position(|(c, _)| *c == '/').unwrap_or(field.0.len());
    let replacement: Vec<Unit> = match end {
        1 => home.chars().map(|c| (c, Origin::Quoted)).collect(),
        _ => vec![(HOLE, Origin::Quoted)],
    };
    field.0.splice(..end, replacement);
}

/// Brace expansion, before any splitting. What would be too many becomes a hole.
pub(crate) fn braces(units: Vec<Unit>) -> Vec<Vec<Unit>> {
    let mut done = Vec::new();
    let mut waiting = vec![units];
    while let Some(units) = waiting.pop() {
        if done.len() + waiting.len() > MAX_BRACES {
            return vec![vec![(HOLE, Origin::Expanded)]];
        }
        match first_brace(&units) {
            None => done.push(units),
            Some((start, end, members)) => {
                // Last first: `waiting` is a stack, and the order of fields matters.
                for member in members.into_iter().rev() {
                    let mut next = units[..start].to_vec();
                    next.extend(member);
                    next.extend_from_slice(&units[end + 1..]);
                    waiting.push(next);
                }
            }
        }
    }
    done
}

type Brace = (usize, usize, Vec<Vec<Unit>>);

/// The first active brace expression: where it is, and its members.
fn first_brace(units: &[Unit]) -> Option<Brace> {
    let bare = |index: usize, wanted: char| units.get(index) == Some(&(wanted, Origin::Bare));
    (0..units.len()).filter(|start| bare(*start, '{')).find_map(|start| {
        let (mut depth, mut commas) = (0_usize, Vec::new());
        for index in start..units.len() {
            if bare(index, '{') {
                depth += 1;
            } else if bare(index, ',') && depth == 1 {
                commas.push(index);
            } else if bare(index, '}') {
                depth -= 1;
                if depth == 0 {
                    let members = members(units, start, index, &commas)?;
                    return Some((start, index, members));
                }
            }
        }
        None
    })
}

fn members(units: &[Unit], start: usize, end: usize, commas: &[usize]) -> Option<Vec<Vec<Unit>>> {
    if commas.is_empty() {
        let inner: String = units[start + 1..end].iter().map(|(c, _)| c).collect();
        let (from, rest) = inner.split_once("..")?;
        let to = rest.split("..").next().unwrap_or_default();
        return Some(range(from, to));
    }
    let edges = [start].into_iter().chain(commas.iter().copied()).chain([end]);
    let edges: Vec<usize> = edges.collect();
    Some(edges.windows(2).map(|pair| units[pair[0] + 1..pair[1]].to_vec()).collect())
}

fn range(from: &str, to: &str) -> Vec<Vec<Unit>> {
    let single = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|c| chars.next().is_none() && c.is_ascii_alphanumeric())
    };
    match (single(from), single(to)) {
        (Some(from), Some(to)) => {
            let characters: Vec<char> = if from <= to { (from..=to).collect() } else { (to..=from).rev().collect() };
            characters.into_iter().map(|c| vec![(c, Origin::Quoted)]).collect()
        }
        // Numbers of several digits, or holes: some text without a slash.
        _ => vec![vec![(HOLE, Origin::Quoted)]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Vec<String> {
        let units = text.chars().map(|c| (c, Origin::Bare)).collect();
        braces(units).into_iter().map(|units| Field(units).text()).collect()
    }

    #[test]
    fn braces_expand_in_order() {
        assert_eq!(expand("g{w,x}s"), ["gws", "gxs"]);
        assert_eq!(expand("a{b,c{d,e}}{f,}"), ["abf", "ab", "acdf", "acd", "acef", "ace"]);
        assert_eq!(expand("{v..x}"), ["v", "w", "x"]);
        assert_eq!(expand("{a}{"), ["{a}{"]);
        assert_eq!(expand(&"{a,b}".repeat(9)), ["\u{fffc}"]);
    }

    #[test]
    fn only_expanded_blanks_split() {
        let mut units: Vec<Unit> = "a b".chars().map(|c| (c, Origin::Expanded)).collect();
        units.push((' ', Origin::Quoted));
        let fields = split(units, "/h");
        assert_eq!(fields.iter().map(Field::text).collect::<Vec<_>>(), ["a", "b "]);
        assert_eq!(split(vec![(QUOTE_MARK, Origin::Quoted)], "/h"), [Field::default()]);
        assert!(split(vec![(' ', Origin::Expanded)], "/h").is_empty());
    }
}
