//! The proof of durability: many messages, a host that is killed again and again, and a count of what came back.
//!
//! A message goes all of its way: from a chat platform through its adapter, the queue, a container and back to
//! the platform. Platform and engine live in this process and remember; the host is the built binary. At the end
//! each message must have one answer, and nothing may be left of any run.

mod killer;
pub mod ledger;
mod senders;
mod soak;
mod verdict;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ledger::Ledger;
pub use soak::{Soak, soak};
pub use verdict::Verdict;

use crate::{
    engine::Engine,
    host::{Host, Setup},
    plugins::fixture,
    points::{Point, Trap},
};

/// After which a host that does not get on is said to have lost what is unanswered.
const STALLED: Duration = Duration::from_secs(60);
/// How long the clearing up behind the last answer may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// A connection that a dying host had opened is taken by then.
const ARRIVES_WITHIN: Duration = Duration::from_millis(10);
/// What a start does behind its being healthy, it has begun by then.
const PASSED_WITHIN: Duration = Duration::from_millis(500);
/// Copies of sent files stay for days; this is how much older they are made.
const AGED: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least so many; more where a point was not reached by then.
    pub messages: usize,
    pub spaces: usize,
    /// Of what is written, where the host is killed, and when.
    pub seed: u64,
    /// How often it is killed at each point, at least.
    pub kills: usize,
    /// Runs at once.
    pub concurrency: usize,
    pub log_level: &'static str,
}

/// A host between a platform and an engine.
struct Stage {
    plan: Plan,
    host: Host,
    engine: Engine,
    ledger: Arc<Ledger>,
    trap: Trap,
}

impl Stage {
    async fn set(plan: Plan, engine: Engine, trap: Trap) -> Self {
        let ledger = Arc::new(Ledger::start(trap.clone()).await);
        let yaml = format!("plugins:\n  ledger:\n    stand_ins:\n      ledger.example.com: {}\n", ledger.url());
        let host = Setup::on(&engine.host(), "runc", &engine.image())
            .yaml(&yaml)
            .set("MERCURY_LOG_LEVEL", plan.log_level)
            .set("MERCURY_DM_AUTO_SPACE_ENABLED", "true")
            .set("MERCURY_MAX_CONCURRENCY", &plan.concurrency.to_string())
            .set("MERCURY_MAX_QUEUED", "0")
            .set("MERCURY_MAX_QUEUED_PER_SPACE", "0")
            .set("MERCURY_AGENT_NETWORK", "none")
            .prepare();
        install(&host);
        Self { plan, host, engine, ledger, trap }
    }

    /// Starts the host where none runs. With a point of a start, that host is killed there, if it passes it, and
    /// another one follows. Returns whether it was killed.
    async fn start(&mut self, fatal: Option<Point>) -> bool {
        self.host.spawn();
        let Some(point) = fatal else {
            assert!(self.is_up().await, "somebody else killed the host");
            return false;
        };
        self.trap.arm(point, self.host.pid());
        // What comes last in a start comes a moment after it is healthy.
        let passed = self.is_up().await && tokio::time::timeout(PASSED_WITHIN, self.trap.sprung()).await.is_err();
        if passed && self.trap.disarm() {
            return false;
        }
        if passed {
            self.trap.sprung().await;
        }
        self.bury().await;
        self.host.spawn();
        assert!(self.is_up().await, "somebody else killed the host");
        true
    }

    /// Behind a kill.
    async fn bury(&mut self) {
        self.host.kill();
        // What it had begun arrives.
        tokio::time::sleep(ARRIVES_WITHIN).await;
        self.trap.forget();
        self.ledger.next_life();
    }

