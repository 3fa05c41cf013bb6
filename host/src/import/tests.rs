use std::{
    os::unix::fs::{PermissionsExt, symlink},
    time::{Duration, SystemTime},
};

use rusqlite::Connection;

use super::*;

mod aliases;
mod copy;
mod known;

/// An old project with something of everything, made by the old schema.
struct Projects {
    folder: tempfile::TempDir,
    places: Places,
}

const ROWS: &str = "
INSERT INTO spaces VALUES ('main', 'Home', 'family,home', 1, 9), ('team', 'The Team', NULL, 2, 9), ('Bad_ID', 'x', NULL, 3, 9);
INSERT INTO conversations (platform, external_id, kind, observed_title, space_id, first_seen_at, last_seen_at) VALUES
    ('telegram', '42', 'dm', 'Ada', 'main', 10, 20), ('telegram', '-1001:7', 'group', NULL, 'team', 11, 30),
    ('whatsapp', '972509999999@s.whatsapp.net', 'dm', NULL, NULL, 12, 12);
INSERT INTO space_roles VALUES
    ('main', 'telegram:42', 'admin', 'seed', 'Ada', 1, 1), ('team', 'telegram:43', 'member', NULL, NULL, 1, 1),
    ('gone', 'telegram:42', 'admin', NULL, NULL, 1, 1);
INSERT INTO messages (id, space_id, role, content, attachments, run_meta, reply_to_id, created_at, updated_at) VALUES
    (1, 'team', 'user', 'long ago', NULL, '{\"context\":1}', NULL, 100, 100),
    (2, 'team', 'assistant', 'answered then', NULL, NULL, 1, 101, 101),
    (3, 'main', 'user', 'what is this?', '[{\"path\":\"/old/x\"}]', '{}', NULL, 102, 102),
    (4, 'main', 'assistant', 'a cat', NULL, NULL, 3, 103, 103),
    (5, 'team', 'ambient', 'lunch at noon', NULL, NULL, NULL, 104, 104),
    (6, 'team', 'user', 'and now?', NULL, NULL, 2, 105, 105),
    (7, 'gone', 'user', 'nobody sees this', NULL, NULL, NULL, 106, 106),
    (8, 'main', 'tool', 'ls', NULL, NULL, NULL, 107, 107);
INSERT INTO message_platform_ids VALUES
    (3, 'telegram', '42', '900', 102), (4, 'telegram', '42', '901', 103), (6, 'telegram', '-1001:7', '12', 105);
INSERT INTO chat_state VALUES ('team', 2, 0, 1, 1);
INSERT INTO tasks (space_id, cron, prompt, next_run_at, created_at, updated_at) VALUES ('team', '0 9 * * *', 'report', 1, 1, 1);
INSERT INTO space_config VALUES ('team', 'trigger.match', 'always', 'x', 1, 1), ('team', 'context.mode', 'clear', 'telegram:42', 1, 2),
    ('main', 'rate_limit', 'canary', 'x', 1, 1), ('gone', 'rate_limit', '3', 'x', 1, 1), ('team', 'security.pending_sensitive_prompt', 'canary', 'x', 1, 1),
    ('team', 'role.member.permissions', 'prefs.get, flying', 'x', 1, 2), ('team', 'paused', 'true', 'x', 1, 1);
INSERT INTO space_preferences VALUES ('main', 'tone', 'short', 'telegram:42', 1, 1);
INSERT INTO mutes VALUES ('team', 'telegram:43', 99, NULL, 'telegram:42', 1);
INSERT INTO wa_identity_aliases VALUES ('244@lid', '972509999999@s.whatsapp.net', 'key-alt', 5, 6), ('245', '972509999999', 'manual', 5, 5),
    ('972509999999@s.whatsapp.net', '1@s.whatsapp.net', 'manual', 5, 7);
INSERT INTO token_usage (space_id, input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, cost, model, provider, created_at)
    VALUES ('main', 10, 5, 15, NULL, NULL, 0.0125, 'm', 'anthropic', 103), ('gone', 1, 1, 2, 0, 0, NULL, NULL, NULL, 104);
";

