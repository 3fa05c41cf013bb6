use super::*;
use crate::domain::{admins::Admins, ids::SpaceId, roles::with_media, trigger::Rules};

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    (folder, store)
}

fn main() -> SpaceId {
    SpaceId::try_from("main".to_owned()).unwrap()
}

fn said(event: &str, conversation: &str, text: &str) -> NewHappening {
    let message = NewMessage {
        conversation: Seen { id: conversation.into(), direct: false, title: None, address: None },
        author: "p:ada".into(),
        author_name: Some("Ada".into()),
        text: text.into(),
        attachments: Vec::new(),
        mentions_bot: false,
        chat: Chat { message_id: event.into(), ..Chat::default() },
        received_at: 1,
    };
    NewHappening { event: event.into(), happening: Happening::Message(Box::new(message)) }
}

async fn take(store: &Store, all: Vec<NewHappening>, cursor: &str, most: u32) -> Option<Vec<Taken>> {
    take_at(store, all, cursor, most, 1).await
}

async fn take_at(store: &Store, all: Vec<NewHappening>, cursor: &str, most: u32, now: i64) -> Option<Vec<Taken>> {
    store
        .take(
            "plugin",
            "p",
            Batch {
                happenings: all,
                cursor: Some(cursor.into()),
                auto: None,
                trigger: Rules::new(trigger::Mode::Mention, vec!["Mercury".into()], "bot"),
                room: Room { most, share: most, one: most },
            },
            now,
        )
        .await
        .unwrap()
        .map(|batch| batch.taken)
}

async fn linked() -> (tempfile::TempDir, Store) {
    let (folder, store) = store().await;
    assert!(matches!(take(&store, vec![said("0", "p:g", "x")], "0", 9).await.unwrap()[..], [Taken::Ignored]));
    assert!(store.link("p:g", Some(&main())).await.unwrap());
    (folder, store)
}

