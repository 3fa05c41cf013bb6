use secrecy::SecretString;

use super::{lock::Editing, *};
use crate::{
    config::PluginConfig,
    plugins::{Compiler, Plugins, Rights, Services},
};

const MANIFEST: &str = "name = \"p\"\nversion = \"1.0.0\"\ncomponent = \"p.wasm\"\nprovides = [\"result-processor\"]\n";

/// The smallest component of the contract: it imports an empty `mercury:plugin/log`.
fn tiny_component() -> Vec<u8> {
    let name = b"mercury:plugin/log@0.2.0";
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    // Type section: one instance type without declarations.
    wasm.extend([7, 3, 1, 0x42, 0]);
    // Import section: the name, and an instance of type 0.
    wasm.extend([10, name.len() as u8 + 5, 1, 0, name.len() as u8]);
    wasm.extend(name);
    wasm.extend([5, 0]);
    wasm
}

fn package_in(folder: &Path, manifest: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::write(folder.join("p.wasm"), tiny_component()).unwrap();
    if manifest.contains("skill = ") {
        std::fs::create_dir_all(folder.join("skill")).unwrap();
        std::fs::write(folder.join("skill/SKILL.md"), "# P\n").unwrap();
    }
}

fn trusting(key: &PublicKey) -> Trust {
    Trust { keys: [("ada".to_owned(), key.clone())].into(), ..Trust::default() }
}

fn locked(data_dir: &Path, name: &str, manifest: &str, signer: Option<&SigningKey>) {
    locked_with(data_dir, name, manifest, &tiny_component(), signer);
}

/// Puts a package into the lock as it is, without trying it.
fn locked_with(data_dir: &Path, name: &str, manifest: &str, wasm: &[u8], signer: Option<&SigningKey>) {
    let plugins = folder(data_dir);
    let raw = plugins.join(".raw");
    package_in(&raw, manifest);
    std::fs::write(raw.join("p.wasm"), wasm).unwrap();
    if let Some(key) = signer {
        Package::sign(&raw, key).unwrap();
    }
    let package = Package::read(&raw).unwrap();
    let agreed = Agreed {
        version: package.manifest.version.clone(),
        contract: package.contract.clone(),
        digest: package.digest(),
        source: "/somewhere".into(),
        signer: package.signer.clone(),
        files: package.files.clone(),
        rights: Rights::of(&package.manifest),
    };
    let place = folder_of(&plugins, name, &agreed);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::rename(&raw, &place).unwrap();
    let mut editing = Editing::begin(&plugins).unwrap();
    editing.lock.plugins.insert(name.to_owned(), Entry { current: agreed, previous: None });
    editing.commit().unwrap();
}

fn state_of(data_dir: &Path, trust: &Trust, name: &str) -> State {
    let listed = list(data_dir, &BTreeMap::new(), trust).unwrap();
    listed.into_iter().find(|plugin| plugin.name == name).unwrap().state
}

#[test]
fn a_key_signs_and_is_read_again() {
    let (key, text) = SigningKey::generate().unwrap();
    assert_eq!(SigningKey::parse(&text).unwrap().public(), key.public());
    assert_eq!(PublicKey::parse(&key.public().to_string()).unwrap(), key.public());
    for text in ["", "mercury plugin signing key 1\n!", "mercury plugin signing key 1\nAAAA\n"] {
        assert!(SigningKey::parse(&SecretString::from(text)).is_err(), "{text}");
    }
    for text in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA"] {
        assert!(PublicKey::parse(text).is_err(), "{text}");
    }
}

