use super::*;
use crate::{
    domain::{failure::Failure, ids::RunId, pause::Pause, stages::Marks},
    store::{NewOutbound, NewRun, Problem, Removal},
};

const HOUR: i64 = 3_600_000;
/// 2026-01-01T00:00:00Z
const NEW_YEAR: i64 = 1_767_225_600_000;

fn space(name: &str) -> SpaceId {
    SpaceId::try_from(name.to_owned()).unwrap()
}

fn hourly() -> PlannedTask {
    PlannedTask {
        space: space("main"),
        name: None,
        prompt: "what is new?".into(),
        cron: Some("0 * * * *".into()),
        at: None,
        timezone: None,
        silent: false,
        created_by: "api:ada".into(),
        place: Place::of_program("api:ada"),
        next_run_at: NEW_YEAR + HOUR,
        now: NEW_YEAR,
    }
}

fn reminder() -> PlannedTask {
    PlannedTask { cron: None, at: Some("2026-01-01T01:00Z".into()), ..hourly() }
}

struct Fixture {
    _folder: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        Self { _folder: folder, store }
    }

    async fn plan(&self, task: PlannedTask) -> i64 {
        match self.store.plan_task(task, 10).await.unwrap() {
            Planned::Done(task) => task.id,
            other => panic!("{other:?}"),
        }
    }

    async fn turn(&self, now: i64) -> Turns {
        self.store.turn_tasks(now, Admission::default()).await.unwrap()
    }

    /// Queues the run of a message, and ends it.
    async fn done(&self, inbound: i64, problem: Option<Problem>) {
        let id = RunId::from_stored(format!("run-{inbound}"));
        let run = NewRun { id: id.clone(), inbound, role: "admin".into(), created_at: 1, marks: Marks::default() };
        self.store.queue(run).await.unwrap();
        self.store.fail(&id, &Failure::Lost, Marks::default()).await.unwrap();
        let (reply, files) = ("here it is".to_owned(), Vec::new());
        let reply = NewOutbound { inbound, run: Some(id.clone()), reply, files, problem, suppressed: false };
        self.store.answer(&id, reply, Marks::default(), 2).await.unwrap();
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.store.read(move |db| db.query_row(sql, [], |row| row.get(0))).await.unwrap()
    }
}

/// storage.md #14
#[tokio::test]
async fn tasks_are_kept_listed_and_deleted() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.create_space(&space("team"), 1).await.unwrap();
    let (one, two) = (fixture.plan(hourly()).await, fixture.plan(reminder()).await);
    let three = fixture.plan(PlannedTask { space: space("team"), ..hourly() }).await;
    let all = Page::read(None, None).unwrap();
    let listed = async |of: Option<&SpaceId>| {
        store.tasks(of, &all).await.unwrap().into_iter().map(|task| task.id).collect::<Vec<_>>()
    };
    assert_eq!((listed(None).await, listed(Some(&space("main"))).await), (vec![one, two, three], vec![one, two]));
    let page = Page::read(Some("1"), Some(&format!("{one}."))).unwrap();
    assert_eq!(store.tasks(None, &page).await.unwrap().len(), 2, "one more than the page shows");
    let kept = store.task(None, one).await.unwrap().unwrap();
    assert_eq!((kept.cron.is_some(), kept.at, kept.silent, kept.active), (true, None, 0, 1));
    assert_eq!(store.task(Some(&space("team")), one).await.unwrap(), None);
    assert!(!store.remove_task(Some(&space("team")), one).await.unwrap(), "another space's");
    assert!(store.remove_task(Some(&space("main")), one).await.unwrap());
    assert!(!store.remove_task(None, one).await.unwrap());
    let later = fixture.plan(hourly()).await;
    store.remove_task(None, later).await.unwrap();
    assert!(fixture.plan(hourly()).await > later, "no number is given again");
    let nowhere = PlannedTask { space: space("nowhere"), ..hourly() };
    assert_eq!(store.plan_task(nowhere, 10).await.unwrap(), Planned::UnknownSpace);
    assert_eq!(store.plan_task(hourly(), 2).await.unwrap(), Planned::TooMany);
    match store.remove_space(&space("team"), "aside", 1, || Ok(())).await.unwrap() {
        Removal::Done(removed) => assert_eq!(removed.tasks, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.task(None, three).await.unwrap(), None);
}