    /// Waits until the host and its adapter are at work. `false` where it was killed meanwhile.
    async fn is_up(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.host.has_ended() {
                use std::os::unix::process::ExitStatusExt;
                assert_eq!(status.signal(), Some(9), "the host ended by itself; its log:\n{}", self.host.log());
                return false;
            }
            let health = self.host.health().await.unwrap_or_default();
            if health["queue"].is_object() && health["adapters"]["ledger"] == true {
                return true;
            }
            assert!(Instant::now() < until, "the host is not healthy; its log:\n{}", self.host.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing is left to be done, and says what is not right then.
    async fn settle(&mut self) -> Vec<String> {
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            let left = self.left().await;
            if left.is_empty() || Instant::now() > until {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let containers = self.engine.containers(&self.host.instance()).await;
        if containers > 0 {
            left.push(format!("{containers} containers"));
        }
        for folder in ["io", "run"] {
            let entries = entries(&self.host.data_dir().join(folder));
            if entries > 0 {
                left.push(format!("{entries} folders in {folder}/"));
            }
        }
        for (what, sql) in [
            ("messages without a decision", "SELECT count(*) FROM inbound WHERE decided = 0"),
            ("runs that are not over", "SELECT count(*) FROM runs WHERE state IN ('queued', 'preparing', 'running')"),
            ("runs without an answer", "SELECT count(*) FROM runs WHERE answered = 0"),
            ("deliveries that are not made", "SELECT count(*) FROM deliveries WHERE state <> 'delivered'"),
            ("answers that are not sent", "SELECT count(*) FROM outbound WHERE state = 'pending'"),
        ] {
            match self.host.query::<i64>(sql) {
                Some(0) => {}
                Some(rows) => left.push(format!("{rows} {what}")),
                None => left.push(format!("{what} could not be counted")),
            }
        }
        left
    }

    /// Ends the host, looks through its database, and lets a last one clear up what was sent long ago.
    async fn close(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.host.terminate().await != Some(0) {
            wrong.push("the host did not end in order".to_owned());
        }
        wrong.extend(damage(&self.host.data_dir().join("state.db")));
        let copies = self.host.data_dir().join("delivery");
        age(&copies);
        self.start(None).await;
        let until = Instant::now() + SETTLED_WITHIN;
        while entries(&copies) > 0 {
            if Instant::now() > until {
                wrong.push(format!("{} folders in delivery/ that nobody needs", entries(&copies)));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if self.host.terminate().await != Some(0) {
            wrong.push("the last host did not end in order".to_owned());
        }
        wrong
    }
}

/// Sends the messages, kills the host, and counts.
pub async fn run(plan: Plan, engine: impl AsyncFnOnce(Trap) -> Engine) -> Verdict {
    let began = Instant::now();
    let trap = Trap::default();
    let engine = engine(trap.clone()).await;
    let mut stage = Stage::set(plan, engine, trap).await;
    stage.start(None).await;
    let traffic = senders::Traffic::new(&stage);
    let sending = traffic.begin();
    let kills = killer::kill(&mut stage, &traffic).await;
    // Nobody kills it any more, so all of this comes to an end.
    let finished = async {
        sending.await;
        traffic.answers(traffic.written()).await;
    };
    let stalled = tokio::select! {
        () = finished => false,
        () = traffic.standstill(STALLED) => true,
    };
    let mut left = stage.settle().await;
    if stalled {
        left.insert(0, format!("{} messages after {} s of standstill", traffic.unanswered(), STALLED.as_secs()));
    }
    left.extend(stage.close().await);
    left.extend(stage.engine.unknown().into_iter().map(|call| format!("the fake engine does not know {call}")));
    let verdict = Verdict::of(&stage, &traffic, kills, left, began.elapsed());
    if !verdict.faults().is_empty() {
        stage.host.keep();
    }
    verdict
}

fn install(host: &Host) {
    let folder = host.data_dir().join("plugins/ledger");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "name = \"ledger\"\nversion = \"0.1.0\"\ncomponent = \"ledger.wasm\"\n\
         provides = [\"chat-adapter\", \"poller\", \"webhook\"]\n\
         [limits]\ndeadline-ms = 5000\n[inbox]\nplatform = \"ledger\"\n[media]\nread = true\n\
         [[http]]\nhosts = [\"ledger.example.com\"]\nmethods = [\"POST\"]\nplain = true\nper-minute = 6000\n";
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(fixture("ledger"), folder.join("ledger.wasm")).unwrap();
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map(Iterator::count).unwrap_or(0)
}

/// What SQLite finds wrong with the database.
fn damage(database: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open(database).unwrap();
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut wrong = rows("PRAGMA integrity_check");
    wrong.retain(|row| row != "ok");
    wrong.extend(
        rows("PRAGMA foreign_key_check").into_iter().map(|table| format!("a row of {table} points to nothing")),
    );
    wrong
}

/// Makes all that is in a folder older, so that its time is up.
fn age(folder: &Path) {
    let then = std::time::SystemTime::now() - AGED;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        std::fs::File::open(entry.path()).unwrap().set_modified(then).unwrap();
    }
}