impl Projects {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (old, project) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::create_dir_all(old.join(".mercury")).unwrap();
        std::fs::create_dir(&project).unwrap();
        let data_dir = project.join(".mercury");
        let auth_path = data_dir.join("global/auth.json");
        let projects = Self { folder, places: Places { project, data_dir, auth_path } };
        for (path, content) in [
            (".env", "MERCURY_API_SECRET=mrc_x\nexport MERCURY_DATA_DIR=.mercury\n# a remark\n"),
            ("mercury.yaml", "server:\n  port: 9000\n"),
            (".mercury/global/AGENTS.md", "be brief"),
            (".mercury/global/auth.json", "{\"anthropic\":{}}"),
            (".mercury/global/skills/pdf/SKILL.md", "old skill"),
            (".mercury/global/.pi/prompts/p.md", "prompt"),
            (".mercury/extensions/charts/index.ts", "export default 1"),
            (".mercury/whatsapp-auth/creds.json", "{}"),
            (".mercury/model-capabilities.yaml", "models: {}"),
            (".mercury/spaces/main/AGENTS.md", "you are at home"),
            (".mercury/spaces/main/knowledge/people/ada.md", "# Ada"),
            (".mercury/spaces/main/inbox/1-cat.png", "png"),
            (".mercury/spaces/Bad_ID/x", "x"),
            (".mercury/io/mercury-1/input.json", "{}"),
        ] {
            projects.old_file(path, content);
        }
        symlink("/etc/passwd", projects.old().join(".mercury/spaces/main/link")).unwrap();
        let cat = projects.old().join(".mercury/spaces/main/inbox/1-cat.png");
        std::fs::File::open(cat)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
            .unwrap();
        // As a living host leaves it: with a log.
        let db = projects.old_db();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.execute_batch(include_str!("schema-0.4.5.sql")).unwrap();
        db.execute_batch(ROWS).unwrap();
        projects
    }

    fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    fn old_db(&self) -> Connection {
        Connection::open(self.old().join(".mercury/state.db")).unwrap()
    }

    fn new_db(&self) -> Connection {
        Connection::open(self.places.data_dir.join("state.db")).unwrap()
    }

    fn old_file(&self, path: &str, content: &str) {
        let path = self.old().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    async fn import(&self, dry_run: bool) -> Result<Report, ImportError> {
        import(&self.old(), &self.places, dry_run, CancellationToken::new()).await
    }

    fn new_file(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.places.project.join(path)).ok()
    }

    fn new_rows(&self, sql: &str) -> Vec<String> {
        let db = self.new_db();
        let mut rows = db.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// Every file below a folder, with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    crate::backup::walk::walk(folder, |found| {
        let bytes = match found.metadata.is_file() {
            true => std::fs::read(folder.join(&found.path))?,
            false => Vec::new(),
        };
        all.insert(found.path.clone(), bytes);
        Ok(crate::backup::walk::Step::On)
    })
    .unwrap();
    all
}

fn count(taken: u64, known: u64) -> Count {
    Count { taken, known }
}

