use super::*;
use crate::{
    domain::{admins::Admins, auto_space::AutoSpace, chat::Chat},
    store::{Batch, Happening, Mute, NewHappening, NewMessage, Room, Seen, Taken, TakenBatch},
};

const PHONE: &str = "p:972@s";
const LID: &str = "p:244@lid";

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    (folder, store)
}

fn space(name: &str) -> SpaceId {
    SpaceId::try_from(name.to_owned()).unwrap()
}

async fn learn(store: &Store, alias: &str, person: &str, source: &str, at: i64) -> Learned {
    let new = NewAlias { alias: alias.into(), person: person.into(), source: source.into(), at };
    store.learn_alias(new).await.unwrap().unwrap()
}

/// A message of somebody, in the direct conversation with them or in a group.
async fn write(store: &Store, event: &str, author: &str, group: Option<&str>, auto: Option<AutoSpace>) -> TakenBatch {
    let conversation = group.unwrap_or(author).to_owned();
    let direct = group.is_none();
    let message = NewMessage {
        conversation: Seen { id: conversation, direct, title: None, address: None },
        author: author.into(),
        author_name: Some("Ada".into()),
        text: "hi".into(),
        attachments: Vec::new(),
        mentions_bot: true,
        chat: Chat { message_id: event.into(), direct, ..Chat::default() },
        received_at: 1,
    };
    let happenings = vec![NewHappening { event: event.into(), happening: Happening::Message(Box::new(message)) }];
    let room = Room { most: 99, share: 99, one: 99 };
    let batch = Batch { happenings, cursor: None, auto, trigger: Default::default(), room };
    store.take("plugin", "p", batch, 7).await.unwrap().unwrap()
}

async fn link(store: &Store, conversation: &str, to: &str) {
    store.create_space(&space(to), 1).await.ok();
    assert!(store.link(conversation, Some(&space(to))).await.unwrap(), "{conversation}");
}

async fn space_of(store: &Store, conversation: &str) -> Option<String> {
    store.conversation(conversation).await.unwrap().and_then(|known| known.space)
}

/// The ids under which somebody is looked for.
async fn ids(store: &Store, id: &str) -> Vec<String> {
    store.identity(id).await.unwrap().ids().map(str::to_owned).collect()
}

/// storage.md #20: found both ways; the same pair again is no news, from wherever it is known; another person is.
#[tokio::test]
async fn an_alias_is_learned() {
    let (_folder, store) = store();
    assert_eq!(ids(&store, LID).await, [LID]);
    assert!(learn(&store, LID, PHONE, "key-alt", 1).await.news);
    assert_eq!(store.person_of_alias(LID).await.unwrap().as_deref(), Some(PHONE));
    assert_eq!(store.person_of_alias(PHONE).await.unwrap(), None);
    assert_eq!(ids(&store, LID).await, [LID, PHONE]);
    assert_eq!(ids(&store, PHONE).await, [PHONE, LID]);
    assert!(!learn(&store, LID, PHONE, "key-alt", 2).await.news);
    assert!(!learn(&store, LID, PHONE, "lid-mapping", 3).await.news);
    let kept = "SELECT source || ' ' || created_at || ' ' || updated_at FROM aliases";
    let kept: String = store.read(move |db| db.query_row(kept, [], |row| row.get(0))).await.unwrap();
    assert_eq!(kept, "lid-mapping 1 3");
    assert!(learn(&store, LID, "p:973@s", "key-alt", 4).await.news, "the number has changed");
    assert_eq!(store.person_of_alias(LID).await.unwrap().as_deref(), Some("p:973@s"));
    assert_eq!(ids(&store, PHONE).await, [PHONE]);
}