/// Promise 18: any flipped bit of manifest, component or signature is refused, in a signed package as
/// it arrives and in an installed one at its load.
#[test]
fn any_flipped_bit_is_refused() {
    let (key, _) = SigningKey::generate().unwrap();
    let data = tempfile::tempdir().unwrap();
    locked(data.path(), "p", MANIFEST, Some(&key));
    let trust = trusting(&key.public());
    assert_eq!(state_of(data.path(), &trust, "p"), State::Ready);
    let agreed = Lock::read(&folder(data.path())).unwrap().plugins["p"].current.clone();
    let place = folder_of(&folder(data.path()), "p", &agreed);
    let mut flipped = 0;
    for file in ["plugin.toml", "p.wasm", SIGNATURE_FILE] {
        let path = place.join(file);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            // As it arrives: read, it is broken, or somebody else's, whom nobody trusts.
            let arrives = Package::read(&place)
                .is_ok_and(|package| package.signer.as_ref().is_some_and(|signer| trust.name_of(signer).is_some()));
            assert!(!arrives, "{file}: bit {bit} is not noticed where it arrives");
            assert!(sources::agreed(&folder(data.path()), "p", &agreed, &trust).is_err(), "{file}: bit {bit}");
            flipped += 1;
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(flipped > 2_000);
    assert_eq!(state_of(data.path(), &trust, "p"), State::Ready);
}

/// An unsigned package holds to its bytes as well, whichever file is changed.
#[test]
fn what_was_changed_after_the_installation_is_refused_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let manifest = format!("{MANIFEST}[agent]\nskill = \"skill\"\n");
    locked(data.path(), "p", &manifest, None);
    let trust = Trust::default();
    assert_eq!(state_of(data.path(), &trust, "p"), State::Ready);
    let lock = Lock::read(&folder(data.path())).unwrap();
    let place = folder_of(&folder(data.path()), "p", &lock.plugins["p"].current);
    let refused = |what: &str| match state_of(data.path(), &trust, "p") {
        State::Refused(reason) => assert!(reason.contains("mercury plugins update p"), "{what}: {reason}"),
        state => panic!("{what}: {state}"),
    };
    std::fs::write(place.join("skill/more.md"), "new").unwrap();
    refused("a file more");
    std::fs::remove_file(place.join("skill/more.md")).unwrap();
    std::fs::write(place.join("plugin.toml"), format!("{manifest}[kv]\nquota-bytes = 1\n")).unwrap();
    refused("another manifest");
    std::fs::remove_file(place.join("p.wasm")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.join("p.wasm")).unwrap();
    std::fs::write(place.join("plugin.toml"), &manifest).unwrap();
    assert!(matches!(state_of(data.path(), &trust, "p"), State::Refused(reason) if reason.contains("link")));
}

/// More rights in the manifest than in the lock: a host that learned of new ones asks again.
#[test]
fn rights_that_nobody_agreed_to_are_refused_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    locked(data.path(), "p", &format!("{MANIFEST}[kv]\nquota-bytes = 100\n"), None);
    let mut editing = Editing::begin(&folder(data.path())).unwrap();
    editing.lock.plugins.get_mut("p").unwrap().current.rights = Rights::default();
    editing.commit().unwrap();
    let State::Refused(reason) = state_of(data.path(), &Trust::default(), "p") else { panic!() };
    assert!(reason.contains("kv quota-bytes: 100") && reason.contains("mercury plugins approve p"), "{reason}");
}

#[test]
fn a_signer_who_is_trusted_no_more_is_refused() {
    let (key, _) = SigningKey::generate().unwrap();
    let data = tempfile::tempdir().unwrap();
    locked(data.path(), "p", MANIFEST, Some(&key));
    let State::Refused(reason) = state_of(data.path(), &Trust::default(), "p") else { panic!() };
    assert!(reason.contains("no longer under plugins.trusted_keys"), "{reason}");
}

/// extensions.md #1 and #2: the order is that of the names, what is no plugin is passed over, and a
/// reserved name disables that plugin alone.
#[test]
fn folders_are_found_in_order_and_strangers_passed_over() {
    let data = tempfile::tempdir().unwrap();
    let plugins = folder(data.path());
    for name in ["b-ext", "a-ext", "Bad_Name", "tasks"] {
        let manifest = MANIFEST.replace("\"p\"", &format!("\"{}\"", name.to_lowercase().replace('_', "-")));
        package_in(&plugins.join(name), &manifest);
    }
    std::fs::create_dir(plugins.join("no-index")).unwrap();
    std::fs::write(plugins.join("x"), "a file").unwrap();
    let listed = list(data.path(), &BTreeMap::new(), &Trust::everything()).unwrap();
    let by_hand: Vec<_> = listed.iter().filter(|plugin| plugin.origin != Some(Origin::BuiltIn)).collect();
    let names: Vec<&str> = by_hand.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["a-ext", "b-ext", "tasks"]);
    assert_eq!((&by_hand[0].state, &by_hand[1].state), (&State::Ready, &State::Ready));
    assert!(matches!(&by_hand[2].state, State::Refused(reason) if reason.contains("belongs to the host")));
    let found = collect(data.path(), &BTreeMap::new(), &Trust::everything()).unwrap();
    assert!(matches!(found["tasks"], Found::Refused { essential: false, .. }));
}