#[tokio::test]
async fn a_project_is_brought_over() {
    let projects = Projects::new();
    let before = content(&projects.old());
    let report = projects.import(false).await.unwrap();
    assert_eq!(content(&projects.old()), before, "nothing of the old project is changed");

    assert_eq!(projects.new_rows("SELECT id || '=' || name FROM spaces ORDER BY id"), ["main=Home", "team=The Team"]);
    assert_eq!(
        projects.new_rows("SELECT id || ' ' || direct || ' ' || coalesce(space, '-') || ' ' || last_seen FROM conversations ORDER BY id"),
        ["telegram:-1001:7 0 team 30", "telegram:42 1 main 20", "whatsapp:972509999999@s.whatsapp.net 1 - 12"]
    );
    assert_eq!(
        projects.new_rows(
            "SELECT space || ' ' || person || ' ' || role || ' ' || coalesce(display_name, '-') FROM members ORDER BY 1"
        ),
        ["main telegram:42 admin Ada", "team telegram:43 member -"]
    );
    assert_eq!(
        projects.new_rows("SELECT conversation || ' ' || role || ' ' || content FROM messages ORDER BY id"),
        [
            "archived:telegram:-1001:7 user long ago",
            "archived:telegram:-1001:7 assistant answered then",
            "telegram:42 user what is this?",
            "telegram:42 assistant a cat",
            "telegram:-1001:7 ambient lunch at noon",
            "telegram:-1001:7 user and now?",
        ]
    );
    assert_eq!(projects.new_rows("SELECT conversation || ' ' || message FROM said"), ["telegram:42 901"]);
    for (rows, expected) in [
        (
            "SELECT group_concat(space || ' ' || key || ' ' || value || ' ' || updated_by, ', ' ORDER BY key) FROM space_settings WHERE key <> 'paused'",
            "team context.mode clear telegram:42, team trigger.match always x",
        ),
        ("SELECT space || ' ' || value FROM space_settings WHERE key = 'paused'", "team true"),
        (
            "SELECT space || ' ' || role || ' ' || permissions FROM role_permissions",
            r#"team member ["prefs.get","flying","media.receive","media.send"]"#,
        ),
        ("SELECT space || ' ' || key || ' ' || value FROM preferences", "main tone short"),
        ("SELECT space || ' ' || person || ' ' || expires_at FROM mutes", "team telegram:43 99"),
        (
            "SELECT group_concat(alias || ' ' || person || ' ' || updated_at, ', ' ORDER BY alias) FROM aliases",
            "whatsapp:244@lid whatsapp:972509999999@s.whatsapp.net 6, whatsapp:245@lid whatsapp:972509999999@s.whatsapp.net 5",
        ),
    ] {
        assert_eq!(projects.new_rows(rows), [expected]);
    }
    assert_eq!(
        projects.new_rows(
            "SELECT space || ' ' || input || ' ' || coalesce(micro_usd, 'unknown') FROM spending ORDER BY id"
        ),
        ["main 10 12500", "gone 1 unknown"]
    );

    for (path, text) in [
        (".env", "MERCURY_API_SECRET=mrc_x\n# a remark\n"),
        ("mercury.yaml", "server:\n  port: 9000\n"),
        (".mercury/global/AGENTS.md", "be brief"),
        (".mercury/global/auth.json", "{\"anthropic\":{}}"),
        (".mercury/global/.pi/prompts/p.md", "prompt"),
        (".mercury/model-capabilities.yaml", "models: {}"),
        (".mercury/spaces/main/AGENTS.md", "you are at home"),
        (".mercury/spaces/main/knowledge/people/ada.md", "# Ada"),
        (".mercury/spaces/main/inbox/1-cat.png", "png"),
    ] {
        assert_eq!(projects.new_file(path).as_deref(), Some(text), "{path}");
    }
    for path in [
        ".mercury/extensions",
        ".mercury/global/skills",
        ".mercury/whatsapp-auth",
        ".mercury/io",
        ".mercury/spaces/Bad_ID",
    ] {
        assert!(!projects.places.project.join(path).exists(), "{path}");
    }
    let link = projects.places.data_dir.join("spaces/main/link");
    assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/etc/passwd"));
    let cat = std::fs::metadata(projects.places.data_dir.join("spaces/main/inbox/1-cat.png")).unwrap();
    assert_eq!(cat.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), "clean-up goes by it");
    for secret in [".env", ".mercury/global/auth.json"] {
        let found = std::fs::metadata(projects.places.project.join(secret)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{secret}");
    }

    for (what, expected) in [
        ("spaces", count(1, 1)),
        ("conversations", count(3, 0)),
        ("people", count(2, 0)),
        ("messages", count(6, 0)),
        ("spending", count(2, 0)),
        ("settings", count(4, 0)),
        ("space settings", count(3, 0)),
        ("permissions of roles", count(1, 0)),
        ("preferences", count(1, 0)),
        ("mutes", count(1, 0)),
        ("tasks", count(1, 0)),
        ("ids of one person", count(2, 0)),
    ] {
        assert_eq!(report.counts[what], expected, "{what}");
    }
}

