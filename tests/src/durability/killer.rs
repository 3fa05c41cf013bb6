//! Who kills the host: at each point in a new order again and again, with some answers in between.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rusqlite::{Connection, OpenFlags};

use super::{Stage, senders::Traffic};
use crate::points::{self, Point};

/// How long a point is waited for before the next one has its turn.
const REACHED_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks into the database.
const LOOK: Duration = Duration::from_micros(150);
/// How long answers are waited for before the next kill: none may come where the host is about to lose some.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// After so many times in a row that none came, nothing is left to kill for.
const MOST_SILENCES: usize = 12;
/// Milliseconds within which [`Point::Anywhere`] lies.
const ANYWHERE: u64 = 120;
/// One in so many starts is killed, too.
const FATAL_STARTS: f64 = 0.15;
/// Turns that a point may have for each kill that is wanted at it.
const MOST_TURNS: usize = 10;

/// What was done to the host.
#[derive(Clone, Debug, Default)]
pub struct Kills {
    pub at: BTreeMap<Point, usize>,
    /// How often a point had its turn and was not reached, or the kill came too late.
    pub missed: BTreeMap<Point, usize>,
}

impl Kills {
    pub fn all(&self) -> usize {
        self.at.values().sum()
    }

    fn count(&mut self, point: Point, killed: bool) {
        *if killed { &mut self.at } else { &mut self.missed }.entry(point).or_default() += 1;
    }

    fn reached(&self, points: &[Point], times: usize) -> bool {
        points.iter().all(|point| self.at.get(point).is_some_and(|kills| *kills >= times))
    }
}

/// The points that an engine shows.
pub(super) fn seen_points(is_real: bool) -> Vec<Point> {
    Point::ALL.into_iter().filter(|point| !is_real || *point != Point::BeforeResult).collect()
}

/// Until everything is written and each point was reached.
pub(super) async fn kill(stage: &mut Stage, traffic: &Traffic) -> Kills {
    let (wanted, seed, messages) = (stage.plan.kills, stage.plan.seed, stage.plan.messages);
    let mut kills = Kills::default();
    if wanted == 0 {
        return kills;
    }
    let points = seen_points(stage.engine.is_real());
    let between = messages / (points.len() * wanted).max(1);
    let mut random = StdRng::seed_from_u64(seed);
    let mut silences = 0;
    for _ in 0..wanted * MOST_TURNS {
        let mut order = points.clone();
        order.shuffle(&mut random);
        for point in order {
            if kills.reached(&points, wanted) {
                traffic.satisfied();
            }
            if traffic.is_over() {
                return kills;
            }
            // Those that were reached often enough go on while there is something to write, and no longer.
            if traffic.written() > messages && kills.reached(&[point], wanted) {
                continue;
            }
            let came = some_answers(stage, random.random_range(0..=between * 2)).await;
            silences = if came { 0 } else { silences + 1 };
            if silences == MOST_SILENCES {
                return kills;
            }
            let fatal = random.random_bool(FATAL_STARTS).then(|| Point::OF_A_START[random.random_range(0..2)]);
            turn(stage, point, random.random_range(0..ANYWHERE), fatal, &mut kills).await;
        }
    }
    traffic.satisfied();
    kills
}

/// `false` where they do not come.
async fn some_answers(stage: &Stage, more: usize) -> bool {
    let mut answered = stage.ledger.answered();
    let enough = *answered.borrow() + more;
    tokio::time::timeout(ANSWERED_WITHIN, answered.wait_for(|answered| *answered >= enough)).await.is_ok()
}

/// One point's turn. Where the host was killed another one runs when this returns.
async fn turn(stage: &mut Stage, point: Point, moment: u64, fatal: Option<Point>, kills: &mut Kills) {
    let process = stage.host.pid();
    if Point::OF_A_START.contains(&point) || point == Point::Anywhere {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        points::kill(process).await;
        kills.count(Point::Anywhere, true);
    } else if point.rows().is_some() {
        let database = stage.host.data_dir().join("state.db");
        match tokio::task::spawn_blocking(move || at_row(&database, point, process)).await.unwrap() {
            Found::Killed => kills.count(point, true),
            Found::Late => {
                kills.count(point, false);
                kills.count(Point::Anywhere, true);
            }
            Found::Nothing => return kills.count(point, false),
        }
    } else {
        stage.trap.arm(point, process);
        let sprung = tokio::time::timeout(REACHED_WITHIN, stage.trap.sprung()).await.is_ok();
        if !sprung && stage.trap.disarm() {
            return kills.count(point, false);
        }
        if !sprung {
            stage.trap.sprung().await;
        }
        kills.count(point, true);
    }
    stage.bury().await;
    let fatal = Some(point).filter(|point| Point::OF_A_START.contains(point)).or(fatal);
    let died = stage.start(fatal).await;
    if let Some(point) = fatal {
        kills.count(point, died);
    }
}

enum Found {
    Killed,
    /// It was killed, and the row had gone on by then.
    Late,
    Nothing,
}

/// Waits for a row in the point's state, and kills the host there. Blocks.
fn at_row(database: &Path, point: Point, process: u32) -> Found {
    let Some((find, still)) = point.rows() else { return Found::Nothing };
    let until = Instant::now() + REACHED_WITHIN;
    let db = open(database.to_owned());
    let mut find = db.prepare(find).unwrap();
    while Instant::now() < until {
        // The host may be writing its first rows.
        if let Ok(id) = find.query_row([], |row| row.get::<_, String>(0)) {
            points::kill_here(process);
            let still: i64 = db.query_row(still, [id], |row| row.get(0)).unwrap();
            return if still == 1 { Found::Killed } else { Found::Late };
        }
        std::thread::sleep(LOOK);
    }
    Found::Nothing
}

fn open(database: PathBuf) -> Connection {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    db
}