/// Of several aliases the one that was learned last counts, of two at once the first by name: who had a number
/// before is not taken for who has it now.
#[tokio::test]
async fn the_newest_alias_counts() {
    let (_folder, store) = store();
    for (alias, at, expected) in [("p:b", 1, "p:b"), ("p:c", 1, "p:b"), ("p:a", 2, "p:a"), ("p:c", 3, "p:c")] {
        learn(&store, alias, PHONE, "s", at).await;
        assert_eq!(ids(&store, PHONE).await, [PHONE, expected], "{alias} at {at}");
    }
    assert_eq!(ids(&store, "p:b").await, ["p:b", PHONE]);
}

/// Nothing leads on from a person, so no pair makes a round.
#[tokio::test]
async fn a_pair_that_contradicts_is_refused() {
    let (_folder, store) = store();
    learn(&store, LID, PHONE, "s", 1).await;
    for (alias, person) in [(PHONE, LID), ("p:x", LID), (PHONE, "p:x"), (PHONE, PHONE)] {
        let new = NewAlias { alias: alias.into(), person: person.into(), source: "s".into(), at: 2 };
        assert!(store.learn_alias(new).await.unwrap().is_err(), "{alias} {person}");
    }
    assert_eq!(ids(&store, PHONE).await, [PHONE, LID]);
}

/// pipeline.md #9: without spaces made by themselves, too, the person's first message finds the alias's space, and
/// the role goes along.
#[tokio::test]
async fn a_conversation_takes_over_the_space_of_the_alias() {
    let (_folder, store) = store();
    write(&store, "1", LID, None, None).await;
    link(&store, LID, "old").await;
    store.welcome(&space("old"), LID, "moderator", None).await.unwrap();
    learn(&store, LID, PHONE, "s", 1).await;
    // Given under the alias, kept for the person.
    store.welcome(&space("old"), LID, "member", None).await.unwrap();
    let batch = write(&store, "2", PHONE, None, None).await;
    assert!(matches!(&batch.taken[..], [Taken::New(new)] if new.message.space == space("old")), "{batch:?}");
    let expected = Encounter {
        conversation: PHONE.into(),
        alias: LID.into(),
        met: Met::Adopted { space: space("old"), moved: Moved::default() },
    };
    assert_eq!(batch.encounters, [expected]);
    for id in [PHONE, LID] {
        assert_eq!(store.role_of(&space("old"), id).await.unwrap(), "moderator", "{id}");
    }
    assert!(write(&store, "3", PHONE, None, None).await.encounters.is_empty(), "it is linked now");
}

/// pipeline.md #9, learned after both have written.
#[tokio::test]
async fn a_conversation_takes_it_over_when_the_alias_is_learned() {
    let (_folder, store) = store();
    write(&store, "1", LID, None, None).await;
    link(&store, LID, "old").await;
    write(&store, "2", PHONE, None, None).await;
    assert_eq!(space_of(&store, PHONE).await, None);
    store.welcome(&space("old"), LID, "moderator", None).await.unwrap();
    let learned = learn(&store, LID, PHONE, "s", 1).await;
    assert_eq!((learned.news, learned.moved.roles), (true, 1));
    assert!(matches!(learned.encounter, Some(Encounter { met: Met::Adopted { .. }, .. })), "{learned:?}");
    assert_eq!(space_of(&store, PHONE).await.as_deref(), Some("old"));
    assert_eq!(store.role_of(&space("old"), PHONE).await.unwrap(), "moderator");
}

/// Where the bot was removed, or nobody wrote yet, there is nothing to link.
#[tokio::test]
async fn what_is_over_takes_nothing_over() {
    let (_folder, store) = store();
    write(&store, "1", LID, None, None).await;
    link(&store, LID, "old").await;
    assert_eq!(learn(&store, LID, PHONE, "s", 1).await.encounter, None);
    assert_eq!(store.conversation(PHONE).await.unwrap(), None);
    write(&store, "2", "p:9@s", None, None).await;
    let removed = Happening::Removed { conversation: "p:9@s".into() };
    let happenings = vec![NewHappening { event: "3".into(), happening: removed }];
    let room = Room { most: 9, share: 9, one: 9 };
    let batch = Batch { happenings, cursor: None, auto: None, trigger: Default::default(), room };
    store.take("plugin", "p", batch, 7).await.unwrap();
    assert_eq!(learn(&store, LID, "p:9@s", "s", 2).await.encounter, None);
    assert_eq!(space_of(&store, "p:9@s").await, None);
}