/// Nothing is lost without a word, and no value of a setting is said: it may be a secret.
#[tokio::test]
async fn what_is_left_is_named() {
    let projects = Projects::new();
    let more = "
        INSERT INTO space_preferences VALUES ('gone', 'tone', 'short', 'x', 1, 1), ('Bad_ID', 'tone', 'long', 'x', 1, 1);
        INSERT INTO mutes VALUES ('gone', 'telegram:43', 99, NULL, 'telegram:42', 1);
        INSERT INTO conversations (platform, external_id, kind, space_id, first_seen_at, last_seen_at) VALUES
            ('telegram', '-9', 'group', 'Bad_ID', 12, 12);";
    projects.old_db().execute_batch(more).unwrap();
    let report = projects.import(true).await.unwrap();
    let left: Vec<&str> = report.left.iter().map(|left| left.what.as_str()).collect();
    assert!(left.iter().any(|what| what.starts_with("1 of wa_identity_aliases: whatsapp:972509999999@s")), "{left:#?}");
    for what in [
        "space Bad_ID",
        "tags of space main: family,home",
        "1 messages of spaces that were deleted",
        "1 messages of tools",
        "1 of space_roles: gone/telegram:42",
        "2 of space_preferences: Bad_ID/tone, gone/tone",
        "1 of mutes: gone/telegram:43",
        "1 of links of conversations: telegram:-9 to Bad_ID",
        "1 messages with a list of attachments",
        "3 of space_config: gone/rate_limit, main/rate_limit, team/security.pending_sensitive_prompt",
        "extensions",
        "whatsapp-auth",
        "global/skills",
        "spaces/Bad_ID",
    ] {
        assert!(left.contains(&what), "{what} is not among {left:#?}");
    }
    assert!(!format!("{report:?}").contains("canary"));
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let projects = Projects::new();
    let dry = projects.import(true).await.unwrap();
    assert!(content(&projects.places.project).is_empty());
    let real = projects.import(false).await.unwrap();
    assert_eq!(Report { dry_run: false, ..dry }, real);
    // Also over what is there. The database by its rows: SQLite moves its log into it when it is closed.
    let files = || {
        let all = content(&projects.places.project).into_iter();
        all.filter(|(path, _)| !path.to_string_lossy().contains("state.db")).collect::<Vec<_>>()
    };
    let rows = || {
        let messages = projects.new_rows("SELECT id || content FROM messages ORDER BY id");
        (messages, projects.new_rows("SELECT source || last_message || at FROM imports"))
    };
    let before = (files(), rows());
    let dry = projects.import(true).await.unwrap();
    assert!((files(), rows()) == before);
    assert_eq!(dry.counts["messages"], count(0, 6 + 2), "what was left out counts as seen");
}

