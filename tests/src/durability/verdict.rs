//! What came back: each message once, in order, with its file, and nothing of any run left.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use super::{
    Plan, Stage,
    killer::{Kills, seen_points},
    ledger::{Sent, mark},
    senders::Traffic,
};
use crate::points::Point;

/// Things of a kind that are shown by name.
const MOST_SHOWN: usize = 5;

/// The count.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub plan: Plan,
    pub is_real: bool,
    pub written: usize,
    /// Marks of messages that nothing answers.
    pub lost: Vec<String>,
    /// Marks of messages that are answered under several ids.
    pub twice: Vec<String>,
    /// What was sent and answers nothing: somebody was told of a failure.
    pub strange: Vec<String>,
    /// Answers that came before an earlier one of their conversation.
    pub disorder: usize,
    /// Marks whose answers lack their file.
    pub without_file: Vec<String>,
    /// Arrivals beyond the first of an id: what a platform without idempotency would show.
    pub repeats: usize,
    /// Those of one id, at most.
    pub most_repeats: usize,
    /// Ids that one host sent several times.
    pub needless: Vec<String>,
    /// Runs whose agent began to work more than once.
    pub agents_twice: usize,
    pub kills: Kills,
    /// Points that were reached less often than wanted.
    pub unreached: Vec<Point>,
    /// What is not right at the end.
    pub left: Vec<String>,
    pub took: Duration,
}

impl Verdict {
    pub(super) fn of(stage: &Stage, traffic: &Traffic, kills: Kills, left: Vec<String>, took: Duration) -> Self {
        let (sent, written) = (stage.ledger.sent(), traffic.written());
        let mut answers: HashMap<&str, Vec<&Sent>> = HashMap::new();
        for one in &sent {
            for mark in one.marks() {
                answers.entry(mark).or_default().push(one);
            }
        }
        let marks = || (1..=written).map(mark);
        let answered = |mark: &String| answers.get(mark.as_str()).map_or(0, Vec::len);
        let has_file = |mark: &str| {
            let file = (format!("{mark}.txt"), mark.to_owned());
            answers.get(mark).is_none_or(|all| all.iter().all(|one| one.files.contains(&file)))
        };
        let repeats = |one: &Sent| one.arrivals.len() - 1;
        let wanted = stage.plan.kills;
        let unreached = |point: &Point| kills.at.get(point).copied().unwrap_or(0) < wanted;
        Self {
            plan: stage.plan.clone(),
            is_real: stage.engine.is_real(),
            written,
            lost: marks().filter(|mark| answered(mark) == 0).collect(),
            twice: marks().filter(|mark| answered(mark) > 1).collect(),
            strange: sent
                .iter()
                .filter(|one| one.is_answer() && one.marks().count() == 0)
                .map(|one| one.text.clone())
                .collect(),
            disorder: disorder(&sent),
            without_file: (1..=written)
                .map(|number| traffic.message(number))
                .filter(|message| message.file && !has_file(&message.mark))
                .map(|message| message.mark)
                .collect(),
            repeats: sent.iter().map(repeats).sum(),
            most_repeats: sent.iter().map(repeats).max().unwrap_or(0),
            needless: sent
                .iter()
                .filter(|one| one.is_needless())
                .map(|one| format!("{} {:?}", one.id, one.arrivals))
                .collect(),
            agents_twice: stage.engine.agents().values().filter(|agents| **agents > 1).count(),
            unreached: seen_points(stage.engine.is_real()).into_iter().filter(unreached).collect(),
            kills,
            left,
            took,
        }
    }

    /// What breaks the promise, in words. Empty where it is kept.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut some = |what: &str, which: &[String]| {
            if !which.is_empty() {
                let shown = which.iter().take(MOST_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                faults.push(format!("{} {what}: {shown}", which.len()));
            }
        };
        some("messages are lost", &self.lost);
        some("messages are answered twice", &self.twice);
        some("answers lack their file", &self.without_file);
        some("failures were told", &self.strange);
        some("messages were sent twice by one host", &self.needless);
        some("things are left or wrong", &self.left);
        if self.disorder > 0 {
            faults.push(format!("{} answers came before an earlier one of their conversation", self.disorder));
        }
        for point in &self.unreached {
            faults.push(format!("{} was not reached {} times", point.name(), self.plan.kills));
        }
        faults
    }
}

fn disorder(sent: &[Sent]) -> usize {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let mut disorder = 0;
    for one in sent {
        for mark in one.marks() {
            let before = last.insert(&one.conversation, mark);
            disorder += usize::from(before.is_some_and(|before| before > mark));
        }
    }
    disorder
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = if self.is_real { "the real engine" } else { "the fake engine" };
        writeln!(
            f,
            "durability         {} messages over {} spaces, {engine}, seed {}, {} kills, {:.0} s",
            self.written,
            self.plan.spaces,
            self.plan.seed,
            self.kills.all(),
            self.took.as_secs_f64()
        )?;
        writeln!(f, "  killed at              times   not reached, or too late")?;
        for point in Point::ALL {
            let count = |of: &BTreeMap<Point, usize>| of.get(&point).copied().unwrap_or(0);
            writeln!(f, "  {:<20} {:>7} {:>14}", point.name(), count(&self.kills.at), count(&self.kills.missed))?;
        }
        for (what, number) in [
            ("lost", self.lost.len()),
            ("answered twice", self.twice.len()),
            ("told of a failure", self.strange.len()),
            ("out of order", self.disorder),
            ("without their file", self.without_file.len()),
        ] {
            writeln!(f, "  {what:<20} {number:>7}")?;
        }
        writeln!(
            f,
            "  repeats of the same id at the platform {}, at most {} of one message, {} without a kill in between",
            self.repeats,
            self.most_repeats,
            self.needless.len()
        )?;
        writeln!(f, "  runs whose agent was begun more than once {}", self.agents_twice)?;
        match self.left.as_slice() {
            [] => writeln!(f, "  nothing is left: containers, run folders, copies; the database is whole"),
            left => writeln!(f, "  left or wrong: {}", left.join("; ")),
        }
    }
}