/// extensions.md #3: what the operator installed takes the place of what comes along.
#[test]
fn an_installed_plugin_replaces_the_built_in_one() {
    let data = tempfile::tempdir().unwrap();
    locked(data.path(), "redact", &MANIFEST.replace("\"p\"", "\"redact\""), None);
    let listed = list(data.path(), &BTreeMap::new(), &Trust::default()).unwrap();
    let redact: Vec<_> = listed.iter().filter(|plugin| plugin.name == "redact").collect();
    assert_eq!(redact.len(), 1);
    assert!(redact[0].agreed().is_some());
}

/// extensions.md #4, W9: without its credential it is listed and not used; a guard stops the start.
#[test]
fn a_missing_credential_is_said() {
    let data = tempfile::tempdir().unwrap();
    let secret = "[[http]]\nhosts = [\"x.example\"]\n[[secrets]]\nname = \"t\"\nvariable = \"MERCURY_X\"\nhosts = [\"x.example\"]\n";
    locked(data.path(), "p", &format!("{MANIFEST}{secret}"), None);
    let guard = MANIFEST.replace("result-processor", "tool-guard").replace("\"p\"", "\"g\"");
    locked(data.path(), "g", &format!("{guard}{secret}"), None);
    let without = Trust { variables: Some([].into()), ..Trust::default() };
    assert_eq!(state_of(data.path(), &without, "p").to_string(), "inactive: missing credential MERCURY_X");
    let found = collect(data.path(), &BTreeMap::new(), &without).unwrap();
    assert!(matches!(&found["g"], Found::Refused { essential: true, reason, .. } if reason.contains("MERCURY_X")));
    let with = Trust { variables: Some(["MERCURY_X".to_owned()].into()), ..Trust::default() };
    assert_eq!(state_of(data.path(), &with, "p"), State::Ready);
}

/// A folder that nobody agreed to is not loaded, unless the operator lists it.
#[test]
fn a_folder_put_there_by_hand_needs_a_word() {
    let data = tempfile::tempdir().unwrap();
    package_in(&folder(data.path()).join("p"), MANIFEST);
    let State::Refused(reason) = state_of(data.path(), &Trust::default(), "p") else { panic!() };
    assert!(reason.contains("mercury plugins add") && reason.contains("plugins.unlocked_folders"), "{reason}");
    let listed = Trust { unlocked: ["p".to_owned()].into(), ..Trust::default() };
    assert_eq!(state_of(data.path(), &listed, "p"), State::Ready);
    let other = Trust { unlocked: ["q".to_owned()].into(), ..Trust::default() };
    assert!(matches!(state_of(data.path(), &other, "p"), State::Refused(_)));
    let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
    let found = collect(data.path(), &[("p".to_owned(), off)].into(), &Trust::default()).unwrap();
    assert!(matches!(found["p"], Found::Refused { essential: false, .. }));
}

/// A version that does not load any more (a newer host may not take it) gives way to the one before.
#[tokio::test(flavor = "multi_thread")]
async fn the_version_before_is_used_where_the_new_one_does_not_load() {
    let carried = |name: &str| mercury_carried::COMPONENTS.iter().find(|it| it.name == name).unwrap().wasm;
    let data = tempfile::tempdir().unwrap();
    let plugins = folder(data.path());
    let put = |version: &str, wasm: &[u8]| {
        locked_with(data.path(), "p", &MANIFEST.replace("1.0.0", version), wasm, None);
        Lock::read(&plugins).unwrap().plugins["p"].current.clone()
    };
    let previous = put("1.0.0", carried("redact"));
    // It exports no result-processor.
    let current = put("2.0.0", carried("permission-guard"));
    let mut editing = Editing::begin(&plugins).unwrap();
    editing.lock.plugins.insert("p".to_owned(), Entry { current, previous: Some(previous) });
    editing.commit().unwrap();
    let store = crate::store::Store::open(&data.path().join("state.db")).unwrap();
    let services = std::sync::Arc::new(Services::new(store).with_trust(Trust::default()));
    let loaded = Plugins::load(data.path(), &BTreeMap::new(), Compiler::InProcess, services).await.unwrap();
    let versions: Vec<_> = loaded
        .loaded()
        .iter()
        .filter(|plugin| plugin.name() == "p")
        .map(|plugin| plugin.manifest().version.clone())
        .collect();
    assert_eq!(versions, ["1.0.0"]);
    assert!(loaded.disabled().is_empty());
}