/// Each task answers to one conversation; what cannot run here rests, and says why.
#[tokio::test]
async fn tasks_come_along() {
    let projects = Projects::new();
    let more = "
        INSERT INTO conversations (platform, external_id, kind, space_id, first_seen_at, last_seen_at) VALUES
            ('telegram', '-5', 'group', 'main', 12, 12);
        INSERT INTO tasks (id, space_id, cron, at, prompt, active, silent, next_run_at, created_by, timezone, name, created_at, updated_at) VALUES
            (2, 'main', NULL, '2999-05-01T08:00', 'call', 1, 0, 32481000000000, 'telegram:42', NULL, 'Call', 1, 1),
            (3, 'main', '0 8 * * *', NULL, 'news', 1, 0, 32481000000000, 'telegram:43', 'Asia/Jerusalem', NULL, 1, 1),
            (5, 'main', '0 8 * * *', NULL, 'tidy', 1, 1, 1, 'telegram:43', NULL, NULL, 1, 1),
            (6, 'team', 'H * * * *', NULL, 'broken', 1, 0, 1, 'system', NULL, NULL, 1, 1),
            (7, 'team', '0 8 * * *', NULL, 'asleep', 0, 0, 1, 'system', 'Mars/Base', NULL, 1, 1),
            (8, 'gone', '0 8 * * *', NULL, 'nobody', 1, 0, 1, 'system', NULL, NULL, 1, 1);";
    projects.old_db().execute_batch(more).unwrap();
    let report = projects.import(false).await.unwrap();
    assert_eq!(report.counts["tasks"], count(6, 0));
    let rows = "SELECT prompt || ' ' || created_by || ' ' || conversation || ' ' || active || ' ' || coalesce(at, cron) FROM tasks ORDER BY id";
    let rows = projects.new_rows(rows);
    assert_eq!(
        rows,
        [
            "report system telegram:-1001:7 1 0 9 * * *",
            "call telegram:42 telegram:42 1 2999-04-13T12:00:00Z",
            "news telegram:43 api:telegram:43 0 0 8 * * *",
            "tidy telegram:43 api:telegram:43 1 0 8 * * *",
            "broken system telegram:-1001:7 0 H * * * *",
            "asleep system telegram:-1001:7 0 0 8 * * *",
        ],
        "the moment of what comes once is the old host's"
    );
    let due = projects.new_rows(
        "SELECT CASE WHEN next_run_at = 1 THEN 'missed' ELSE 'later' END FROM tasks WHERE active ORDER BY id",
    );
    assert_eq!(due, ["missed", "later", "missed"], "what was missed meanwhile comes once");
    for (what, why) in [
        ("task #3 of main, which is #3 here, rests", "several conversations"),
        ("task #6 of team, which is #5 here, rests", "Invalid cron expression"),
        ("task #8 of gone", "deleted"),
    ] {
        let left = report.left.iter().find(|left| left.what == what).unwrap_or_else(|| panic!("{:#?}", report.left));
        assert!(left.why.contains(why), "{}", left.why);
    }
    projects.old_db().execute("UPDATE tasks SET id = 9 WHERE id = 8", []).unwrap();
    projects.old_db().execute("UPDATE tasks SET space_id = 'team' WHERE id = 9", []).unwrap();
    assert_eq!(projects.import(false).await.unwrap().counts["tasks"], count(1, 6), "only what is new");
}

/// The old profile goes on; one that is active here stays, and what cannot be read is not brought.
#[tokio::test]
async fn the_active_profile_comes_along() {
    let projects = Projects::new();
    let old = ".mercury/active-profile.json";
    let record = "{\"name\":\"clinic\",\"memberPermissions\":[\"prompt\",\"rooms\"],\"profilePrompt\":\"Be kind.\"}";
    projects.old_file(old, "{\"name\":");
    let report = projects.import(true).await.unwrap();
    let left = report.left.iter().find(|left| left.what == "active-profile.json").unwrap();
    assert!(left.why.contains("no JSON"), "{left:?}");
    projects.old_file(old, record);
    assert_eq!(projects.import(true).await.unwrap().counts["settings"], count(5, 0));
    assert_eq!(projects.new_file(old), None, "a dry run changes nothing");
    projects.import(false).await.unwrap();
    let config = crate::config::Config::load(&projects.places.project, &BTreeMap::new()).unwrap();
    let profile = config.profile.unwrap();
    assert_eq!((profile.name.as_str(), profile.prompt.as_deref()), ("clinic", Some("Be kind.")));
    assert_eq!(profile.members.unwrap(), ["prompt", "rooms", "media.receive", "media.send"]);
    projects.old_file(old, "{\"name\":\"other\"}");
    projects.import(false).await.unwrap();
    assert_eq!(projects.new_file(old).as_deref(), Some(record));
    assert!(projects.new_file(".mercury/active-profile.json.imported").unwrap().contains("other"));
}