/// pipeline.md #46 in its decisions: what is due becomes one message, and has its next time or is gone.
#[tokio::test]
async fn what_is_due_becomes_a_message_once() {
    let fixture = Fixture::new();
    let (hourly, reminder) = (fixture.plan(hourly()).await, fixture.plan(reminder()).await);
    assert_eq!(fixture.turn(NEW_YEAR + HOUR - 1).await.next, Some(NEW_YEAR + HOUR));
    let turns = fixture.turn(NEW_YEAR + HOUR + 5).await;
    assert_eq!((turns.begun.len(), turns.next), (2, Some(NEW_YEAR + 2 * HOUR)));
    let occasion = turns.begun[0].occasion.clone().unwrap();
    assert_eq!((occasion.task, occasion.due, occasion.by_hand), (hourly, NEW_YEAR + HOUR, false));
    assert_eq!(fixture.store.task(None, reminder).await.unwrap(), None);
    assert!(fixture.turn(NEW_YEAR + HOUR + 10).await.begun.is_empty());
    // A host that ends here decides them at its next start.
    let undecided = fixture.store.undecided().await.unwrap();
    let tasks: Vec<_> = undecided.iter().map(|inbound| inbound.occasion.as_ref().map(|it| it.task)).collect();
    assert_eq!(tasks, [Some(hourly), Some(reminder)]);
}

/// The clock is put back behind a time that has run: it does not run again, and the next one does.
#[tokio::test]
async fn a_clock_that_is_put_back_repeats_nothing() {
    let fixture = Fixture::new();
    let id = fixture.plan(hourly()).await;
    let first = fixture.turn(NEW_YEAR + HOUR).await.begun.remove(0);
    fixture.done(first.id, None).await;
    fixture.store.aim_tasks(NEW_YEAR + HOUR / 2).await.unwrap();
    let next = async || fixture.store.task(None, id).await.unwrap().unwrap().next_run_at;
    assert_eq!(next().await, NEW_YEAR + HOUR, "aimed anew");
    assert!(fixture.turn(NEW_YEAR + HOUR).await.begun.is_empty(), "it was there before");
    assert_eq!(next().await, NEW_YEAR + 2 * HOUR);
    assert_eq!(fixture.turn(NEW_YEAR + 2 * HOUR).await.begun.len(), 1);
    // Put forward by years and back: it does not wait for years.
    fixture.store.write(move |db| db.execute("UPDATE tasks SET next_run_at = 9999999999999", [])).await.unwrap();
    fixture.store.aim_tasks(NEW_YEAR + 3 * HOUR).await.unwrap();
    assert_eq!(next().await, NEW_YEAR + 4 * HOUR);
}

/// Weaknesses W4 to W6: what is not over delays nobody else, and what is broken stops alone.
#[tokio::test]
async fn tasks_do_not_harm_each_other() {
    let fixture = Fixture::new();
    let (slow, broken, good) =
        (fixture.plan(hourly()).await, fixture.plan(hourly()).await, fixture.plan(hourly()).await);
    let sql = "UPDATE tasks SET cron = 'broken' WHERE id = ?1";
    fixture.store.write(move |db| db.execute(sql, [broken])).await.unwrap();
    let turns = fixture.turn(NEW_YEAR + HOUR).await;
    let begun: Vec<_> = turns.begun.iter().map(|inbound| inbound.occasion.as_ref().unwrap().task).collect();
    assert_eq!((begun, turns.stopped.len()), (vec![slow, good], 1));
    let stopped = fixture.store.task(None, broken).await.unwrap().unwrap();
    assert!(stopped.active == 0 && stopped.note.unwrap().contains("broken"));
    fixture.done(turns.begun[1].id, None).await;
    let turns = fixture.turn(NEW_YEAR + 2 * HOUR).await;
    assert_eq!((turns.begun.len(), turns.skipped), (1, vec![slow]));
    let slow = fixture.store.task(None, slow).await.unwrap().unwrap();
    assert_eq!((slow.active, slow.next_run_at), (1, NEW_YEAR + 3 * HOUR), "left out, not for ever");
}

