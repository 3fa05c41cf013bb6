use super::*;
use crate::{clock, sandbox::AgentUser};

const QUOTA: u64 = 1 << 20;

fn me() -> AgentUser {
    AgentUser { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

fn open() -> (tempfile::TempDir, MediaStore) {
    let data = tempfile::tempdir().unwrap();
    let store = MediaStore::open(&data.path().join("media"), clock::millis()).unwrap();
    (data, store)
}

fn files(store: &MediaStore) -> usize {
    std::fs::read_dir(&*store.folder).unwrap().count()
}

async fn make(store: &MediaStore, owner: &str, name: Option<&str>, bytes: &[u8]) -> Description {
    let mut incoming = store.begin(owner, QUOTA, QUOTA).await.unwrap();
    incoming.write(bytes).await.unwrap();
    incoming.finish(Kind::Document, "text/plain".into(), name.map(str::to_owned)).await.unwrap()
}

/// A handle is a name and no key: another plugin that knows it has nothing of it.
#[tokio::test]
async fn a_handle_belongs_to_its_plugin() {
    let (data, store) = open();
    let made = make(&store, "a", Some("x.txt"), b"hello").await;
    assert_eq!(store.lend("a", &made.handle).await.unwrap().read(1, 3).await.unwrap(), b"ell");
    let folder = Folder { workspace: data.path().join("spaces/main"), name: "inbox", user: me() };
    for stranger in ["b", "", "A"] {
        assert!(store.find(stranger, &made.handle).is_none());
        assert!(matches!(store.lend(stranger, &made.handle).await, Err(MediaError::NotFound)));
        assert!(matches!(store.take(stranger, &made.handle, &data.path().join("t")).await, Err(MediaError::NotFound)));
        assert!(matches!(store.place(stranger, &made.handle, folder.clone(), 1).await, Err(MediaError::NotFound)));
        store.release(stranger, &made.handle).await;
    }
    for handle in ["", "..", "../state.db", &format!("{}.json", made.handle)] {
        assert!(matches!(store.lend("a", handle).await, Err(MediaError::NotFound)), "{handle}");
    }
    assert!(store.find("a", &made.handle).is_some());
}

/// adapters.md #4: what is too large stops at the limit and leaves nothing, nor does what is given up.
#[tokio::test]
async fn nothing_is_left_of_an_unfinished_file() {
    let (_data, store) = open();
    let mut incoming = store.begin("a", QUOTA, 10).await.unwrap();
    incoming.write(b"12345678").await.unwrap();
    assert!(matches!(incoming.write(b"901").await, Err(MediaError::TooLarge { most: 10 })));
    assert_eq!(incoming.room(), 2);
    drop(incoming);
    assert_eq!((files(&store), store.index().used.len()), (0, 0));
}

#[tokio::test]
async fn a_plugin_has_its_quota_and_gets_it_back() {
    let (data, store) = open();
    let first = make(&store, "a", None, &[0; 600 << 10]).await;
    let mut second = store.begin("a", QUOTA, QUOTA).await.unwrap();
    assert!(matches!(second.write(&[0; 600 << 10]).await, Err(MediaError::Quota { quota: QUOTA })));
    drop(second);
    make(&store, "b", None, &[0; 600 << 10]).await;
    let kept = data.path().join("kept");
    assert_eq!(store.take("a", &first.handle, &kept).await.unwrap(), first);
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), 600 << 10);
    assert!(store.find("a", &first.handle).is_none());
    make(&store, "a", None, &[0; 600 << 10]).await;
}

#[tokio::test]
async fn a_file_lives_an_hour_also_across_a_restart() {
    let (_data, store) = open();
    let made = make(&store, "a", Some("x"), b"x").await;
    let now = clock::millis();
    std::fs::write(store.folder.join("stranger"), "s").unwrap();
    std::fs::write(store.folder.join("torn.json"), "{").unwrap();
    let again = MediaStore::open(&store.folder, now).unwrap();
    assert_eq!(again.find("a", &made.handle), Some(made.clone()));
    assert_eq!((files(&again), again.index().used["a"]), (2, 1));
    assert_eq!(again.sweep(now + LIFE.as_millis() as i64 - 60_000).await, 0);
    assert_eq!(again.sweep(now + LIFE.as_millis() as i64 + 1).await, 1);
    assert!(again.find("a", &made.handle).is_none());
    assert_eq!((files(&again), again.index().used.len()), (0, 0));
    let made = make(&store, "a", Some("x"), b"x").await;
    let late = MediaStore::open(&store.folder, clock::millis() + LIFE.as_millis() as i64).unwrap();
    assert!(late.find("a", &made.handle).is_none() && files(&late) == 0);
}

