use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{data_dir, domain::ids::SpaceId, store::Store};

struct Project {
    folder: tempfile::TempDir,
    places: Places,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join(".mercury");
        let auth_path = data_dir.join("global/auth.json");
        let places = Places { project: folder.path().to_owned(), data_dir, auth_path };
        Self { folder, places }
    }

    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// With something of everything in it.
    async fn filled() -> (Self, Store) {
        let project = Self::new();
        data_dir::make_private(&project.places.data_dir).unwrap();
        for (path, content) in [
            ("mercury.yaml", "server:\n  port: 9000\n"),
            (".env", "MERCURY_ANTHROPIC_API_KEY=canary-env"),
            (".mercury/global/auth.json", "canary-auth"),
            (".mercury/global/auth.json.1a2b", "canary-auth"),
            (".mercury/global/AGENTS.md", "be brief"),
            (".mercury/credentials.json", "canary-credentials"),
            (".mercury/whatsapp-auth/creds.json", "canary-device"),
            (".mercury/seal.key", "canary-seal"),
            (".mercury/spaces/main/MEMORY.md", "remember"),
            (".mercury/spaces/main/inbox/1-a.pdf", "pdf"),
            (".mercury/delivery/0a/0", "to be sent"),
            (".mercury/plugins/plugins.lock", "version = 1"),
            (".mercury/cache/components/x", "compiled"),
            (".mercury/io/mercury-0a/input.json", "canary-io"),
            (".mercury/strange/file", "?"),
        ] {
            project.file(path, content);
        }
        symlink("/etc/passwd", project.places.data_dir.join("spaces/main/link")).unwrap();
        let store = Store::open(&project.places.data_dir.join("state.db")).unwrap();
        store.create_space(&SpaceId::try_from("team".to_owned()).unwrap(), 1).await.unwrap();
        (project, store)
    }

    fn backup(&self, secrets: bool) -> (PathBuf, Report) {
        let target = self.folder.path().join("backup.tar.gz");
        let options = Options { secrets, replace: true };
        let report = write(&target, &self.places, options, &CancellationToken::new(), |_, _| {}).unwrap();
        (target, report)
    }

    fn restore(&self, archive: &Path, replace: bool) -> Result<Restored, BackupError> {
        restore(archive, &self.places, replace, &CancellationToken::new(), |_, _| {})
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(path)).ok()
    }

    /// Names of what lies in the project folder.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn what_is_kept_comes_back_and_nothing_else() {
    let (project, store) = Project::filled().await;
    let (archive, report) = project.backup(false);
    assert_eq!(report.left_out, ["strange: nobody knows what it is"]);
    assert_eq!(std::fs::metadata(&archive).unwrap().mode() & 0o777, 0o600);
    drop(store);
    let other = Project::new();
    let restored = other.restore(&archive, false).unwrap();
    assert_eq!((restored.backup.secrets, restored.previous), (false, None));
    assert_eq!(restored.settings, [other.folder.path().join("mercury.yaml")]);
    for path in [
        "spaces/main/MEMORY.md",
        "spaces/main/inbox/1-a.pdf",
        "delivery/0a/0",
        "global/AGENTS.md",
        "plugins/plugins.lock",
    ] {
        let path = format!(".mercury/{path}");
        assert!(other.read(&path).is_some_and(|content| Some(content) == project.read(&path)), "{path}");
    }
    let link = other.places.data_dir.join("spaces/main/link");
    assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/etc/passwd"), "as it was, and not followed");
    let mut names: Vec<_> =
        std::fs::read_dir(&other.places.data_dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["delivery", "global", "plugins", "spaces", "state.db"]);
    assert_eq!(std::fs::metadata(&other.places.data_dir).unwrap().permissions().mode() & 0o777, 0o700);
    let store = Store::open(&other.places.data_dir.join("state.db")).unwrap();
    assert_eq!(store.spaces().await.unwrap(), ["team", "main"]);
}