/// Again takes what is new, and what is here by now stays.
#[tokio::test]
async fn it_may_be_run_again() {
    let projects = Projects::new();
    projects.import(false).await.unwrap();
    let store = Store::open(&projects.places.data_dir.join("state.db")).unwrap();
    let team = crate::domain::ids::SpaceId::try_from("team".to_owned()).unwrap();
    store.link("telegram:42", Some(&team)).await.unwrap();
    let granted = crate::store::Granted {
        space: team.clone(),
        person: "telegram:43".into(),
        role: "admin".into(),
        by: "x".into(),
        admins_elsewhere: true,
        at: 1,
    };
    assert!(store.grant_role(granted).await.unwrap());
    drop(store);
    let memory = projects.places.data_dir.join("spaces/main/AGENTS.md");
    std::fs::write(&memory, "changed here").unwrap();
    projects
        .old_db()
        .execute_batch(
            "INSERT INTO messages (space_id, role, content, created_at, updated_at) VALUES ('main', 'user', 'later', 200, 200)",
        )
        .unwrap();
    projects.old_file(".mercury/spaces/main/inbox/2-dog.png", "dog");
    let report = projects.import(false).await.unwrap();
    assert_eq!(
        projects.new_rows("SELECT content FROM messages WHERE space = 'main'"),
        ["what is this?", "a cat", "later"]
    );
    assert_eq!(projects.new_rows("SELECT space FROM conversations WHERE id = 'telegram:42'"), ["team"]);
    assert_eq!(projects.new_rows("SELECT role FROM members WHERE person = 'telegram:43'"), ["admin"]);
    assert_eq!(projects.new_rows("SELECT run FROM spending").len(), 2);
    assert_eq!(std::fs::read_to_string(memory).unwrap(), "changed here");
    assert!(report.left.iter().any(|left| left.what == "spaces/main/AGENTS.md"));
    assert_eq!(projects.new_file(".mercury/spaces/main/inbox/2-dog.png").as_deref(), Some("dog"));
    assert_eq!((report.counts["messages"].taken, report.counts["files"].taken), (1, 1));
    assert_eq!(report.counts["settings"], count(0, 4));
}

#[tokio::test]
async fn the_operators_own_settings_stay() {
    let projects = Projects::new();
    std::fs::write(projects.places.project.join(".env"), "MERCURY_PORT=1\n").unwrap();
    projects.import(false).await.unwrap();
    assert_eq!(projects.new_file(".env").as_deref(), Some("MERCURY_PORT=1\n"));
    assert_eq!(projects.new_file(".env.imported").as_deref(), Some("MERCURY_API_SECRET=mrc_x\n# a remark\n"));
}

/// storage.md #26: files of versions before the later columns.
#[tokio::test]
async fn a_file_of_an_older_version_is_understood() {
    let projects = Projects::new();
    projects
        .old_db()
        .execute_batch(
            "DROP TABLE wa_identity_aliases; DROP TABLE project_config; DROP TABLE daily_rate_usage;
             UPDATE messages SET reply_to_id = NULL;
             CREATE TABLE m (id INTEGER PRIMARY KEY, space_id TEXT, role TEXT, content TEXT, attachments TEXT, created_at INTEGER);
             INSERT INTO m SELECT id, space_id, role, content, attachments, created_at FROM messages;
             PRAGMA foreign_keys = OFF; DROP TABLE messages; ALTER TABLE m RENAME TO messages;
             ALTER TABLE chat_state DROP COLUMN clear_boundary; ALTER TABLE space_roles DROP COLUMN display_name;
             ALTER TABLE tasks DROP COLUMN timezone; ALTER TABLE tasks DROP COLUMN name;",
        )
        .unwrap();
    let report = projects.import(false).await.unwrap();
    assert_eq!((report.counts["messages"], report.counts["tasks"]), (count(6, 0), count(1, 0)));
    assert_eq!(projects.new_rows("SELECT conversation FROM messages WHERE content = 'a cat'"), ["telegram:42"]);
}

#[tokio::test]
async fn what_is_no_old_project_is_refused() {
    let projects = Projects::new();
    let import = async |from: &Path| import(from, &projects.places, false, CancellationToken::new()).await.unwrap_err();
    let empty = projects.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(import(&empty).await.to_string().contains("there is no"), "no database");
    assert!(matches!(import(&empty.join("nowhere")).await, ImportError::Io { .. }));
    std::fs::create_dir(empty.join(".mercury")).unwrap();
    drop(Store::open(&empty.join(".mercury/state.db")).unwrap());
    assert!(import(&empty).await.to_string().contains("mercury backup"), "this Mercury's own");
    assert!(!projects.places.data_dir.exists(), "nothing was begun");

    let itself =
        Places { project: projects.old(), data_dir: projects.old().join(".mercury"), ..projects.places.clone() };
    let error = super::import(&projects.old(), &itself, false, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ImportError::Itself { .. }), "{error}");

    let _host = data_dir::try_claim(&projects.places.data_dir).unwrap().unwrap();
    assert!(matches!(import(&projects.old()).await, ImportError::InUse { .. }));
}

