//! A flag in the text of a configuration file, with all comments and the order kept. Pure.
//!
//! Understands mappings in block form, which is what people write. Anything else is seen by reading the
//! result back, and refused.

use std::ops::Range;

use serde_json::{Map, Value as Json};

/// The text in which the flag at `path` is `flag`.
///
/// # Errors
/// Where the text is of a form that this does not know.
pub(super) fn set(text: &str, path: &[&str], flag: bool) -> Result<String, String> {
    let mut wanted = read(text)?;
    put(&mut wanted, path, flag)?;
    let changed = edit(text, path, flag).ok_or("its form is not understood well enough")?;
    match read(&changed)? == wanted {
        true => Ok(changed),
        false => Err("its form is not understood well enough".to_owned()),
    }
}

/// Whether there is anything at `path`.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn says(text: &str, path: &[&str]) -> Result<bool, String> {
    let read = read(text)?;
    Ok(path.iter().try_fold(&read, |place, key| place.get(key)).is_some())
}

fn read(text: &str) -> Result<Json, String> {
    if text.lines().all(is_blank) {
        return Ok(Json::Object(Map::new()));
    }
    match serde_saphyr::from_str(text) {
        Ok(Json::Null) => Ok(Json::Object(Map::new())),
        Ok(read) => Ok(read),
        Err(error) => Err(error.to_string()),
    }
}

fn put(into: &mut Json, path: &[&str], flag: bool) -> Result<(), String> {
    if into.is_null() {
        *into = Json::Object(Map::new());
    }
    let (Some(fields), Some((first, rest))) = (into.as_object_mut(), path.split_first()) else {
        return Err("there is something else where a mapping should be".to_owned());
    };
    let below = fields.entry(*first).or_insert(Json::Null);
    match rest {
        [] => *below = Json::Bool(flag),
        rest => put(below, rest, flag)?,
    }
    Ok(())
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// What stands behind the key, if the line is its.
fn behind<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let rest = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")]
        .iter()
        .find_map(|spelled| line.strip_prefix(spelled.as_str()))?;
    rest.trim_start().strip_prefix(':')
}

fn edit(text: &str, path: &[&str], flag: bool) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut block, mut depth) = (0..lines.len(), 0);
    for (level, key) in path.iter().enumerate() {
        // The entries of a mapping begin at the same place.
        let first = lines[block.clone()].iter().find(|line| !is_blank(line) && *line != "---");
        let place = first.map_or(depth, |line| indent(line));
        let is_its = |line: &String| !is_blank(line) && indent(line) == place && behind(line, key).is_some();
        let Some(found) = block.clone().find(|at| is_its(&lines[*at])) else {
            let new = path[level..].iter().enumerate().map(|(below, key)| {
                let value = if level + below + 1 == path.len() { format!(" {flag}") } else { String::new() };
                format!("{}{key}:{value}", " ".repeat(place + 2 * below))
            });
            let new: Vec<_> = new.collect();
            let end = end_of(&lines, &block);
            lines.splice(end..end, new);
            return Some(lines.join("\n") + "\n");
        };
        if level + 1 == path.len() {
            let line = &lines[found];
            let rest = behind(line, key)?;
            let comment = rest.find(" #").map_or("", |at| &rest[at..]);
            lines[found] = format!("{} {flag}{comment}", &line[..line.len() - rest.len()]);
            return Some(lines.join("\n") + "\n");
        }
        // An entry without a block below it, such as `ingress:` or `ingress: null`, gets one.
        let rest = behind(&lines[found], key)?;
        if matches!(rest.split(" #").next().unwrap_or_default().trim(), "null" | "~") {
            lines[found] = lines[found][..lines[found].len() - rest.len()].to_owned();
        }
        let below = (found + 1..block.end).find(|at| !is_blank(&lines[*at]) && indent(&lines[*at]) <= place);
        block = found + 1..below.unwrap_or(block.end);
        depth = place + 2;
    }
    None
}

/// Behind the last line that says something: comments and blanks after it belong to what follows.
fn end_of(lines: &[String], block: &Range<usize>) -> usize {
    let last = block.clone().rev().find(|at| !is_blank(&lines[*at]));
    // A file of nothing but comments keeps them at its head.
    let empty = if block.start == 0 { block.end } else { block.start };
    last.map_or(empty, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_set_and_nothing_else() {
        let ingress = ["ingress", "telegram"];
        let charts = ["plugins", "charts", "enabled"];
        for (text, path, expected) in [
            ("", &ingress[..], "ingress:\n  telegram: true\n"),
            ("# only words\n", &ingress, "# only words\ningress:\n  telegram: true\n"),
            ("ingress:\n  telegram: false # mine\n", &ingress, "ingress:\n  telegram: true # mine\n"),
            (
                "ingress:\n    slack: false\n\n# next\nserver:\n  port: 1\n",
                &ingress,
                "ingress:\n    slack: false\n    telegram: true\n\n# next\nserver:\n  port: 1\n",
            ),
            ("ingress:\nserver:\n  port: 1\n", &ingress, "ingress:\n  telegram: true\nserver:\n  port: 1\n"),
            ("ingress: ~ # none yet\n", &ingress, "ingress:\n  telegram: true\n"),
            ("---\n\"ingress\":\n  'telegram': no\n", &ingress, "---\n\"ingress\":\n  'telegram': true\n"),
            ("plugins:\n  order: [charts]\n", &charts, "plugins:\n  order: [charts]\n  charts:\n    enabled: true\n"),
            (
                "plugins:\n  charts:\n    settings:\n      enabled: x\n",
                &charts,
                "plugins:\n  charts:\n    settings:\n      enabled: x\n    enabled: true\n",
            ),
        ] {
            assert_eq!(set(text, path, true).as_deref(), Ok(expected), "{text}");
        }
        for strange in [
            "ingress: {telegram: false}\n",
            "ingress: &all\n  telegram: false\nplugins: *all\n",
            "ingress:\n- telegram\n",
            "ingress: on\n",
            "- 1\n",
            "ingress:\n  telegram:\n    deep: 1\n",
            "a: [\n",
        ] {
            assert!(set(strange, &ingress, true).is_err(), "{strange}: {:?}", set(strange, &ingress, true));
        }
    }
}