/// Promise 14: a canary of every place appears in no backup, unless it is asked for.
#[tokio::test]
async fn no_secret_is_in_it_unless_asked_for() {
    let (project, _store) = Project::filled().await;
    let content = |archive: &Path| {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap()), &mut text)
            .unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let (archive, _) = project.backup(false);
    let text = content(&archive);
    assert!(!text.contains("canary") && text.contains("be brief"));
    let (archive, _) = project.backup(true);
    let text = content(&archive);
    for canary in ["canary-env", "canary-auth", "canary-credentials", "canary-device"] {
        assert!(text.contains(canary), "{canary}");
    }
    assert!(!text.contains("canary-seal") && !text.contains("canary-io"), "of this machine alone");
    let other = Project::new();
    assert!(other.restore(&archive, false).unwrap().backup.secrets);
    assert_eq!(other.read(".mercury/credentials.json").as_deref(), Some("canary-credentials"));
    let env = std::fs::metadata(other.folder.path().join(".env")).unwrap();
    assert_eq!(env.permissions().mode() & 0o777, 0o600);
}

/// What the operator moved elsewhere and left a link to belongs to the project; a link of an agent is a link.
#[tokio::test]
async fn the_operators_links_are_followed() {
    let (project, store) = Project::filled().await;
    let data_dir = &project.places.data_dir;
    let elsewhere = project.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    project.file("elsewhere/team/MEMORY.md", "of the team");
    project.file("elsewhere/auth.json", "canary-linked");
    for (path, target) in [
        ("spaces", "../elsewhere/spaces"),
        ("spaces/team", "../team"),
        ("spaces/gone", "nowhere"),
        ("spaces/.odd", "../team"),
        ("global/auth.json", "../../elsewhere/auth.json"),
    ] {
        let path = data_dir.join(path);
        if path.is_dir() {
            std::fs::rename(&path, elsewhere.join(path.file_name().unwrap())).unwrap();
        } else if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        symlink(target, path).unwrap();
    }
    let (archive, report) = project.backup(false);
    let left = report.left_out.join("\n");
    assert!(left.contains("spaces/gone: what its link points to cannot be read"), "{left}");
    drop(store);
    let other = Project::new();
    other.restore(&archive, false).unwrap();
    assert_eq!(other.read(".mercury/spaces/main/MEMORY.md").as_deref(), Some("remember"));
    assert_eq!(other.read(".mercury/spaces/team/MEMORY.md").as_deref(), Some("of the team"));
    let is_link = |path: &str| std::fs::read_link(other.places.data_dir.join(path)).is_ok();
    assert!(!is_link("spaces") && !is_link("spaces/team") && is_link("spaces/main/link") && is_link("spaces/.odd"));
    assert_eq!(other.read(".mercury/global/auth.json"), None, "a secret");
    let (archive, _) = project.backup(true);
    let other = Project::new();
    other.restore(&archive, false).unwrap();
    assert_eq!(other.read(".mercury/global/auth.json").as_deref(), Some("canary-linked"));
}

/// An agent makes a file of a terabyte in a moment; an archive would have every byte of it.
#[tokio::test]
async fn a_file_that_is_all_hole_is_left_out() {
    let (project, _store) = Project::filled().await;
    let hole = project.places.data_dir.join("spaces/main/hole");
    std::fs::File::create(hole).unwrap().set_len(1 << 40).unwrap();
    let (_, report) = project.backup(false);
    assert!(report.left_out.iter().any(|left| left.contains("spaces/main/hole: ")), "{:?}", report.left_out);
    assert!(report.bytes < 1 << 20, "{}", report.bytes);
}

/// storage.md #29: writers are not blocked, and what they write is in the copy whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_whole_while_it_is_written_to() {
    let (project, store) = Project::filled().await;
    let writing = tokio::spawn(async move {
        for number in 0..300 {
            // Both or none.
            let both = move |db: &rusqlite::Transaction<'_>| {
                db.execute("INSERT INTO plugin_kv VALUES ('a', ?1, x'00')", [format!("{number}")])?;
                db.execute("INSERT INTO plugin_kv VALUES ('b', ?1, x'00')", [format!("{number}")])
            };
            store.write(both).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let archive = tokio::task::block_in_place(|| project.backup(false).0);
        let other = Project::new();
        other.restore(&archive, false).unwrap();
        let db = rusqlite::Connection::open(other.places.data_dir.join("state.db")).unwrap();
        let count = |plugin: &str| -> i64 {
            db.query_row("SELECT count(*) FROM plugin_kv WHERE plugin = ?1", [plugin], |row| row.get(0)).unwrap()
        };
        assert_eq!(count("a"), count("b"));
    }
    writing.await.unwrap();
}