#[tokio::test]
async fn what_is_broken_off_goes_on_later() {
    let projects = Projects::new();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let outcome = import(&projects.old(), &projects.places, false, cancelled).await;
    assert!(matches!(outcome, Err(ImportError::Cancelled)), "{outcome:?}");
    assert_eq!(projects.import(false).await.unwrap().counts["messages"], count(6, 0));
}

const LISTS: &str = "INSERT OR REPLACE INTO space_config VALUES
    ('main', 'role.member.permissions', 'prompt, stop', 'dashboard', 1, 7),
    ('team', 'role.member.permissions', 'prompt,media.send', 'dm-auto-space', 1, 7),
    ('team', 'role.moderator.permissions', '', 'x', 1, 7), ('team', 'role.system.permissions', 'prompt', 'x', 1, 7),
    ('team', 'role.admin.permissions', 'prompt', 'x', 1, 7), ('main', 'role.Bad Role.permissions', 'prompt', 'x', 1, 7);";
const TAKEN: &str =
    "SELECT space || ' ' || role || ' ' || permissions || ' ' || updated_by FROM role_permissions ORDER BY space, role";

/// permissions.md #19: lists of before files needed a permission get both of theirs, once, and say who wrote them;
/// one that names either stays as it is, what is taken back here later stays taken back, and an admin can give the
/// others back.
#[tokio::test]
async fn permissions_of_roles_come_along() {
    let projects = Projects::new();
    projects.old_db().execute_batch(LISTS).unwrap();
    let report = projects.import(false).await.unwrap();
    assert_eq!(
        projects.new_rows(TAKEN),
        [
            r#"main member ["prompt","stop","media.receive","media.send"] dashboard"#,
            r#"team admin ["prompt","media.receive","media.send","permissions.get","permissions.set","roles.list","roles.grant"] x"#,
            r#"team member ["prompt","media.send"] dm-auto-space"#,
            r#"team moderator ["media.receive","media.send"] x"#,
        ]
    );
    assert_eq!(report.counts["permissions of roles"], count(4, 0));
    let left = report.left.iter().find(|left| left.what.contains("space_config")).unwrap();
    for key in ["team/role.system.permissions", "main/role.Bad Role.permissions"] {
        assert!(left.what.contains(key), "{left:?}");
    }
    let revoke = "UPDATE role_permissions SET permissions = '[\"prompt\"]' WHERE space = 'main'";
    projects.new_db().execute_batch(revoke).unwrap();
    assert_eq!(projects.import(false).await.unwrap().counts["permissions of roles"], count(0, 4));
    assert_eq!(projects.new_rows(TAKEN)[0], r#"main member ["prompt"] dashboard"#);
}

/// permissions.md #19: where the old system had brought its lists up to date, one without files means that.
#[tokio::test]
async fn permissions_that_were_taken_back_stay_so() {
    let projects = Projects::new();
    projects.old_db().execute_batch(LISTS).unwrap();
    let done = "INSERT INTO project_config VALUES ('migration.media_role_permissions', '1', 'system', 1, 1)";
    projects.old_db().execute_batch(done).unwrap();
    projects.import(false).await.unwrap();
    assert_eq!(projects.new_rows(TAKEN)[0], r#"main member ["prompt","stop"] dashboard"#);
}

/// permissions.md W5: no row of the old system makes somebody the host.
#[tokio::test]
async fn nobody_comes_along_as_the_host() {
    let projects = Projects::new();
    projects.old_db().execute_batch("UPDATE space_roles SET role = 'system' WHERE space_id = 'team'").unwrap();
    projects.import(false).await.unwrap();
    let store = Store::open(&projects.places.data_dir.join("state.db")).unwrap();
    let team = crate::domain::ids::SpaceId::try_from("team".to_owned()).unwrap();
    assert_eq!(store.role_of(&team, "telegram:43").await.unwrap(), "member");
}
