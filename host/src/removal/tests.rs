use super::*;
use crate::store::{Accepted, NewInbound};

struct Place {
    folder: tempfile::TempDir,
    removals: Removals,
}

fn space(name: &str) -> SpaceId {
    SpaceId::try_from(name.to_owned()).unwrap()
}

impl Place {
    /// With the space `temp`, in whose folder a file lies.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let removals = Removals::new(store, folder.path().join("spaces"));
        let place = Self { folder, removals };
        place.make().await;
        place
    }

    async fn make(&self) {
        self.removals.store.create_space(&space("temp"), 1).await.unwrap();
        std::fs::create_dir_all(self.path("temp/inbox")).unwrap();
        std::fs::write(self.path("temp/inbox/secret"), "s").unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.removals.spaces.join(below)
    }

    async fn there(&self) -> (bool, bool) {
        let row = self.removals.store.space_exists(&space("temp")).await.unwrap();
        (row, self.path("temp/inbox/secret").exists())
    }

    /// What lies aside.
    fn aside(&self) -> usize {
        Aside::all(&self.removals.spaces).unwrap().len()
    }

    async fn noted(&self) -> usize {
        self.removals.store.removals().await.unwrap().len()
    }

    /// Removes the rows and moves the folder, and is killed.
    async fn remove_and_die(&self) -> Aside {
        let aside = Aside::of(&self.removals.spaces, &space("temp"));
        let moving = aside.clone();
        let removed = self.removals.store.remove_space(&space("temp"), &aside.name, 1, move || moving.take()).await;
        assert!(matches!(removed, Ok(Removal::Done(_))), "{removed:?}");
        aside
    }

    /// As a host that starts, and then cleans up.
    async fn start(&self) {
        self.removals.recover().await.unwrap();
        self.removals.finish().await.unwrap();
    }
}

/// storage.md #3 with the files, #25 as to a folder that is not there, W28: a space of the same name finds none of them.
#[tokio::test]
async fn a_space_goes_with_its_folder() {
    let place = Place::new().await;
    let outside = place.folder.path().join("outside");
    std::fs::write(&outside, "x").unwrap();
    std::os::unix::fs::symlink(place.folder.path(), place.path("temp/up")).unwrap();
    assert!(place.removals.remove(&space("temp")).await.is_ok());
    assert_eq!(place.there().await, (false, false));
    assert_eq!((place.aside(), place.noted().await), (0, 0));
    assert!(outside.exists(), "a link of the space leads there");
    assert!(matches!(place.removals.remove(&space("temp")).await, Err(RemovalError::Unknown(_))));
    place.removals.store.create_space(&space("temp"), 2).await.unwrap();
    assert!(!place.path("temp").exists());
    assert!(place.removals.remove(&space("temp")).await.is_ok(), "a space without a folder");
}

#[tokio::test]
async fn a_space_that_is_needed_stays_with_its_folder() {
    let place = Place::new().await;
    assert!(matches!(place.removals.remove(&space("main")).await, Err(RemovalError::Main)));
    let message = NewInbound {
        platform: "api".into(),
        event: "1".into(),
        space: space("temp"),
        conversation: "api:a".into(),
        author: "api:a".into(),
        author_name: None,
        text: "hi".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: None,
    };
    assert!(matches!(place.removals.store.accept(message).await.unwrap(), Accepted::New(_)));
    assert!(matches!(place.removals.remove(&space("temp")).await, Err(RemovalError::Busy(_))));
    assert_eq!(place.there().await, (true, true));
    assert_eq!((place.aside(), place.noted().await), (0, 0));
}