/// adapters.md #18, and bounded intake: what is not taken moves no cursor.
#[tokio::test]
async fn the_cursor_moves_with_the_events() {
    let (_folder, store) = linked().await;
    assert!(take(&store, vec![said("1", "p:g", "a"), said("2", "p:g", "b")], "2", 2).await.is_some());
    assert_eq!(store.cursor("plugin").await.unwrap().as_deref(), Some("2"));
    assert!(take(&store, vec![said("3", "p:g", "c")], "3", 2).await.is_none(), "two wait already");
    assert_eq!(store.cursor("plugin").await.unwrap().as_deref(), Some("2"));
    // What is no message is no burden.
    let removed = NewHappening { event: "4".into(), happening: Happening::Removed { conversation: "p:x".into() } };
    assert!(take(&store, vec![removed], "4", 2).await.is_some());
    assert_eq!(store.cursor("other").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_overheard_follows_its_message() {
    let (_folder, store) = linked().await;
    let taken = take(&store, vec![said("1", "p:g", "lunch at noon")], "1", 9).await.unwrap();
    let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
    for _ in 0..2 {
        store.overhear(inbound.id).await.unwrap();
    }
    let ambient = async || {
        let history = store.history(&main(), "p:g", "", 9).await.unwrap();
        history.into_iter().map(|message| message.content).collect::<Vec<_>>()
    };
    assert_eq!(ambient().await, ["Ada: lunch at noon"]);
    let on = |happening| vec![NewHappening { event: "e".into(), happening }];
    let (conversation, message) = ("p:g".to_owned(), "1".to_owned());
    let edit =
        Happening::Edited { conversation: conversation.clone(), message: message.clone(), text: "lunch at one".into() };
    take(&store, on(edit), "2", 9).await.unwrap();
    assert_eq!(ambient().await, ["Ada: lunch at one"]);
    take(&store, on(Happening::Deleted { conversation, message }), "3", 9).await.unwrap();
    assert!(ambient().await.is_empty());
}

/// adapters.md #19: the space and what waits there go along, also where the new id was seen before.
#[tokio::test]
async fn a_conversation_moves() {
    let (_folder, store) = linked().await;
    take(&store, vec![said("1", "p:g", "x"), said("2", "p:new", "y")], "1", 9).await.unwrap();
    let moved = Happening::Moved { from: "p:g".into(), to: "p:new".into() };
    take(&store, vec![NewHappening { event: "m".into(), happening: moved }], "2", 9).await.unwrap();
    assert_eq!(store.conversation("p:g").await.unwrap(), None);
    assert_eq!(store.conversation("p:new").await.unwrap().unwrap().space.as_deref(), Some("main"));
    assert_eq!(store.undecided().await.unwrap()[0].message.conversation, "p:new");
    let again = take(&store, vec![said("1", "p:new", "x")], "3", 9).await.unwrap();
    assert!(matches!(again[..], [Taken::Duplicate]), "the same event");
    // There messages are numbered anew.
    let taken = take(&store, vec![numbered("3", "1", 9), numbered("4", "1", 9)], "4", 9).await.unwrap();
    assert!(matches!(taken[..], [Taken::New(_), Taken::Duplicate]), "{taken:?}");
}

/// An event about the message of this number in `p:new`.
fn numbered(event: &str, number: &str, received_at: i64) -> NewHappening {
    let mut new = said(event, "p:new", "x");
    let Happening::Message(message) = &mut new.happening else { panic!("a message") };
    (message.chat.message_id, message.received_at) = (number.into(), received_at);
    new
}

/// Numbers are a platform's own, and it may begin anew, for a bot with another token for one: what has the number
/// of something long ago is no second delivery of that.
#[tokio::test]
async fn a_number_comes_again() {
    let (_folder, store) = linked().await;
    take(&store, vec![said("seen", "p:new", "x")], "1", 9).await.unwrap();
    store.link("p:new", Some(&main())).await.unwrap();
    for (event, received_at, is_new) in
        [("a", 0, true), ("b", SAME_MESSAGE - 1, false), ("c", SAME_MESSAGE + 1, true), ("d", SAME_MESSAGE + 2, false)]
    {
        let taken = take(&store, vec![numbered(event, "7", received_at)], event, 9).await.unwrap();
        assert_eq!(matches!(taken[..], [Taken::New(_)]), is_new, "{event}: {taken:?}");
    }
    let new = super::super::NewDelivery {
        message: "m".into(),
        platform: "p".into(),
        conversation: "p:new".into(),
        thread: None,
        reply_to: None,
        text: "hi".into(),
        choices: Vec::new(),
    };
    store.send(new, 1).await.unwrap();
    let (delivery, _) = store.heads().await.unwrap().remove(0);
    store.sent(&delivery, vec!["8".into()], 2).await.unwrap();
    for (event, now, is_own) in [("e", SAME_MESSAGE, true), ("f", SAME_MESSAGE + 9, false)] {
        let taken = take_at(&store, vec![numbered(event, "8", now)], event, 9, now).await.unwrap();
        assert_eq!(matches!(taken[..], [Taken::Ignored]), is_own, "{event}: {taken:?}");
    }
}

/// What is edited, deleted and quoted by a number that came again is what has the number now.
#[tokio::test]
async fn a_number_means_what_has_it_now() {
    let (_folder, store) = linked().await;
    let hear = async |event: &str, now: i64| {
        let mut new = said(event, "p:g", event);
        let Happening::Message(message) = &mut new.happening else { panic!("a message") };
        (message.chat.message_id, message.received_at) = ("5".into(), now);
        message.chat.quoted = Some(quote("5"));
        let taken = take_at(&store, vec![new], event, 9, now).await.unwrap();
        let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
        store.overhear(inbound.id).await.unwrap();
        inbound.message.chat.as_ref().unwrap().quoted.as_ref().unwrap().known
    };
    let (conversation, message) = ("p:g".to_owned(), "5".to_owned());
    let deleted = Happening::Deleted { conversation: conversation.clone(), message: message.clone() };
    let edited = |text: &str| Happening::Edited {
        conversation: conversation.clone(),
        message: message.clone(),
        text: text.to_owned(),
    };
    let apply = async |happening| {
        let taken = take(&store, vec![NewHappening { event: "e".into(), happening }], "c", 9).await.unwrap();
        matches!(taken[..], [Taken::Applied])
    };
    let record = async || {
        let history = store.history(&main(), "p:g", "", 9).await.unwrap();
        history.into_iter().map(|message| message.content).collect::<Vec<_>>()
    };
    hear("old", 0).await;
    hear("new", SAME_MESSAGE + 1).await;
    assert!(apply(edited("newer")).await);
    assert_eq!(record().await, ["Ada: old", "Ada: newer"]);
    assert!(apply(deleted.clone()).await);
    assert!(!apply(deleted.clone()).await);
    assert_eq!(record().await, ["Ada: old"]);
    // Now the bot has it, and then again a person.
    let new = super::super::NewDelivery {
        message: "m".into(),
        platform: "p".into(),
        conversation: "p:g".into(),
        thread: None,
        reply_to: None,
        text: "hi".into(),
        choices: Vec::new(),
    };
    store.send(new, SAME_MESSAGE + 2).await.unwrap();
    let (delivery, _) = store.heads().await.unwrap().remove(0);
    store.sent(&delivery, vec!["5".into()], SAME_MESSAGE + 3).await.unwrap();
    assert!(!apply(edited("not hers")).await && !apply(deleted).await);
    assert!(hear("newest", 3 * SAME_MESSAGE).await, "as it was when it was quoted");
    assert!(apply(edited("the last")).await);
    assert_eq!(record().await, ["Ada: old", "Ada: the last"]);
    assert!(!hear("and again", 5 * SAME_MESSAGE).await, "a person's");
}

fn quoting(event: &str, text: &str) -> NewHappening {
    let mut new = said(event, "p:g", text);
    let Happening::Message(message) = &mut new.happening else { panic!() };
    message.chat.quoted = Some(crate::domain::chat::Quoted { from_bot: true, ..quote("b1") });
    new
}

fn quote(number: &str) -> crate::domain::chat::Quoted {
    crate::domain::chat::Quoted {
        message_id: Some(number.into()),
        author: None,
        author_name: None,
        text: "?".into(),
        from_bot: false,
        known: false,
    }
}

/// An answer to the bot is fixed as it was when guards saw it.
#[tokio::test]
async fn an_edit_does_not_change_what_is_asked() {
    let (_folder, store) = linked().await;
    let taken = take(&store, vec![quoting("1", "harmless")], "1", 9).await.unwrap();
    let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
    let edited = Happening::Edited { conversation: "p:g".into(), message: "1".into(), text: "evil".into() };
    take(&store, vec![NewHappening { event: "2".into(), happening: edited }], "2", 9).await.unwrap();
    let undecided = store.undecided().await.unwrap().remove(0);
    assert_eq!(undecided.message.text, "evil");
    let chat = undecided.message.chat.unwrap();
    assert_eq!((chat.prompt("evil"), inbound.message.text.as_str()), (Some("harmless"), "harmless"));
}

/// Who writes without end takes the room of one, and loses only what is his own.
#[tokio::test]
async fn a_flood_has_its_share() {
    let (_folder, store) = linked().await;
    let room = Room { most: 4, share: 2, one: 3 };
    let bring = async |event: &str, conversation: &str| {
        let batch = Batch {
            happenings: vec![said(event, conversation, "x")],
            cursor: None,
            auto: None,
            trigger: Default::default(),
            room,
        };
        store.take("plugin", "p", batch, 1).await.unwrap().map(|batch| matches!(batch.taken[..], [Taken::New(_)]))
    };
    for event in ["1", "2", "3"] {
        assert_eq!(bring(event, "p:g").await, Some(true));
    }
    assert_eq!(bring("4", "p:g").await, Some(false), "three wait");
    bring("5", "p:h").await;
    store.link("p:h", Some(&main())).await.unwrap();
    assert_eq!(bring("6", "p:h").await, Some(true), "of the flood two count");
    assert_eq!(bring("7", "p:h").await, Some(true));
    assert_eq!(bring("8", "p:h").await, None, "full: nothing is taken, and nothing lost");
}

/// What the bot said is not said to it.
#[tokio::test]
async fn its_own_words_call_nobody() {
    let (_folder, store) = linked().await;
    let new = super::super::NewDelivery {
        message: "m".into(),
        platform: "p".into(),
        conversation: "p:g".into(),
        thread: None,
        reply_to: None,
        text: "hi".into(),
        choices: Vec::new(),
    };
    assert!(store.send(new, 1).await.unwrap());
    let (delivery, _) = store.heads().await.unwrap().remove(0);
    // It moves while the message is on its way.
    let moved = Happening::Moved { from: "p:g".into(), to: "p:new".into() };
    take(&store, vec![NewHappening { event: "m".into(), happening: moved }], "1", 9).await.unwrap();
    store.sent(&delivery, vec!["b1".into()], 2).await.unwrap();
    assert!(matches!(take(&store, vec![said("b1", "p:new", "hi")], "2", 9).await.unwrap()[..], [Taken::Ignored]));
    assert!(matches!(take(&store, vec![said("b2", "p:new", "hi")], "3", 9).await.unwrap()[..], [Taken::New(_)]));
}

/// storage.md #27, pipeline.md #4: unlinked at first, linked and unlinked by the operator, fresh at each contact.
#[tokio::test]
async fn a_conversation_is_seen_again_and_again() {
    let (_folder, store) = store().await;
    let contact = async |event: &str, title: Option<&str>, now: i64| {
        let mut new = said(event, "p:g", "x");
        let Happening::Message(message) = &mut new.happening else { panic!("a message") };
        message.conversation.title = title.map(str::to_owned);
        let batch = Batch {
            happenings: vec![new],
            cursor: None,
            auto: None,
            trigger: Default::default(),
            room: Room { most: 9, share: 9, one: 9 },
        };
        store.take("plugin", "p", batch, now).await.unwrap();
        store.conversation("p:g").await.unwrap().unwrap()
    };
    let first = contact("1", None, 10).await;
    assert_eq!((first.space, first.first_seen, first.last_seen, first.title), (None, 10, 10, None));
    assert!(store.link("p:g", Some(&main())).await.unwrap());
    assert!(!store.link("p:nowhere", Some(&main())).await.unwrap());
    let second = contact("2", Some("Family"), 20).await;
    assert_eq!((second.space.as_deref(), second.first_seen, second.last_seen), (Some("main"), 10, 20));
    let third = contact("3", None, 30).await;
    assert_eq!((third.title.as_deref(), third.last_seen), (Some("Family"), 30), "no title keeps the old one");
    assert!(store.link("p:g", None).await.unwrap());
    assert_eq!(store.conversation("p:g").await.unwrap().unwrap().space, None);
}

/// storage.md #28: a conversation and its threads, not what only begins alike, and nothing is a wildcard.
#[tokio::test]
async fn the_bot_leaves_a_conversation_with_its_threads() {
    let (_folder, store) = store().await;
    let all = ["p:12", "p:12:7", "p:123", "p:1_", "p:%"];
    for (number, id) in all.into_iter().enumerate() {
        take(&store, vec![said(&format!("{number}"), id, "x")], "c", 9).await.unwrap();
        assert!(store.link(id, Some(&main())).await.unwrap());
    }
    let linked = async || {
        let mut ids: Vec<_> = store.conversations_of(&main()).await.unwrap().into_iter().map(|it| it.id).collect();
        ids.sort();
        ids
    };
    for (removed, left) in [
        ("p:1_", vec!["p:%", "p:12", "p:123", "p:12:7"]),
        ("p:%", vec!["p:12", "p:123", "p:12:7"]),
        ("p:12", vec!["p:123"]),
    ] {
        let happening = Happening::Removed { conversation: removed.into() };
        take(&store, vec![NewHappening { event: removed.into(), happening }], "c", 9).await.unwrap();
        assert_eq!(linked().await, left, "{removed}");
    }
}

/// pipeline.md section 5: what calls the bot is the space's to say, and fixed when the message is taken.
#[tokio::test]
async fn a_space_says_what_calls_the_bot() {
    let (_folder, store) = linked().await;
    let asked = async |event: &str, text: &str| {
        let taken = take(&store, vec![said(event, "p:g", text)], "c", 99).await.unwrap();
        let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
        inbound.message.chat.as_ref().unwrap().prompt.clone()
    };
    assert_eq!(asked("1", "Mercury hi").await.as_deref(), Some("hi"));
    let values =
        vec![("trigger.patterns", Some("Ada".to_owned())), ("trigger.case_sensitive", Some("true".to_owned()))];
    store.set_space_settings(Some(&main()), values, "x", 1).await.unwrap();
    assert_eq!(asked("2", "Mercury hi").await, None);
    assert_eq!(asked("3", "ada hi").await, None);
    assert_eq!(asked("4", "Ada hi").await.as_deref(), Some("hi"));
    store.set_space_settings(Some(&main()), vec![("trigger.match", Some("always".to_owned()))], "x", 1).await.unwrap();
    assert_eq!(asked("5", "anything").await.as_deref(), Some("anything"));
    let undecided = store.undecided().await.unwrap();
    assert_eq!(undecided[1].message.chat.as_ref().unwrap().prompt, None, "it was said before");
}

/// pipeline.md #7 (what calls the bot, and context, need no word of a direct conversation here), #8: what is configured
/// is written for a new space and never again; a group gets none, and who is named gets `main` as it is.
#[tokio::test]
async fn a_direct_conversation_gets_a_space() {
    let (_folder, store) = store().await;
    let auto = AutoSpace {
        admins: Admins::new(["p:boss"]),
        member_permissions: Some(with_media(vec!["prompt".into()])),
        system_prompt: Some("Be brief.".into()),
    };
    let contact = async |event: &str, direct: bool, author: &str, auto: &AutoSpace| {
        let mut new = said(event, &format!("{author}-{direct}"), "x");
        let Happening::Message(message) = &mut new.happening else { panic!("a message") };
        (message.conversation.direct, message.chat.direct, message.author) = (direct, direct, author.into());
        let auto = Some(auto.clone());
        let room = Room { most: 9, share: 9, one: 9 };
        let batch = Batch { happenings: vec![new], cursor: None, auto, trigger: Default::default(), room };
        store.take("plugin", "p", batch, 5).await.unwrap();
        store.conversation(&format!("{author}-{direct}")).await.unwrap().unwrap().space
    };
    let seeds = async || {
        let rows = |db: &rusqlite::Connection| {
            db.prepare(
                "SELECT space || ' ' || role || ' ' || permissions || ' ' || updated_by FROM role_permissions
                 UNION ALL SELECT space || ' ' || key || ' ' || value || ' ' || updated_by FROM space_settings",
            )?
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()
        };
        store.read(rows).await.unwrap()
    };
    assert_eq!(contact("1", false, "p:ada", &auto).await, None);
    assert_eq!(contact("2", true, "p:boss", &auto).await.as_deref(), Some("main"));
    assert!(seeds().await.is_empty());
    assert_eq!(contact("3", true, "p:ada", &auto).await.as_deref(), Some("dm-p-ada-true"));
    let seeded = [
        r#"dm-p-ada-true member ["prompt","media.receive","media.send"] dm-auto-space"#,
        "dm-p-ada-true system_prompt Be brief. dm-auto-space",
    ];
    assert_eq!(seeds().await, seeded);
    let other = AutoSpace { system_prompt: Some("Be long.".into()), ..auto.clone() };
    assert_eq!(contact("4", true, "p:ada", &other).await.as_deref(), Some("dm-p-ada-true"));
    assert_eq!(seeds().await, seeded, "the second message reuses the space as it is");
    assert!(store.link("p:ada-true", None).await.unwrap());
    assert_eq!(contact("6", true, "p:ada", &other).await.as_deref(), Some("dm-p-ada-true"));
    assert_eq!(seeds().await, seeded, "a space that is there is linked as it is");
    let nothing = AutoSpace::default();
    assert!(contact("5", true, "p:eve", &nothing).await.is_some());
    assert_eq!(seeds().await.len(), 2, "nothing is written of what is not configured");
}

/// pipeline.md #43: an answer without a word and a file is not sent; either alone is.
#[tokio::test]
async fn what_says_nothing_is_not_sent() {
    use super::super::{NewOutbound, OutboundFile};
    let (_folder, store) = linked().await;
    let file = OutboundFile {
        filename: "a".into(),
        mime_type: "text/plain".into(),
        size_bytes: 1,
        path: "delivery/r/0".into(),
    };
    let sent = async |event: &str, reply: &str, files: Vec<OutboundFile>| {
        let taken = take(&store, vec![said(event, "p:g", "hi")], "c", 9).await.unwrap();
        let [Taken::New(inbound)] = &taken[..] else { panic!("{taken:?}") };
        let (inbound, reply) = (inbound.id, reply.to_owned());
        let reply = NewOutbound { inbound, run: None, reply, files, problem: None, suppressed: false };
        store.refuse(reply, 1).await.unwrap();
        let count = "SELECT count(*) FROM deliveries";
        store.read(|db| db.query_row(count, [], |row| row.get::<_, i64>(0))).await.unwrap()
    };
    assert_eq!(sent("1", " \n", Vec::new()).await, 0);
    assert_eq!(sent("2", "", vec![file]).await, 1);
    assert_eq!(sent("3", "word", Vec::new()).await, 2);
}
