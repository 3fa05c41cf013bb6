//! What lies where in a vault.

/// Notes that runs may write, each in a folder of its kind.
pub const ENTITIES: [&str; 3] = ["people", "projects", "references"];
pub const EPISODES: &str = "episodes";
pub const DAILY: &str = "daily";
pub const WEEKLY: &str = "weekly";
pub const MONTHLY: &str = "monthly";
/// The map, which only this plugin writes.
pub const MAP: &str = "NAPKIN.md";
/// For the agent of a conversation, which applies and deletes it.
pub const SUGGESTIONS: &str = ".memory-suggestions.md";

/// Folders that a vault has from its beginning.
pub const FOLDERS: [&str; 11] = [
    ".obsidian",
    ".napkin",
    "people",
    "projects",
    "references",
    "daily",
    "episodes",
    "weekly",
    "monthly",
    "templates",
    ".messages",
];

/// Files that a vault has from its beginning; one that is there stays.
pub const FILES: [(&str, &str); 3] = [
    (
        ".obsidian/daily-notes.json",
        "{\"folder\":\"daily\",\"format\":\"YYYY-MM-DD\",\"template\":\"templates/Daily Note\"}\n",
    ),
    (".obsidian/templates.json", "{\"folder\":\"templates\"}\n"),
    ("templates/Daily Note.md", "---\ntags:\n  - daily\n---\n\n## Conversations\n\n## Learned\n\n## Tasks\n\n- [ ] \n"),
];

/// Bytes of one note; a longer one is no note.
pub const MOST_NOTE: u64 = 256 << 10;
/// Bytes and files of a whole vault that is distilled.
pub const MOST_VAULT: u64 = 16 << 20;
/// Bytes of any file in it: a copy of each is kept while a run is at work, and `kv` takes no more.
pub const MOST_FILE: u64 = 1 << 20;
pub const MOST_FILES: usize = 5_000;
/// Folders in folders. What lies deeper is not looked at.
pub const MOST_DEPTH: usize = 8;

/// The name of a note in its folder, if the path is one.
pub fn note_in<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".md")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}