#[tokio::test]
async fn what_is_held_comes_later() {
    let fixture = Fixture::new();
    fixture.plan(reminder()).await;
    fixture.plan(hourly()).await;
    let (main, store) = (space("main"), &fixture.store);
    store.pause(&main, Pause { until: None }, "api:ada", "api:ada", NEW_YEAR).await.unwrap();
    let turns = fixture.turn(NEW_YEAR + 5 * HOUR).await;
    assert!(turns.held && turns.begun.is_empty());
    store.resume(&main, "api:ada", NEW_YEAR).await.unwrap();
    // Half of the room is for people.
    let room = Admission { most_queued_in_space: 2, ..Admission::default() };
    let turns = store.turn_tasks(NEW_YEAR + 5 * HOUR, room).await.unwrap();
    assert_eq!((turns.begun.len(), turns.held), (1, true));
    fixture.done(turns.begun[0].id, None).await;
    let turns = store.turn_tasks(NEW_YEAR + 5 * HOUR, room).await.unwrap();
    assert_eq!((turns.begun.len(), turns.held), (1, false));
}

/// Weakness W8: one that has rested for long does not run at once, but what was to come once still comes.
#[tokio::test]
async fn rest_and_go_on() {
    let fixture = Fixture::new();
    let (hourly, reminder) = (fixture.plan(hourly()).await, fixture.plan(reminder()).await);
    let store = &fixture.store;
    for id in [hourly, reminder] {
        assert_eq!(store.set_task_active(None, id, false, NEW_YEAR).await.unwrap().unwrap().active, 0);
        assert_eq!(store.request_task(&space("main"), id, NEW_YEAR).await.unwrap(), Requested::Paused);
    }
    let late = NEW_YEAR + 5 * HOUR + 1;
    assert!(fixture.turn(late).await.begun.is_empty());
    assert_eq!(store.set_task_active(Some(&space("team")), hourly, true, late).await.unwrap(), None);
    let next = async |id| store.set_task_active(None, id, true, late).await.unwrap().unwrap().next_run_at;
    assert_eq!(next(hourly).await, NEW_YEAR + 6 * HOUR);
    assert_eq!(next(reminder).await, NEW_YEAR + HOUR);
    let turns = fixture.turn(late).await;
    assert_eq!(turns.begun.len(), 1);
    assert_eq!(turns.begun[0].occasion.as_ref().unwrap().task, reminder);
    assert_eq!(next(hourly).await, NEW_YEAR + 6 * HOUR, "one that goes on is not put off");
}

/// A run by hand leaves the schedule as it is, and there is one at a time.
#[tokio::test]
async fn by_hand() {
    let fixture = Fixture::new();
    let id = fixture.plan(reminder()).await;
    let store = &fixture.store;
    let request = async |at| store.request_task(&space("main"), id, at).await.unwrap();
    assert_eq!(store.request_task(&space("team"), id, 1).await.unwrap(), Requested::Unknown);
    assert_eq!((request(NEW_YEAR + 1).await, request(NEW_YEAR + 2).await), (Requested::Noted, Requested::Noted));
    let turns = fixture.turn(NEW_YEAR + 3).await;
    let occasion = turns.begun[0].occasion.clone().unwrap();
    assert_eq!((turns.begun.len(), occasion.by_hand, occasion.due), (1, true, NEW_YEAR + 1));
    assert_eq!(request(NEW_YEAR + 4).await, Requested::Busy);
    assert!(fixture.turn(NEW_YEAR + HOUR).await.held, "what comes once waits for it");
    fixture.done(turns.begun[0].id, None).await;
    assert_eq!(request(NEW_YEAR + 5).await, Requested::Noted);
    let turns = fixture.turn(NEW_YEAR + HOUR).await;
    assert!(!turns.begun[0].occasion.as_ref().unwrap().by_hand, "one run for both");
    assert_eq!(store.task(None, id).await.unwrap(), None);
}

#[tokio::test]
async fn failures_in_a_row_end_a_task() {
    let fixture = Fixture::new();
    let id = fixture.plan(hourly()).await;
    let failure = async |message| fixture.store.task_failed(id, message, "no model".into(), 1).await.unwrap();
    assert_eq!((failure(1).await, failure(1).await), (1, 1), "a host that looks at it again counts it once");
    assert_eq!(failure(2).await, 2);
    let message = std::cell::Cell::new(2);
    let failed = async || failure(message.replace(message.get() + 1) + 1).await;
    fixture.store.task_went_well(id).await.unwrap();
    for count in 1..MOST_FAILURES {
        assert_eq!(failed().await, count);
    }
    assert_eq!(fixture.store.task(None, id).await.unwrap().unwrap().active, 1);
    assert_eq!(failed().await, MOST_FAILURES);
    let stopped = fixture.store.task(None, id).await.unwrap().unwrap();
    assert_eq!((stopped.active, stopped.note.as_deref()), (0, Some("no model")));
    fixture.store.set_task_active(None, id, true, NEW_YEAR).await.unwrap();
    assert_eq!(failed().await, 1, "whoever lets it go on has mended it");
    assert_eq!(fixture.store.task_failed(4711, 1, "gone".into(), 1).await.unwrap(), 1, "what came once is gone");
}