#[test]
fn a_lock_that_cannot_be_read_is_an_error_and_no_empty_lock() {
    let data = tempfile::tempdir().unwrap();
    locked(data.path(), "p", MANIFEST, None);
    let path = folder(data.path()).join(LOCK_FILE);
    let good = std::fs::read_to_string(&path).unwrap();
    for (bad, says) in [
        (good.replace("version = 1\n", "version = 2\n"), "newer Mercury"),
        (good.replace("version = 1\n", "version = 0\n"), "no form 0"),
        (good.replace("digest = ", "digest: "), "damaged"),
        // Cut off between two plugins, it would have lost one.
        (good.replace("entries = 1\n", "entries = 2\n"), "has 2 plugins, and has 1"),
        (String::new(), "no version"),
        (good.replace("[plugins.p]", "[plugin.p]"), "damaged"),
    ] {
        assert_ne!(bad, good, "{says}");
        std::fs::write(&path, bad).unwrap();
        let error = list(data.path(), &BTreeMap::new(), &Trust::default()).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(state_of(data.path(), &Trust::default(), "p"), State::Ready);
}

/// A package has the files that its manifest names, and plain ones only.
#[test]
fn only_named_and_plain_files_belong_to_a_package() {
    let data = tempfile::tempdir().unwrap();
    let place = data.path().join("p");
    package_in(&place, &format!("{MANIFEST}[agent]\nskill = \"skill\"\n"));
    std::fs::create_dir_all(place.join("target/deep")).unwrap();
    std::fs::write(place.join("target/deep/large"), "x").unwrap();
    std::fs::create_dir_all(place.join("skill/more")).unwrap();
    std::fs::write(place.join("skill/more/a.md"), "a").unwrap();
    let files: Vec<String> = Package::read(&place).unwrap().files.into_keys().collect();
    assert_eq!(files, ["p.wasm", "plugin.toml", "skill/SKILL.md", "skill/more/a.md"]);
    std::os::unix::fs::symlink("/etc/passwd", place.join("skill/link")).unwrap();
    assert!(matches!(Package::read(&place), Err(PackageError::Special { .. })));
    std::fs::remove_file(place.join("skill/link")).unwrap();
    std::fs::write(place.join("skill/a\nfile plugin.toml"), "x").unwrap();
    assert!(matches!(Package::read(&place), Err(PackageError::Name { .. })));
    std::fs::remove_dir_all(place.join("skill")).unwrap();
    assert!(matches!(Package::read(&place), Err(PackageError::Unreadable { .. })), "what is named must be there");
    std::os::unix::fs::symlink("/etc", place.join("skill")).unwrap();
    assert!(matches!(Package::read(&place), Err(PackageError::Special { .. })));
    std::fs::remove_file(place.join("p.wasm")).unwrap();
    let unbuilt = Package::read(&place).unwrap_err().to_string();
    assert!(unbuilt.contains("p.wasm") && unbuilt.contains("build the plugin first"), "{unbuilt}");
}

/// Names that a file system without case, or a reader, takes for one.
#[test]
fn files_that_look_alike_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let place = data.path().join("p");
    package_in(&place, &format!("{MANIFEST}[agent]\nskill = \"skill\"\n"));
    for (one, other) in [("A.md", "a.md"), ("\u{e9}.md", "e\u{301}.md"), ("\u{ff21}.md", "A.md")] {
        for name in [one, other] {
            std::fs::write(place.join("skill").join(name), name).unwrap();
        }
        let outcome = Package::read(&place);
        assert!(matches!(outcome, Err(PackageError::Alike { .. })), "{one} {other}: {outcome:?}");
        for name in [one, other] {
            std::fs::remove_file(place.join("skill").join(name)).unwrap();
        }
    }
    for name in ["a\u{202e}b.md", "a\u{200b}.md"] {
        std::fs::write(place.join("skill").join(name), "x").unwrap();
        assert!(matches!(Package::read(&place), Err(PackageError::Name { .. })), "{name:?}");
        std::fs::remove_file(place.join("skill").join(name)).unwrap();
    }
    std::fs::write(place.join("skill/\u{e9}t\u{e9} 1.md"), "x").unwrap();
    Package::read(&place).unwrap();
}

