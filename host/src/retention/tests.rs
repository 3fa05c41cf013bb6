use super::*;
use crate::{
    domain::{ids::SpaceId, stages::Marks},
    store::{NewInbound, NewOutbound, NewRun},
};

const DAY: Duration = Duration::from_hours(24);

struct Place {
    folder: tempfile::TempDir,
    retention: Retention,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let times = Times { inbox: 7 * DAY, outbox: 3 * DAY, every: DAY };
        let removals = Removals::new(store.clone(), folder.path().join("spaces"));
        let retention = Retention { data_dir: folder.path().to_owned(), times, store, removals };
        Self { folder, retention }
    }

    /// Makes a file that was changed so many days ago.
    fn file(&self, path: &str, days: u32) -> PathBuf {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "12345").unwrap();
        age(&path, days);
        path
    }

    async fn clean_up(&self) -> Report {
        self.retention.clean_up(SystemTime::now()).await.unwrap()
    }

    async fn run(&self, space: &str, id: &str) -> i64 {
        let store = &self.retention.store;
        let space = SpaceId::try_from(space.to_owned()).unwrap();
        store.create_space(&space, 1).await.unwrap();
        let message = NewInbound {
            platform: "api".into(),
            event: id.into(),
            space,
            conversation: "api:x".into(),
            author: "api:x".into(),
            author_name: None,
            text: "x".into(),
            attachments: Vec::new(),
            received_at: 1,
            chat: None,
        };
        let inbound = store.accept(message).await.unwrap().id();
        let id = RunId::from_stored(id.into());
        store
            .queue(NewRun { id, inbound, role: "member".into(), created_at: 1, marks: Marks::default() })
            .await
            .unwrap();
        inbound
    }

    async fn answer(&self, id: &str, inbound: i64) {
        let run = RunId::from_stored(id.into());
        let store = &self.retention.store;
        store.take_next(1, Vec::new).await.unwrap().unwrap();
        store.finish(&run, &mercury_protocol::io::RunResult::default(), Marks::default()).await.unwrap();
        let reply = NewOutbound {
            inbound,
            run: Some(run.clone()),
            reply: "done".into(),
            files: Vec::new(),
            problem: None,
            suppressed: false,
        };
        store.answer(&run, reply, Marks::default(), 1).await.unwrap();
    }
}