/// On a new machine `mercury init` comes first, for the keys; nothing was said there yet.
#[tokio::test]
async fn a_project_that_was_only_begun_takes_a_backup() {
    let (project, store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    drop(store);
    let data = &project.places.data_dir;
    std::fs::remove_dir_all(data).unwrap();
    project.file(".mercury/global/AGENTS.md", "as init wrote it");
    std::fs::create_dir_all(data.join("spaces")).unwrap();
    let previous = project.restore(&archive, false).unwrap().previous.unwrap();
    assert_eq!(project.read(".mercury/spaces/main/MEMORY.md").as_deref(), Some("remember"));
    assert_eq!(std::fs::read_to_string(previous.join("global/AGENTS.md")).unwrap(), "as init wrote it");
}

#[tokio::test]
async fn nothing_is_overwritten_unasked() {
    let (project, store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    let again = write(&archive, &project.places, Options::default(), &CancellationToken::new(), |_, _| {});
    assert!(matches!(again, Err(BackupError::Exists { .. })));
    drop(store);
    assert!(matches!(project.restore(&archive, false), Err(BackupError::NotEmpty { .. })));
    project.file(".mercury/spaces/main/MEMORY.md", "changed since");
    project.file("mercury.yaml", "server:\n  port: 9001\n");
    let restored = project.restore(&archive, true).unwrap();
    assert_eq!(project.read(".mercury/spaces/main/MEMORY.md").as_deref(), Some("remember"));
    let previous = restored.previous.unwrap();
    assert_eq!(std::fs::read_to_string(previous.join("spaces/main/MEMORY.md")).unwrap(), "changed since");
    assert_eq!(project.read("mercury.yaml").as_deref(), Some("server:\n  port: 9001\n"), "the operator's own stays");
    assert_eq!(project.read("mercury.yaml.restored").as_deref(), Some("server:\n  port: 9000\n"));
}

/// Sign-ins come to where the configuration keeps them, and lie nowhere else; what is there stays.
#[tokio::test]
async fn sign_ins_come_to_their_own_place() {
    let (mut project, store) = Project::filled().await;
    project.places.auth_path = project.file("safe/auth.json", "canary-own");
    std::fs::remove_file(project.places.data_dir.join("global/auth.json")).unwrap();
    let (archive, _) = project.backup(true);
    drop(store);

    let mut other = Project::new();
    other.places.auth_path = other.folder.path().join("deep/safe/auth.json");
    let restored = other.restore(&archive, false).unwrap();
    assert_eq!(restored.sign_ins.as_ref(), Some(&other.places.auth_path));
    assert_eq!(other.read("deep/safe/auth.json").as_deref(), Some("canary-own"));
    assert_eq!(std::fs::metadata(&other.places.auth_path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(other.read(".mercury/global/auth.json"), None, "no second copy");
    std::fs::write(&other.places.auth_path, "newer").unwrap();
    let restored = other.restore(&archive, true).unwrap();
    assert_eq!(restored.sign_ins, Some(other.folder.path().join("deep/safe/auth.json.restored")));
    assert!(restored.settings.is_empty(), "the same as there, and sign-ins are no settings: {restored:?}");
    assert_eq!(other.read("deep/safe/auth.json").as_deref(), Some("newer"));

    // In the usual place there, in one of its own in the data directory here, and the other way round.
    let mut inside = Project::new();
    inside.places.auth_path = inside.places.data_dir.join("safe.json");
    inside.restore(&archive, false).unwrap();
    assert_eq!(inside.read(".mercury/safe.json").as_deref(), Some("canary-own"));
    let (archive, _) = inside.backup(true);
    let usual = Project::new();
    let restored = usual.restore(&archive, false).unwrap();
    assert_eq!(restored.sign_ins.as_ref(), Some(&usual.places.auth_path));
    assert_eq!(usual.read(".mercury/global/auth.json").as_deref(), Some("canary-own"));
    assert_eq!(usual.read(".mercury/safe.json"), None);
}

/// Whoever made the archive names paths and links in it: no link leads a restore to what lies outside, neither to
/// read there, nor to write, nor to remove.
#[tokio::test]
async fn no_link_of_the_archive_leads_out() {
    let (project, store) = Project::filled().await;
    let (genuine, _) = project.backup(true);
    drop(store);
    let outside = tempfile::tempdir().unwrap();
    let at = outside.path();
    let look = || {
        let mut found: Vec<_> = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        let content: Vec<_> = found.iter().map(|path| std::fs::read(path).unwrap()).collect();
        (found, content, std::fs::metadata(at).unwrap().mode())
    };
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["passwd", ".env", "mercury.yaml", "auth.json"] {
        std::fs::write(at.join(name), "theirs").unwrap();
    }
    std::fs::copy(project.places.data_dir.join("state.db"), at.join("state.db")).unwrap();
    let before = look();
    // Where the link is, what it takes the place of, where the sign-ins are said to be, and where they belong.
    for (link, target, sign_ins, auth_path, is_refused) in [
        ("data/spaces/x/l", "", "spaces/x/l/passwd", "safe/auth.json", false),
        ("data/spaces/x/l", "", "spaces/x/l/passwd", ".mercury/global/auth.json", false),
        ("data/global/sub", "", "global/sub/auth.json", "safe/auth.json", false),
        ("data/global/sub", "", "credentials.json", ".mercury/global/sub/auth.json", true),
        ("data/global", "", SIGN_INS, "safe/auth.json", true),
        ("data/spaces/team", "", SIGN_INS, ".mercury/global/auth.json", true),
        ("data/run", "", SIGN_INS, ".mercury/global/auth.json", true),
        ("data", "", SIGN_INS, "safe/auth.json", true),
        ("data/state.db", "state.db", SIGN_INS, ".mercury/global/auth.json", true),
        ("project", "", SIGN_INS, ".mercury/global/auth.json", true),
        ("project/.env", ".env", SIGN_INS, ".mercury/global/auth.json", true),
        ("project/mercury.yaml", "passwd", SIGN_INS, ".mercury/global/auth.json", true),
    ] {
        let mut other = Project::new();
        other.places.auth_path = other.folder.path().join(auth_path);
        let forged = forge(&genuine, link, &at.join(target), sign_ins);
        let restored = other.restore(&forged, false);
        assert!(look() == before, "{link}: what lies outside was touched");
        assert_eq!(restored.is_err(), is_refused, "{link}: {restored:?}");
        match restored {
            Ok(restored) => assert_eq!(restored.sign_ins, None, "{link}"),
            Err(_) => assert!(!other.places.data_dir.exists(), "{link}"),
        }
        for path in [auth_path, ".env", "mercury.yaml"] {
            assert_ne!(other.read(path).as_deref(), Some("theirs"), "{link}");
        }
    }
}

/// The backup as somebody could have changed it: with a link in the place of what is there, and another word on where
/// the sign-ins are.
fn forge(genuine: &Path, link: &str, target: &Path, sign_ins: &str) -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let unpacked = flate2::read::GzDecoder::new(std::fs::File::open(genuine).unwrap());
    tar::Archive::new(unpacked).unpack(folder.path()).unwrap();
    let said = std::fs::read(at(ABOUT)).unwrap();
    let about = About { sign_ins: Some(sign_ins.into()), ..serde_json::from_slice(&said).unwrap() };
    std::fs::write(at(ABOUT), serde_json::to_vec(&about).unwrap()).unwrap();
    match std::fs::symlink_metadata(at(link)) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(at(link)).unwrap(),
        Ok(_) => std::fs::remove_file(at(link)).unwrap(),
        Err(_) => std::fs::create_dir_all(at(link).parent().unwrap()).unwrap(),
    }
    symlink(target, at(link)).unwrap();
    let forged = genuine.with_file_name("forged.tar.gz");
    let packer = flate2::write::GzEncoder::new(std::fs::File::create(&forged).unwrap(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(packer);
    builder.follow_symlinks(false);
    for name in [ABOUT, "data", "project"] {
        match std::fs::symlink_metadata(at(name)).unwrap().is_dir() {
            true => builder.append_dir_all(name, at(name)).unwrap(),
            false => builder.append_path_with_name(at(name), name).unwrap(),
        }
    }
    builder.into_inner().unwrap().finish().unwrap();
    forged
}

/// What fails is found before anything is changed; what fails after that says where everything is.
#[tokio::test]
async fn no_half_state_without_a_word() {
    let (project, store) = Project::filled().await;
    let (archive, _) = project.backup(true);
    drop(store);
    let other = Project::new();
    other.file(".mercury/mine", "mine");
    other.file("mercury.yaml/a-folder", "in the way");
    let before = other.names();
    let error = other.restore(&archive, true).unwrap_err();
    assert!(matches!(&error, BackupError::Io { path, .. } if path.ends_with("mercury.yaml")), "{error}");
    assert_eq!((other.names(), other.read(".mercury/mine").as_deref()), (before, Some("mine")));

    let other = Project::new();
    other.file(".mercury/mine", "mine");
    other.file("mercury.yaml", "another");
    other.file("mercury.yaml.restored/a-folder", "in the way");
    let error = other.restore(&archive, true).unwrap_err();
    let BackupError::Unfinished { previous: Some(previous), what, .. } = &error else { panic!("{error}") };
    assert_eq!(std::fs::read_to_string(previous.join("mine")).unwrap(), "mine");
    assert!(error.to_string().contains(&previous.display().to_string()), "{error}");
    let kept = what.split_once("is in ").unwrap().1.split_once(": mv").unwrap().0;
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "server:\n  port: 9000\n");
    assert_eq!(other.read(".mercury/spaces/main/MEMORY.md").as_deref(), Some("remember"), "the rest is done");
    assert!(other.read(".env").is_some());
}

/// A data directory on another disk, to which the project has a link, stays there.
#[tokio::test]
async fn a_link_to_the_data_directory_stays() {
    let (project, store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    drop(store);
    let other = Project::new();
    std::fs::create_dir(other.folder.path().join("disk")).unwrap();
    symlink("disk", &other.places.data_dir).unwrap();
    other.file("disk/mine", "mine");
    let previous = other.restore(&archive, true).unwrap().previous.unwrap();
    assert_eq!(std::fs::read_link(&other.places.data_dir).unwrap(), Path::new("disk"));
    assert_eq!(other.read("disk/spaces/main/MEMORY.md").as_deref(), Some("remember"));
    assert_eq!(std::fs::read_to_string(previous.join("mine")).unwrap(), "mine");
}

#[tokio::test]
async fn a_living_host_is_not_restored_over() {
    let (project, _store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    let _host = data_dir::try_claim(&project.places.data_dir).unwrap().unwrap();
    assert!(matches!(project.restore(&archive, true), Err(BackupError::InUse { .. })));
}

/// Wherever it is cut off or changed, what is there stays as it is, and nothing is left behind.
#[tokio::test]
async fn a_damaged_backup_changes_nothing() {
    let (project, store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    drop(store);
    let whole = std::fs::read(&archive).unwrap();
    let other = Project::new();
    other.file(".mercury/spaces/main/MEMORY.md", "mine");
    let damaged = other.file("damaged.tar.gz", "");
    let before = other.names();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let cut = (1..8).map(|part| whole[..whole.len() * part / 8].to_vec());
    for bytes in cut.chain([flipped, Vec::new(), b"no archive at all".to_vec()]) {
        std::fs::write(&damaged, &bytes).unwrap();
        let error = other.restore(&damaged, true).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. } | BackupError::NoBackup { .. }), "{error}");
        assert_eq!(other.names(), before, "{error}");
        assert_eq!(other.read(".mercury/spaces/main/MEMORY.md").as_deref(), Some("mine"));
    }
}

#[tokio::test]
async fn a_backup_of_a_newer_version_is_refused() {
    let (project, store) = Project::filled().await;
    store.write(|db| db.pragma_update(None, "user_version", 900)).await.unwrap();
    let (archive, _) = project.backup(false);
    assert!(matches!(Project::new().restore(&archive, false), Err(BackupError::Newer { .. })));
}

#[tokio::test]
async fn what_is_broken_off_leaves_nothing() {
    let (project, _store) = Project::filled().await;
    let (archive, _) = project.backup(false);
    let before = project.names();
    let cancelled = CancellationToken::new();
    let target = project.folder.path().join("second.tar.gz");
    let outcome = write(&target, &project.places, Options::default(), &cancelled, |_, _| cancelled.cancel());
    assert!(matches!(outcome, Err(BackupError::Cancelled)), "{outcome:?}");
    assert_eq!(project.names(), before);
    let other = Project::new();
    let cancelled = CancellationToken::new();
    let outcome = restore(&archive, &other.places, false, &cancelled, |_, _| cancelled.cancel());
    assert!(matches!(outcome, Err(BackupError::Cancelled)), "{outcome:?}");
    assert!(other.names().is_empty());
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    assert!(matches!(
        write(&target, &project.places, Options::default(), &cancelled, |_, _| {}),
        Err(BackupError::Cancelled)
    ));
}
