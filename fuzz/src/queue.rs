//! Any order of what happens to messages and runs, with the host ended in between: nothing that was
//! accepted is lost, nothing is answered twice, and no run is prepared more often than allowed.

use std::collections::BTreeMap;

use mercury::{
    domain::{
        failure::Failure,
        ids::{RunId, SpaceId},
        run::{Container, MOST_ATTEMPTS, Recovery, Remains, RunState, recover},
        stages::Marks,
    },
    store::{NewInbound, NewOutbound, NewRun, Store},
};
use mercury_protocol::io::RunResult;

/// Events that are tried: few, so that they meet again.
const EVENTS: u8 = 6;

struct World {
    folder: tempfile::TempDir,
    store: Store,
    /// Accepted messages, each with the text that answered it first.
    accepted: BTreeMap<i64, Option<String>>,
    now: i64,
}

/// Every byte is one step.
///
/// # Panics
/// Where a promise is broken.
pub fn check(steps: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = open(&folder);
        let mut world = World { folder, store, accepted: BTreeMap::new(), now: 1 };
        for step in steps {
            world.now += 1;
            world.step(step % 9, step / 9).await;
            world.holds().await;
        }
        world.restart(0).await;
        world.holds().await;
    });
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("state.db")).expect("a database")
}

fn reply(inbound: i64, run: &RunId, text: &str) -> NewOutbound {
    NewOutbound {
        inbound,
        run: Some(run.clone()),
        reply: text.to_owned(),
        files: Vec::new(),
        problem: None,
        suppressed: false,
    }
}

impl World {
    async fn step(&mut self, what: u8, with: u8) {
        let store = &self.store;
        match what {
            0 | 1 => self.accept(with).await,
            2 => {
                for inbound in store.undecided().await.expect("rows") {
                    let run = NewRun {
                        id: RunId::from_stored(format!("{:04}", inbound.id)),
                        inbound: inbound.id,
                        role: "member".into(),
                        created_at: self.now,
                        marks: Marks::default(),
                    };
                    store.queue(run).await.expect("a row");
                }
            }
            3 => drop(store.take_next(self.now, Vec::new).await.expect("a row")),
            4 => {
                self.each(with, RunState::Preparing, async |store, run, now| drop(store.mark_running(&run, now).await))
                    .await
            }
            5 => {
                self.each(with, RunState::Running, async |store, run, _| {
                    let result = RunResult { ok: true, reply: Some("done".into()), ..RunResult::default() };
                    store.finish(&run, &result, Marks::default()).await.expect("a row");
                })
                .await;
            }
            6 => self.answer(with).await,
            7 => self.restart(with).await,
            _ => {
                let space = SpaceId::try_from(["a", "b"][usize::from(with % 2)].to_owned()).expect("a plain name");
                store.request_stop(&space).await.expect("rows");
            }
        }
    }

    async fn accept(&mut self, with: u8) {
        let space = SpaceId::try_from(["a", "b"][usize::from(with % 2)].to_owned()).expect("a plain name");
        self.store.create_space(&space, 1).await.expect("a row");
        let message = NewInbound {
            platform: "api".into(),
            event: (with % EVENTS).to_string(),
            space,
            conversation: "api:x".into(),
            author: "api:x".into(),
            author_name: None,
            text: "hello".into(),
            attachments: Vec::new(),
            received_at: self.now,
            chat: None,
        };
        let inbound = self.store.accept(message).await.expect("a row").id();
        self.accepted.entry(inbound).or_default();
    }

    /// Does it with one of the runs that are in this state.
    async fn each(&self, with: u8, state: RunState, act: impl AsyncFnOnce(&Store, RunId, i64)) {
        let unfinished = self.store.unfinished().await.expect("rows");
        let runs: Vec<RunId> =
            unfinished.into_iter().filter(|(run, _)| run.state == state).map(|(run, _)| run.id).collect();
        if let Some(run) = runs.get(usize::from(with) % runs.len().max(1)) {
            act(&self.store, run.clone(), self.now).await;
        }
    }

    async fn answer(&mut self, with: u8) {
        let unanswered = self.store.unanswered().await.expect("rows");
        let Some((run, ..)) = unanswered.get(usize::from(with) % unanswered.len().max(1)) else { return };
        let text = format!("answer {}", self.now);
        for text in [text.as_str(), "a second answer"] {
            let reply = reply(run.inbound, &run.id, text);
            self.store.answer(&run.id, reply, Marks::default(), self.now).await.expect("a row");
        }
        let known = self.accepted.get_mut(&run.inbound).expect("only what was accepted is answered");
        assert!(known.replace(text).is_none(), "answered again");
    }

    /// The host is gone and comes again; what it finds of each container says `with`.
    async fn restart(&mut self, with: u8) {
        self.store = open(&self.folder);
        for (index, (run, _)) in self.store.unfinished().await.expect("rows").into_iter().enumerate() {
            let bits = usize::from(with) >> index.min(3);
            let container = [Container::Gone, Container::Created, Container::Started][bits % 3];
            let remains = Remains { result: bits & 4 != 0, container };
            match recover(run.state, run.attempts, run.stop_requested, remains) {
                Recovery::Keep | Recovery::Adopt => {}
                Recovery::Requeue => self.store.requeue(&run.id).await.expect("a row"),
                Recovery::Stop => self.store.fail(&run.id, &Failure::Aborted, Marks::default()).await.expect("a row"),
                Recovery::Lost => self.store.fail(&run.id, &Failure::Lost, Marks::default()).await.expect("a row"),
            }
        }
    }

    async fn holds(&self) {
        let store = &self.store;
        let mut places: BTreeMap<i64, u32> = BTreeMap::new();
        let mut seen = |inbound: i64| *places.entry(inbound).or_default() += 1;
        store.undecided().await.expect("rows").iter().for_each(|inbound| seen(inbound.id));
        let unfinished = store.unfinished().await.expect("rows");
        unfinished.iter().for_each(|(run, _)| seen(run.inbound));
        store.unanswered().await.expect("rows").iter().for_each(|(run, ..)| seen(run.inbound));
        for (inbound, answer) in &self.accepted {
            let kept = store.answer_to(*inbound).await.expect("a row").map(|kept| kept.reply);
            assert_eq!(kept.as_ref(), answer.as_ref(), "the first answer stays");
            if kept.is_some() {
                seen(*inbound);
            }
        }
        let expected: BTreeMap<i64, u32> = self.accepted.keys().map(|inbound| (*inbound, 1)).collect();
        assert_eq!(places, expected, "each accepted message is in one place");
        assert!(unfinished.iter().all(|(run, _)| run.attempts <= MOST_ATTEMPTS));
        let active = unfinished.iter().filter(|(run, _)| run.state.is_active()).map(|(run, _)| run.space.clone());
        let active: Vec<SpaceId> = active.collect();
        assert!(
            active.iter().all(|space| active.iter().filter(|other| *other == space).count() == 1),
            "one run a space"
        );
    }
}
