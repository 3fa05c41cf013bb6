use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use super::*;
use crate::{
    config::Config,
    domain::active_profile::{Active, FILE},
    plugins::packages::{Listed, State},
};

const MANIFEST: &str = "\
name: clinic
description: Books rooms
agents_md: ./persona/AGENTS.md
capabilities: [gws]
member_permissions: [prompt, gws]
profile_prompt: Be kind.
";
const BLANK: &str = "# as `mercury init` writes it\n";

/// The folder of a profile.
fn folder(manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("persona")).unwrap();
    fs::write(folder.path().join("persona/AGENTS.md"), "# Clinic\n").unwrap();
    fs::write(folder.path().join("mercury-profile.yaml"), manifest).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn fetched(text: &str) -> Result<Fetched, ProfilesError> {
    fetch(&Source::parse(text)?).await
}

/// As `tar` packs a folder.
fn archive(folder: &Path, to: &Path) {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(fs::File::create(to).unwrap(), flate2::Compression::fast()));
    builder.append_dir_all("clinic-1.0", folder).unwrap();
    builder.into_inner().unwrap().finish().unwrap();
}

fn listed(name: &str, state: State) -> Listed {
    Listed { name: name.into(), state, manifest: None, origin: None, path: name.into() }
}

/// Every file of a folder with its text.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            all.extend(content(&entry.path()).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            all.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn a_profile_comes_from_a_folder_an_archive_or_an_address() {
    let folder = folder(MANIFEST);
    let place = tempfile::tempdir().unwrap();
    let packed = place.path().join("clinic.tar.gz");
    archive(folder.path(), &packed);
    let bytes = fs::read(&packed).unwrap();
    let site = axum::Router::new()
        .route("/clinic.tar.gz", axum::routing::get(move || async move { bytes }))
        .route("/moved.tar", axum::routing::get(|| async { axum::response::Redirect::to("http://192.0.2.1/x.tar") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, site).await });
    let url = format!("http://{address}/clinic.tar.gz");
    for source in [text(folder.path()), text(&packed), &url] {
        let fetched = fetched(source).await.unwrap();
        assert_eq!(fetched.profile.name, "clinic", "{source}");
        assert_eq!(fetched.persona.as_deref(), Some("# Clinic\n"), "{source}");
    }
    let carried = fetched("coding").await.unwrap();
    assert!(carried.persona.unwrap().contains("A software developer"));
    for (path, says) in [("nope.tar.gz", "status 404"), ("moved.tar", "status 303")] {
        let error = fetched(&format!("http://{address}/{path}")).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let open = fetched("http://192.0.2.1/x.tar").await.unwrap_err().to_string();
    assert!(open.contains("not encrypted"), "{open}");
}

/// What is no profile is said to be none, with the next step; git is not run.
#[tokio::test]
async fn what_is_no_source_is_refused() {
    let bad = async |text: &str| fetched(text).await.unwrap_err().to_string();
    assert!(bad("reserch").await.contains("did you mean `research`?"));
    let nope = bad("nope").await;
    assert!(nope.contains("there is no profile `nope`.") && nope.contains("mercury profiles list"), "{nope}");
    let empty = tempfile::tempdir().unwrap();
    assert!(bad(text(empty.path())).await.contains("mercury-profile.yaml"));
    for (git, instead) in [
        ("https://github.com/u/r.git", "https://github.com/u/r/archive/HEAD.tar.gz"),
        ("https://github.com/u/r", "https://github.com/u/r/archive/HEAD.tar.gz"),
        ("https://forge.example/u/r", "ends in .tar.gz"),
        ("git@github.com:u/r.git", "Clone it, and name the folder"),
        ("git:example.com/u/r", "Clone it"),
    ] {
        let said = bad(git).await;
        assert!(said.contains("does not run git") && said.contains(instead), "{git}: {said}");
    }
    let broken = folder("name: Clinic");
    assert!(bad(text(broken.path())).await.contains("`Clinic` is no name of a profile"));
}

/// A stranger's folder brings no file of the operator's before an agent.
#[tokio::test]
async fn a_persona_is_a_file_of_the_profile() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let folder = folder(MANIFEST);
    let persona = folder.path().join("persona/AGENTS.md");
    fs::remove_file(&persona).unwrap();
    let missing = fetched(text(folder.path())).await.unwrap_err();
    assert!(matches!(missing, ProfilesError::Unreadable { .. }), "{missing}");
    symlink(secret.path(), &persona).unwrap();
    let link = fetched(text(folder.path())).await.unwrap_err();
    assert!(matches!(link, ProfilesError::Special { .. }), "{link}");
    fs::remove_file(&persona).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &persona, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let pipe = fetched(text(folder.path())).await.unwrap_err();
    assert!(matches!(pipe, ProfilesError::Special { .. }), "{pipe}");
    fs::remove_file(&persona).unwrap();
    fs::write(&persona, "x".repeat((256 << 10) + 1)).unwrap();
    let large = fetched(text(folder.path())).await.unwrap_err();
    assert!(matches!(large, ProfilesError::TooLarge { .. }), "{large}");
}

/// permissions.md #16: it fails naming what is missing; where nothing is needed it passes.
#[tokio::test]
async fn what_is_missing_is_named() {
    let folder = folder(MANIFEST);
    let clinic = fetched(text(folder.path())).await.unwrap();
    let says = |listed: &[Listed]| check(&clinic, listed, &[]).unwrap_err().to_string();
    assert!(says(&[]).contains("`gws`: it is not installed") && says(&[]).contains(text(folder.path())));
    assert!(says(&[listed("gws", State::Off)]).contains("plugins.gws.enabled: true"));
    assert!(says(&[listed("gws", State::Refused("changed".into()))]).contains("it cannot be used: changed"));
    for there in [State::Ready, State::Inactive("missing credential X".into())] {
        check(&clinic, &[listed("gws", there)], &[]).unwrap();
    }
    check(&clinic, &[], &["gws".into()]).unwrap();
    check(&fetched("general").await.unwrap(), &[], &[]).unwrap();
}