/// What is agreed to is what was shown, though another version was installed meanwhile.
#[tokio::test]
async fn an_agreement_is_for_what_was_shown() {
    let data = tempfile::tempdir().unwrap();
    let installer = Installer::new(data.path(), &BTreeMap::new(), Trust::default(), Compiler::InProcess, None);
    let without_rights = || {
        let mut editing = Editing::begin(&folder(data.path())).unwrap();
        editing.lock.plugins.get_mut("p").unwrap().current.rights = Rights::default();
        editing.commit().unwrap();
    };
    locked(data.path(), "p", &format!("{MANIFEST}[kv]\nquota-bytes = 100\n"), None);
    without_rights();
    let shown = installer.pending("p").await.unwrap();
    assert!(shown.beyond.contains(&"kv quota-bytes: 100".to_owned()));
    locked(data.path(), "p", &format!("{MANIFEST}[kv]\nquota-bytes = 100\n[history]\nread = true\n"), None);
    without_rights();
    assert!(matches!(installer.approve(shown).await, Err(InstallError::Changed { .. })));
    assert!(matches!(state_of(data.path(), &Trust::default(), "p"), State::Refused(_)));
    let shown = installer.pending("p").await.unwrap();
    installer.approve(shown).await.unwrap();
    assert_eq!(state_of(data.path(), &Trust::default(), "p"), State::Ready);
}

/// At no moment is there neither the old nor the new one.
#[test]
fn a_package_takes_the_place_of_another_at_once() {
    let data = tempfile::tempdir().unwrap();
    let (package, place) = (data.path().join("new"), data.path().join("place"));
    for (folder, text) in [(&package, "new"), (&place, "old")] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("file"), text).unwrap();
    }
    // Who holds the old one open has it whole: it was moved, not emptied.
    let held = std::fs::File::open(&place).unwrap();
    install::put(&package, &place).unwrap();
    assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(package.join("file")).unwrap(), "old");
    use std::os::fd::AsRawFd;
    let held = format!("/proc/self/fd/{}/file", held.as_raw_fd());
    assert_eq!(std::fs::read_to_string(held).unwrap(), "old");
}

/// A folder that nobody agreed to does not switch off what it is called after, whatever it says it is.
#[test]
fn a_folder_put_there_by_hand_takes_no_place() {
    let data = tempfile::tempdir().unwrap();
    let named = |name: &str| MANIFEST.replace("\"p\"", &format!("\"{name}\""));
    package_in(&folder(data.path()).join("permission-guard"), &named("permission-guard"));
    package_in(&folder(data.path()).join("redact"), "no manifest");
    // Behind the one that is allowed, by its folder's name.
    package_in(&folder(data.path()).join("good"), &named("good"));
    package_in(&folder(data.path()).join("z-good"), &named("good"));
    let trust = Trust { unlocked: ["good".to_owned()].into(), ..Trust::default() };
    let listed = list(data.path(), &BTreeMap::new(), &trust).unwrap();
    for (name, origin) in [("permission-guard", Origin::BuiltIn), ("redact", Origin::BuiltIn), ("good", Origin::Folder)]
    {
        let plugin = listed.iter().find(|plugin| plugin.name == name).unwrap();
        assert_eq!((&plugin.state, plugin.origin.as_ref()), (&State::Ready, Some(&origin)), "{name}");
    }
    // One that may be loaded and cannot be is another matter: its author waits for it.
    let trust = Trust { unlocked: ["redact".to_owned()].into(), ..Trust::default() };
    assert!(matches!(state_of(data.path(), &trust, "redact"), State::Refused(_)));
}