/// Weakness W22, pipeline.md #46: an answer goes to one conversation, that of a silent task nowhere, whatever
/// becomes of it; and a conversation that left the space gets nothing.
#[tokio::test]
async fn where_an_answer_goes() {
    let fixture = Fixture::new();
    let conversations = "INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES
        ('p:group', 'p', 0, 'main', 1, 9), ('p:ada', 'p', 1, 'main', 1, 1), ('p:other', 'p', 0, 'main', 1, 1)";
    fixture.store.write(move |db| db.execute(conversations, [])).await.unwrap();
    let group = Place { platform: "p".into(), conversation: "p:group".into(), thread: Some("7".into()), direct: false };
    let told = fixture.plan(PlannedTask { place: group.clone(), ..hourly() }).await;
    let silent = fixture.plan(PlannedTask { place: group.clone(), silent: true, ..hourly() }).await;
    let turns = fixture.turn(NEW_YEAR + HOUR).await;
    for inbound in &turns.begun {
        let problem =
            Problem { code: "lost".into(), status: 500, detail: "x".into(), next: String::new(), again_at: None };
        fixture.done(inbound.id, (inbound.occasion.as_ref().unwrap().task == silent).then_some(problem)).await;
    }
    let heads = fixture.store.heads().await.unwrap();
    let [(delivery, _)] = &heads[..] else { panic!("{heads:?}") };
    let new = &delivery.new;
    assert_eq!(
        (new.conversation.as_str(), new.thread.as_deref(), new.reply_to.as_deref()),
        ("p:group", Some("7"), None)
    );
    assert_eq!(fixture.count("SELECT count(*) FROM messages").await, 2, "a silent task is no part of the conversation");
    assert_eq!(fixture.count("SELECT count(*) FROM outbound WHERE state = 'suppressed'").await, 1);
    assert_eq!(fixture.count("SELECT count(*) FROM members").await, 0, "nobody becomes a member by the clock");
    assert!(fixture.store.at_work("p").await.unwrap().is_empty());

    fixture.store.link("p:group", None).await.unwrap();
    let turns = fixture.turn(NEW_YEAR + 2 * HOUR).await;
    assert_eq!(turns.stopped.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [told]);
    assert_eq!(turns.begun.len(), 1, "the silent one answers to nobody");
}

#[tokio::test]
async fn the_conversation_that_is_meant() {
    let fixture = Fixture::new();
    let link = |id: &'static str, direct: bool| {
        let sql = "INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES (?1, 'p', ?2, 'main', 1, 1)";
        fixture.store.write(move |db| db.execute(sql, params![id, direct]))
    };
    let meant = async |person: &str| match fixture.store.task_place(&space("main"), person).await.unwrap() {
        Found::One(place) => place.conversation,
        other => format!("{other:?}"),
    };
    assert_eq!(meant("p:ada").await, "Nobody");
    link("p:group", false).await.unwrap();
    assert_eq!(meant("p:ada").await, "p:group", "the only one");
    link("p:ada", true).await.unwrap();
    assert_eq!((meant("p:ada").await.as_str(), meant("p:bob").await.as_str()), ("p:ada", "Several"));
    let written = NewInbound {
        platform: "p".into(),
        event: "1".into(),
        space: space("main"),
        conversation: "p:dm-9".into(),
        author: "p:bob".into(),
        author_name: None,
        text: "hi".into(),
        attachments: Vec::new(),
        received_at: 1,
        chat: Some(Chat { message_id: "1".into(), direct: true, ..Chat::default() }),
    };
    fixture.store.accept(written).await.unwrap();
    assert_eq!(meant("p:bob").await, "Several", "it is not of the space");
    link("p:dm-9", true).await.unwrap();
    assert_eq!(meant("p:bob").await, "p:dm-9", "where he has written to the bot alone");
    let in_team = fixture.store.task_place_in(&space("team"), "p:group").await.unwrap();
    assert_eq!(in_team, None);
    assert_eq!(fixture.store.task_place_in(&space("main"), "p:group").await.unwrap().unwrap().conversation, "p:group");
}