/// pipeline.md #9: an alias without a space changes nothing; two spaces stay, and what the person writes goes to
/// their own; a group takes nothing over.
#[tokio::test]
async fn what_takes_nothing_over() {
    let (_folder, store) = store();
    let auto = || Some(AutoSpace::default());
    learn(&store, LID, PHONE, "s", 1).await;
    write(&store, "1", LID, None, None).await;
    let batch = write(&store, "2", PHONE, None, auto()).await;
    assert!(batch.encounters.is_empty());
    let own = space_of(&store, PHONE).await.unwrap();
    assert!(own.starts_with("dm-p-972-s"), "{own}");

    link(&store, LID, "old").await;
    let batch = write(&store, "3", PHONE, None, auto()).await;
    assert!(matches!(&batch.taken[..], [Taken::New(new)] if new.message.space.as_str() == own), "{batch:?}");
    let met = Met::Split { own: space(&own), other: space("old") };
    assert_eq!(batch.encounters, [Encounter { conversation: PHONE.into(), alias: LID.into(), met: met.clone() }]);
    store.link(LID, Some(&space(&own))).await.unwrap();
    assert!(write(&store, "4", PHONE, None, auto()).await.encounters.is_empty(), "one space for both");

    link(&store, LID, "old").await;
    assert_eq!(learn(&store, LID, "p:1", "s", 2).await.encounter, None, "who has not written has no conversation");
    assert_eq!(learn(&store, LID, PHONE, "s", 3).await.encounter.unwrap().met, met, "both were there");
}

/// pipeline.md #9: groups that happen to be called like somebody neither take over a space nor give one away.
#[tokio::test]
async fn a_group_is_nobodys_direct_conversation() {
    let (_folder, store) = store();
    write(&store, "1", LID, None, None).await;
    link(&store, LID, "old").await;
    write(&store, "2", PHONE, Some("p:team"), None).await;
    assert_eq!(learn(&store, LID, "p:team", "s", 1).await.encounter, None);
    assert!(write(&store, "3", PHONE, Some("p:team"), None).await.encounters.is_empty());
    assert_eq!(space_of(&store, "p:team").await, None);

    write(&store, "4", PHONE, Some("p:crew"), None).await;
    link(&store, "p:crew", "old").await;
    learn(&store, "p:crew", "p:7@s", "s", 2).await;
    assert!(write(&store, "5", "p:7@s", None, None).await.encounters.is_empty());
    assert_eq!(space_of(&store, "p:7@s").await, None);
    assert_eq!(store.adoptable("p:7@s").await.unwrap(), None);
}

/// pipeline.md 4.3: an alias that is configured brings the person to `main`.
#[tokio::test]
async fn a_configured_alias_brings_to_main() {
    let (_folder, store) = store();
    let auto = || Some(AutoSpace { admins: Admins::new([LID]), ..AutoSpace::default() });
    write(&store, "1", "p:1@s", None, auto()).await;
    assert_ne!(space_of(&store, "p:1@s").await.as_deref(), Some("main"));
    learn(&store, LID, PHONE, "s", 1).await;
    write(&store, "2", PHONE, None, auto()).await;
    assert_eq!(space_of(&store, PHONE).await.as_deref(), Some("main"));
}

