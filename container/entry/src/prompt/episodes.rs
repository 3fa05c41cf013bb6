//! The space's episodes that fit the current message (agent-entry.md 6.1): files of
//! `knowledge/episodes/` whose keywords the message mentions.

use std::collections::HashSet;
use std::path::Path;

use super::{markup, read_text};

/// Characters of all episodes: 800 tokens of about 4 (agent-entry.md 6.1). The first always fits.
const MAX_CHARACTERS: usize = 3200;
/// Files that are looked at, by name: our own bound on the time a run may spend here.
const MAX_FILES: usize = 1000;

#[derive(Debug, Default, PartialEq)]
struct Episode {
    title: String,
    status: String,
    keywords: Vec<String>,
    mentions: f64,
    last_mentioned: String,
    summary: String,
    state: String,
}

/// The lines between the tags, best match first.
pub(super) fn lines(workspace: &Path, prompt: &str) -> Vec<String> {
    let episodes: Vec<_> = files(workspace).iter().filter_map(|text| parse(text)).collect();
    if episodes.is_empty() {
        // Most spaces have none, and a prompt can be megabytes.
        return Vec::new();
    }
    let words: HashSet<_> = words(prompt).into_iter().collect();
    let mut found: Vec<(f64, Episode)> = episodes
        .into_iter()
        .map(|episode| (score(&episode, &words), episode))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut total = 0;
    let mut lines = Vec::new();
    for (_, episode) in &found {
        let entry = shown(episode);
        total += entry.chars().count();
        if total > MAX_CHARACTERS && !lines.is_empty() {
            break;
        }
        lines.push(entry);
    }
    lines
}

fn files(workspace: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(workspace.join("knowledge/episodes")) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    paths.sort();
    paths.truncate(MAX_FILES);
    paths.iter().filter_map(|path| read_text(path)).collect()
}

/// `None` for what is no episode, or one that is neither active nor cooling.
fn parse(text: &str) -> Option<Episode> {
    // Editors on other systems end lines with CR LF.
    let text = text.replace("\r\n", "\n");
    let (front, body) = text.strip_prefix("---\n")?.split_once("\n---")?;
    let mut episode = Episode { mentions: 1.0, ..Episode::default() };
    for (key, value) in front.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match key.trim() {
            "status" => episode.status = value.into(),
            "keywords" => episode.keywords = serde_json::from_str(value).unwrap_or_default(),
            "mentions" => episode.mentions = value.parse::<u32>().map_or(1.0, f64::from),
            "last_mentioned" => episode.last_mentioned = value.into(),
            "summary" => {
                let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
                episode.summary = value.strip_suffix(['"', '\'']).unwrap_or(value).into();
            }
            _ => {}
        }
    }
    if !matches!(episode.status.as_str(), "active" | "cooling") {
        return None;
    }
    episode.title = body.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().trim().into();
    let state = body.lines().skip_while(|line| line.trim_end() != "## Current State").skip(1);
    let state: Vec<_> = state.take_while(|line| !line.starts_with("## ")).collect();
    episode.state = state.join("\n").trim().into();
    Some(episode)
}

fn words(prompt: &str) -> Vec<String> {
    let lower = prompt.to_lowercase();
    let breaks = |it: char| it.is_whitespace() || ",.!?;:'\"()[]{}<>".contains(it);
    lower.split(breaks).filter(|word| word.chars().count() > 1).map(Into::into).collect()
}

/// A keyword of several words matches if each of its words occurs (weakness E16).
fn score(episode: &Episode, prompt: &HashSet<String>) -> f64 {
    let mentioned = |keyword: &&String| {
        let parts = words(keyword);
        !parts.is_empty() && parts.iter().all(|part| prompt.contains(part))
    };
    let hits = episode.keywords.iter().filter(mentioned).count();
    if hits == 0 {
        return 0.0;
    }
    let warmth = if episode.status == "active" { 1.0 } else { 0.5 };
    #[allow(clippy::cast_precision_loss, reason = "a handful of keywords")]
    let share = hits as f64 / episode.keywords.len() as f64;
    share * warmth * (episode.mentions + 1.0).ln()
}

fn shown(episode: &Episode) -> String {
    let mut content = markup::text(&episode.summary);
    if !episode.state.is_empty() {
        content.push('\n');
        content.push_str(&markup::text(&episode.state));
    }
    format!(
        "  <episode title=\"{}\" status=\"{}\" last_mentioned=\"{}\">\n{content}\n  </episode>",
        markup::attribute(&episode.title),
        markup::attribute(&episode.status),
        markup::attribute(&episode.last_mentioned),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(status: &str, keywords: &str, title: &str, filler: usize) -> String {
        let state = "s".repeat(filler);
        format!(
            "---\nstatus: {status}\nkeywords: {keywords}\nmentions: 3\nlast_mentioned: 2025-01-02\nsummary: \"the <sum>\"\n---\n# {title}\n\n## Current State\n{state}\n## Next\nno\n"
        )
    }

    fn selected(files: &[String], prompt: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let episodes = dir.path().join("knowledge/episodes");
        std::fs::create_dir_all(&episodes).unwrap();
        for (index, text) in files.iter().enumerate() {
            std::fs::write(episodes.join(format!("{index}.md")), text).unwrap();
        }
        lines(dir.path(), prompt)
    }

    /// agent-entry.md #34, episodes
    #[test]
    fn episodes_are_chosen_by_keyword_and_warmth() {
        let found = selected(
            &[
                file("resolved", "[\"boat\"]", "gone", 1),
                file("cooling", "[\"boat\"]", "cool", 1),
                file("active", "[\"boat\", \"x\"]", "half", 1),
                file("active", "[\"Red Boat\"]", "warm", 1).replace('\n', "\r\n"),
                file("active", "[\"car\"]", "other", 1),
            ],
            "Is the red boat ready?",
        );
        let titles: Vec<_> = found.iter().map(|entry| entry.split('"').nth(1).unwrap()).collect();
        assert_eq!(titles, ["warm", "cool", "half"]);
        assert_eq!(
            found[1],
            "  <episode title=\"cool\" status=\"cooling\" last_mentioned=\"2025-01-02\">\nthe &lt;sum&gt;\ns\n  </episode>"
        );
    }

    /// agent-entry.md #34, budget
    #[test]
    fn lower_ranked_episodes_give_way_and_the_first_stays() {
        let long = [file("cooling", "[\"boat\"]", "second", 10), file("active", "[\"boat\"]", "first", 5000)];
        let found = selected(&long, "boat");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("first"));
    }
}