fn age(path: &Path, days: u32) {
    let time = SystemTime::now() - days * DAY - Duration::from_secs(60);
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// pipeline.md #48, config.md #1
#[tokio::test]
async fn files_go_when_their_time_is_up() {
    let place = Place::new();
    assert_eq!(place.clean_up().await, Report::default(), "no folder of spaces yet");
    let gone = [place.file("spaces/a/inbox/old.pdf", 10), place.file("spaces/a/outbox/old.png", 5)];
    let kept = [
        place.file("spaces/a/inbox/new.pdf", 1),
        place.file("spaces/a/inbox/young.pdf", 5),
        place.file("spaces/a/inbox/.hidden", 100),
        place.file("spaces/a/inbox/folder/deep", 100),
        place.file("spaces/a/outbox/new.png", 2),
        place.file("spaces/a/MEMORY.md", 400),
    ];
    let outside = place.file("secret", 100);
    std::os::unix::fs::symlink(&outside, place.folder.path().join("spaces/a/inbox/link")).unwrap();
    let report = place.clean_up().await;
    assert_eq!(report, Report { scanned: 1, skipped: 0, files: 2, bytes: 10 });
    assert!(gone.iter().all(|path| !path.exists()));
    assert!(kept.iter().chain([&outside]).all(|path| path.exists()), "{kept:?}");
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_left() {
    let place = Place::new();
    let outside = place.file("elsewhere/old", 100);
    std::fs::create_dir_all(place.folder.path().join("spaces/a")).unwrap();
    std::os::unix::fs::symlink(outside.parent().unwrap(), place.folder.path().join("spaces/a/inbox")).unwrap();
    assert_eq!(place.clean_up().await.files, 0);
    assert!(outside.exists());
}

#[tokio::test]
async fn a_space_at_work_is_left_alone() {
    let place = Place::new();
    let (busy, idle) = (place.file("spaces/busy/inbox/x", 10), place.file("spaces/idle/inbox/x", 10));
    let inbound = place.run("busy", "0a").await;
    let report = place.clean_up().await;
    assert_eq!((report.scanned, report.skipped, busy.exists(), idle.exists()), (1, 1, true, false));
    place.answer("0a", inbound).await;
    place.clean_up().await;
    assert!(!busy.exists());
}

#[tokio::test]
async fn copies_of_what_was_delivered_go_and_what_is_to_be_sent_stays() {
    let place = Place::new();
    for (run, days) in [("0a", 5), ("0b", 5), ("0c", 1), ("0d", 5)] {
        let file = place.file(&format!("delivery/{run}/0"), days);
        age(file.parent().unwrap(), days);
    }
    let answered = place.run("main", "0a").await;
    place.answer("0a", answered).await;
    place.run("other", "0b").await;
    let given_up = place.run("third", "0d").await;
    place.retention.store.take_next(1, Vec::new).await.unwrap().unwrap();
    place.answer("0d", given_up).await;
    place
        .retention
        .store
        .write(move |db| {
            db.execute(
                "INSERT INTO deliveries (message, platform, conversation, outbound, text, files, choices, state, created_at)
                 SELECT 'm', 'p', 'p:1', id, '', '[]', '[]', 'dead', 1 FROM outbound WHERE inbound = ?1",
                [given_up],
            )
        })
        .await
        .unwrap();
    place.clean_up().await;
    let left = |run: &str| place.folder.path().join("delivery").join(run).exists();
    assert_eq!(["0a", "0b", "0c", "0d"].map(left), [false, true, true, true]);
}

/// storage.md S10: what a crash left of a run goes a day later, and an unfinished run keeps what it has.
#[tokio::test]
async fn leftovers_of_runs_go() {
    let place = Place::new();
    place.run("main", "0a").await;
    for folder in ["io/mercury-agent-1-0a", "io/mercury-0b", "run/0a", "run/0b"] {
        let file = place.file(&format!("{folder}/x"), 2);
        age(file.parent().unwrap(), 2);
    }
    place.file("run/0c/x", 0);
    place.clean_up().await;
    let left = |path: &str| place.folder.path().join(path).exists();
    let all = ["io/mercury-agent-1-0a", "io/mercury-0b", "run/0a", "run/0b", "run/0c"];
    assert_eq!(all.map(left), [true, false, true, false, true]);
}

/// What messages brought stays, also where they arrive while a purge waits for its turn, and where their files are
/// placed and they are not written yet.
#[tokio::test]
async fn a_purge_takes_nothing_from_messages_that_wait() {
    let place = Place::new();
    let (storage, store) = (Storage::new(place.folder.path().to_owned()), place.retention.store.clone());
    let path = |name: &str| place.folder.path().join("spaces/main/inbox").join(name);
    let (main, now) = (SpaceId::try_from("main".to_owned()).unwrap(), clock::millis());
    let names = [now, now - BEING_TAKEN - 60_000, now + BEING_TAKEN + 60_000].map(|at| format!("{at}-a.pdf"));
    for name in names.iter().map(String::as_str).chain(["1000-late.pdf", "mine"]) {
        place.file(&format!("spaces/main/inbox/{name}"), 0);
    }
    let turns = [storage.turn().await, storage.turn().await];
    let purging = {
        let (store, workspace) = (store.clone(), place.folder.path().join("spaces/main"));
        tokio::spawn(async move { purge_inbox(&storage, &store, &main, workspace).await.unwrap().unwrap() })
    };
    place.run("main", "0a").await;
    let file = r#"[{"path":"/spaces/main/inbox/1000-late.pdf","type":"document","mimeType":"application/pdf"}]"#;
    store.write(move |db| db.execute("UPDATE inbound SET attachments = ?1", [file])).await.unwrap();
    drop(turns);
    assert_eq!(purging.await.unwrap(), 3);
    let stays = |name: &str| path(name).exists();
    assert_eq!(names.each_ref().map(|name| stays(name)), [true, false, false]);
    assert!(stays("1000-late.pdf") && !stays("mine"));
}