/// Who is muted is muted under every id, whenever that is learned, and gets no second allowance.
#[tokio::test]
async fn an_alias_is_no_way_out() {
    let (_folder, store) = store();
    write(&store, "1", PHONE, Some("p:team"), None).await;
    link(&store, "p:team", "team").await;
    let mute = |person: &str| {
        let mute =
            Mute { person: person.into(), expires_at: 99, reason: None, muted_by: "p:root".into(), created_at: 1 };
        let store = store.clone();
        async move { store.mute(&space("team"), mute).await.unwrap() }
    };
    let muted = async |person: &str| store.standing(&space("team"), "p:team", person, 5).await.unwrap().muted;
    mute(LID).await;
    assert!(muted(LID).await && !muted(PHONE).await);
    learn(&store, LID, PHONE, "s", 1).await;
    assert!(muted(LID).await && muted(PHONE).await);
    assert!(store.unmute(&space("team"), LID, 5).await.unwrap());
    assert!(!muted(LID).await && !muted(PHONE).await);
    mute(LID).await;
    assert!(muted(PHONE).await);
    let batch = write(&store, "2", LID, Some("p:team"), None).await;
    assert!(matches!(&batch.taken[..], [Taken::New(new)] if new.message.author == PHONE), "{batch:?}");
    // Nor is it one that the alias becomes that of a fresh id.
    let learned = learn(&store, LID, "p:fresh@s", "s", 2).await;
    assert_eq!(learned.former.as_deref(), Some(PHONE));
    assert!(muted(LID).await && muted(PHONE).await && muted("p:fresh@s").await);
    assert_eq!(learn(&store, LID, "p:fresh@s", "s", 3).await, Learned::default());
}

/// Whoever unlinks a person's conversation unlinks those under their other ids from the same space, else the next
/// message would bring it back; from another space, and of a group, nothing.
#[tokio::test]
async fn a_person_is_unlinked_under_all_ids() {
    const OLD_LID: &str = "p:245@lid";
    const BOB: &str = "p:973@s";
    for unlinked in [PHONE, LID, OLD_LID] {
        let (_folder, store) = store();
        for (at, (id, to)) in [(PHONE, "team"), (LID, "team"), (OLD_LID, "team"), ("p:246@lid", "other"), (BOB, "team")]
            .into_iter()
            .enumerate()
        {
            write(&store, id, id, None, None).await;
            link(&store, id, to).await;
            if id.ends_with("@lid") {
                learn(&store, id, PHONE, "key-alt", 9 - at as i64).await;
            }
        }
        let others: Vec<String> =
            [LID, OLD_LID, PHONE].into_iter().filter(|id| *id != unlinked).map(str::to_owned).collect();
        assert_eq!(store.unlink(unlinked).await.unwrap(), Some(others));
        for (event, id) in [("a", PHONE), ("b", LID), ("c", OLD_LID)] {
            let taken = write(&store, event, id, None, None).await.taken;
            assert!(matches!(taken[..], [Taken::Ignored]), "{unlinked}, {id}: {taken:?}");
        }
        let spaces = [space_of(&store, "p:246@lid").await, space_of(&store, BOB).await];
        assert_eq!(spaces, [Some("other".to_owned()), Some("team".to_owned())]);
    }
    let (_folder, store) = store();
    learn(&store, LID, PHONE, "key-alt", 1).await;
    for (id, group) in [(LID, None), ("p:g", Some("p:g"))] {
        write(&store, id, LID, group, None).await;
        link(&store, id, "team").await;
    }
    assert_eq!(store.unlink("p:g").await.unwrap(), Some(Vec::new()));
    // Nor does the space of another id count, whether this one had one or not, until somebody links it anew.
    write(&store, "n", PHONE, None, None).await;
    assert_eq!(space_of(&store, PHONE).await.as_deref(), Some("team"));
    link(&store, PHONE, "other").await;
    for again in ["x", "y"] {
        assert_eq!(store.unlink(PHONE).await.unwrap(), Some(Vec::new()), "{again}");
        assert!(matches!(write(&store, again, PHONE, None, None).await.taken[..], [Taken::Ignored]));
        assert_eq!((space_of(&store, PHONE).await, store.adoptable(PHONE).await.unwrap()), (None, None));
    }
    assert_eq!(space_of(&store, LID).await.as_deref(), Some("team"));
    assert_eq!(store.unlink("p:nowhere").await.unwrap(), None);
}