/// adapters.md W36: two files of one name within one millisecond stay two.
#[tokio::test]
async fn files_come_into_a_space_under_names_of_their_own() {
    let (data, store) = open();
    let workspace = data.path().join("spaces/main");
    let folder = Folder { workspace: workspace.clone(), name: "inbox", user: me() };
    for (bytes, name) in [(b"one", "1700000000000-a_b.txt"), (b"two", "1700000000001-a_b.txt")] {
        let made = make(&store, "a", Some("../a b.txt"), bytes).await;
        let placed = store.place("a", &made.handle, folder.clone(), 1_700_000_000_000).await.unwrap();
        assert_eq!((placed.name.as_str(), &placed.description), (name, &made));
        assert_eq!(std::fs::read(workspace.join("inbox").join(name)).unwrap(), bytes);
        // Until it is released it can be placed again: what it was placed for may have failed.
        assert!(store.place("a", &made.handle, folder.clone(), 1_800_000_000_000).await.is_ok());
        store.release("a", &made.handle).await;
        assert_eq!(std::fs::read(workspace.join("inbox").join(name)).unwrap(), bytes);
    }
    assert_eq!(files(&store), 0);
}

/// An agent's link in the folder's place leads nowhere.
#[tokio::test]
async fn a_link_in_the_folders_place_is_not_followed() {
    let (data, store) = open();
    let workspace = data.path().join("spaces/main");
    let outside = data.path().join("outside");
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, workspace.join("inbox")).unwrap();
    let made = make(&store, "a", Some("x"), b"x").await;
    let folder = Folder { workspace: workspace.clone(), name: "inbox", user: me() };
    let placed = store.place("a", &made.handle, folder, 1).await.unwrap();
    assert!(workspace.join("inbox").join(placed.name).is_file());
    assert!(std::fs::read_dir(outside).unwrap().next().is_none());
}

#[test]
fn a_file_of_a_space_is_opened_in_the_space() {
    let data = tempfile::tempdir().unwrap();
    let workspace = data.path().join("main");
    std::fs::create_dir_all(workspace.join("inbox")).unwrap();
    std::fs::write(data.path().join("secret"), "s").unwrap();
    std::fs::write(workspace.join("inbox/a.pdf"), "pdf").unwrap();
    std::os::unix::fs::symlink("../../secret", workspace.join("inbox/link")).unwrap();
    std::os::unix::fs::symlink("..", workspace.join("up")).unwrap();
    let pipe = workspace.join("inbox/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let lend = |path: &str| Lent::of_space(&workspace, Path::new(path), Kind::Document, None);
    let lent = lend("inbox/a.pdf").unwrap();
    assert_eq!((lent.description().mime_type.as_str(), lent.description().size_bytes), ("application/pdf", 3));
    assert_ne!(lent.handle(), lend("inbox/a.pdf").unwrap().handle());
    for path in ["inbox/link", "up/secret", "../secret", "inbox/../../secret", "/etc/passwd", "inbox", "inbox/pipe", ""]
    {
        assert!(lend(path).is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_lent_file_is_read_in_ranges() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("x");
    std::fs::write(&path, "0123456789").unwrap();
    let lent = Lent::of_host(&path, Kind::Image, "image/png".into(), None).unwrap();
    std::fs::remove_file(&path).unwrap();
    for (offset, length, expected) in [(0, 4, "0123"), (8, 4, "89"), (10, 4, ""), (u64::MAX, 4, ""), (0, 0, "")] {
        assert_eq!(lent.read(offset, length).await.unwrap(), expected.as_bytes(), "{offset}");
    }
}