/// Killed once the removal was on the disk: the next start finishes it, and leaves the new space of the name alone.
#[tokio::test]
async fn a_removal_that_was_broken_off_is_finished() {
    let place = Place::new().await;
    place.remove_and_die().await;
    assert_eq!((place.aside(), place.noted().await), (1, 1));
    assert!(!place.path("temp").exists(), "a space of the same name would find it");
    place.make().await;
    place.start().await;
    assert_eq!(place.there().await, (true, true));
    assert_eq!((place.aside(), place.noted().await), (0, 0));
    // The new one may have no folder yet.
    place.remove_and_die().await;
    place.removals.store.create_space(&space("temp"), 2).await.unwrap();
    place.start().await;
    assert_eq!(place.there().await, (true, false));
    assert_eq!((place.aside(), place.noted().await), (0, 0));
    // Killed while the note was still there.
    place.make().await;
    place.remove_and_die().await;
    let [aside] = &Aside::all(&place.removals.spaces).unwrap()[..] else { panic!() };
    remove_tree(&aside.path()).unwrap();
    place.start().await;
    assert_eq!(place.noted().await, 0);
}

/// Killed before the removal was on the disk: the space was not removed, and has its files again.
#[tokio::test]
async fn a_removal_that_did_not_happen_is_undone() {
    let place = Place::new().await;
    Aside::of(&place.removals.spaces, &space("temp")).take().unwrap();
    assert_eq!(place.there().await, (true, false));
    place.start().await;
    assert_eq!(place.there().await, (true, true));
    assert_eq!(place.aside(), 0);
    // Nothing that has taken its place is lost.
    Aside::of(&place.removals.spaces, &space("temp")).take().unwrap();
    std::fs::create_dir(place.path("temp")).unwrap();
    place.start().await;
    assert_eq!((place.there().await, place.aside()), ((true, false), 1));
}

/// The database refuses: the folder is in its place again at once.
#[tokio::test]
async fn what_the_database_refuses_is_undone() {
    let place = Place::new().await;
    let refusing = "CREATE TRIGGER refuse BEFORE DELETE ON spaces BEGIN SELECT raise(ABORT, 'as asked'); END";
    place.removals.store.write(|db| db.execute_batch(refusing)).await.unwrap();
    assert!(matches!(place.removals.remove(&space("temp")).await, Err(RemovalError::Store(_))));
    assert_eq!(place.there().await, (true, true));
    assert_eq!((place.aside(), place.noted().await), (0, 0));
}

/// A folder that cannot be moved keeps its space.
#[tokio::test]
async fn what_cannot_be_moved_is_not_removed() {
    let place = Place::new().await;
    // In the place of the folder for what is removed.
    std::fs::create_dir(place.path("other")).unwrap();
    std::os::unix::fs::symlink("other", place.path(ASIDE)).unwrap();
    let refused = place.removals.remove(&space("temp")).await;
    assert!(matches!(refused, Err(RemovalError::NotMoved { .. })), "{refused:?}");
    assert_eq!(place.there().await, (true, true));
    assert_eq!(place.noted().await, 0);
}

/// A link in the folder's own place, and links in it, lead nowhere.
#[tokio::test]
async fn links_are_not_followed() {
    let place = Place::new().await;
    let outside = place.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "x").unwrap();
    remove_tree(&place.path("temp")).unwrap();
    std::os::unix::fs::symlink(&outside, place.path("temp")).unwrap();
    place.remove_and_die().await;
    place.start().await;
    assert!(std::fs::symlink_metadata(place.path("temp")).is_err());
    assert!(outside.join("kept").exists());
    assert_eq!((place.aside(), place.noted().await), (0, 0));
}

/// What nobody moved there is neither moved nor deleted.
#[tokio::test]
async fn strange_folders_are_left() {
    let place = Place::new().await;
    for name in ["temp", "Temp.00", "gone.00ff", "temp.x y", ".temp.00"] {
        std::fs::create_dir_all(place.path(ASIDE).join(name)).unwrap();
    }
    place.start().await;
    assert_eq!(std::fs::read_dir(place.path(ASIDE)).unwrap().count(), 5);
    assert_eq!(place.there().await, (true, true));
}