/// Nothing of the operator's is overwritten, and the record says what holds.
#[tokio::test]
async fn a_profile_is_activated_as_a_whole() {
    let folder = folder(MANIFEST);
    let clinic = fetched(text(folder.path())).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let agents = data.path().join("global/AGENTS.md");
    let first = activate(data.path(), &clinic, BLANK).unwrap();
    assert_eq!(first, Activated { persona: Persona::Written, before: None });
    let active = Active::read(&content(data.path())[FILE]).unwrap().0;
    assert_eq!(active.members.unwrap(), ["prompt", "gws", "media.receive", "media.send"]);
    assert_eq!(active.prompt.as_deref(), Some("Be kind."));
    assert_eq!(activate(data.path(), &clinic, BLANK).unwrap().persona, Persona::Stays, "it is there already");

    // What the operator wrote is kept, each time under a name of its own.
    for mine in ["mine", "mine again"] {
        fs::write(&agents, mine).unwrap();
        let kept = activate(data.path(), &fetched("general").await.unwrap(), BLANK).unwrap();
        let Persona::Replaces { kept } = kept.persona else { panic!("{kept:?}") };
        assert_eq!(fs::read_to_string(kept).unwrap(), mine);
    }
    let all = content(data.path());
    assert_eq!((all["global/AGENTS.md.1"].as_str(), all["global/AGENTS.md.2"].as_str()), ("mine", "mine again"));
    assert_eq!(Active::read(&all[FILE]).unwrap().0.members, None);
    // What nobody wrote is not.
    for nobodys in [" \n", BLANK, ALL[2].persona] {
        fs::write(&agents, nobodys).unwrap();
        let again = activate(data.path(), &clinic, BLANK).unwrap();
        assert_eq!(again.persona, Persona::Written, "{nobodys}");
    }
    assert_eq!(content(data.path()).len(), 4, "AGENTS.md, two that were kept, and the record");
    // Without a persona the one that is there stays.
    let bare = self::folder("name: bare\n");
    fs::write(&agents, "mine").unwrap();
    let activated = activate(data.path(), &fetched(text(bare.path())).await.unwrap(), BLANK).unwrap();
    assert_eq!(activated, Activated { persona: Persona::Stays, before: Some("clinic".into()) });
    assert_eq!(clear(data.path()).unwrap().as_deref(), Some("bare"));
    assert_eq!((clear(data.path()).unwrap(), fs::read_to_string(&agents).unwrap()), (None, "mine".into()));
}

/// extensions.md #33 in its first half: where it fails, everything is as it was.
#[tokio::test]
async fn what_fails_changes_nothing() {
    let folder = folder(MANIFEST);
    let clinic = fetched(text(folder.path())).await.unwrap();
    for mine in [None, Some(BLANK), Some("mine")] {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join("global")).unwrap();
        if let Some(mine) = mine {
            fs::write(data.path().join("global/AGENTS.md"), mine).unwrap();
        }
        // No file can come in the place of a folder.
        fs::create_dir(data.path().join(FILE)).unwrap();
        let before = content(data.path());
        let error = activate(data.path(), &clinic, BLANK).unwrap_err();
        assert!(matches!(error, ProfilesError::Unwritable { .. }), "{error}");
        assert_eq!(content(data.path()), before);
    }
}

/// cli.md #24 in part: what is exported is what is applied.
#[tokio::test]
async fn a_project_goes_out_and_comes_back() {
    let folder = folder(MANIFEST);
    let clinic = fetched(text(folder.path())).await.unwrap();
    let project = tempfile::tempdir().unwrap();
    let data = project.path().join(".mercury");
    activate(&data, &clinic, BLANK).unwrap();
    let config = |yaml: &str| {
        fs::write(project.path().join("mercury.yaml"), yaml).unwrap();
        Config::load(project.path(), &BTreeMap::new()).unwrap()
    };
    let to = project.path().join("Our Clinic");
    let exported = export(&config(""), &[], &to).unwrap();
    assert_eq!(exported.profile.name, "our-clinic");
    let defaults = &exported.profile.defaults;
    assert_eq!((&defaults.trigger_patterns, &defaults.bot_username), (&None, &None), "nobody said so");
    let again = fetched(text(&to)).await.unwrap();
    assert_eq!(again.profile, exported.profile);
    assert_eq!(again.persona, clinic.persona);
    let other = tempfile::tempdir().unwrap();
    activate(other.path(), &again, BLANK).unwrap();
    let read = |data: &Path| Active::read(&content(data)[FILE]).unwrap().0;
    assert_eq!(Active { name: "clinic".into(), ..read(other.path()) }, read(&data));

    // Nobody's folder is written over; an empty one is taken.
    let before = content(&to);
    let occupied = export(&config(""), &[], &to).unwrap_err();
    assert!(matches!(occupied, ProfilesError::Occupied { .. }) && content(&to) == before, "{occupied}");
    let empty = tempfile::tempdir().unwrap();
    let said = config("trigger:\n  patterns: ['@Doc']\nserver:\n  bot_username: doc\n");
    let defaults = export(&said, &[], empty.path()).unwrap().profile.defaults;
    assert_eq!((defaults.trigger_patterns.as_deref(), defaults.bot_username.as_deref()), (Some("@Doc"), Some("doc")));
    assert_eq!(content(empty.path()).len(), 2);
}
