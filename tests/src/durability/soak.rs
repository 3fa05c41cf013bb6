//! Many messages through one host that nobody kills, and the memory that it holds meanwhile.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{Plan, STALLED, Stage, Verdict, killer::Kills, senders::Traffic};
use crate::{engine::Engine, points::Trap};

/// Messages after which the host has seen everything once: pools are filled, code is loaded, caches are warm.
const WARM: usize = 2_000;
/// One in so many of the messages is a window, over which memory is averaged.
const WINDOW: usize = 20;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Kibibytes of the host's process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    pub resident: f64,
    /// What it has written itself. The program's own pages are no part of it: how many of them are private depends
    /// on what else runs on the machine.
    pub private: f64,
}

#[derive(Clone, Debug)]
pub struct Soak {
    pub verdict: Verdict,
    /// Behind the warm-up, and at the end.
    pub early: Memory,
    pub late: Memory,
    /// The mean of each tenth of the messages.
    pub tenths: Vec<Memory>,
}

impl Soak {
    /// Per cent, of both figures.
    pub fn growth(&self) -> (f64, f64) {
        let growth = |early: f64, late: f64| (late / early - 1.0) * 100.0;
        (growth(self.early.resident, self.late.resident), growth(self.early.private, self.late.private))
    }
}

/// Sends so many messages over 50 spaces.
pub async fn soak(messages: usize, concurrency: usize) -> Soak {
    let began = Instant::now();
    let trap = Trap::default();
    let engine = Engine::fake(trap.clone()).await;
    let plan = Plan { messages, spaces: 50, seed: 1, kills: 0, concurrency, log_level: "warn" };
    let mut stage = Stage::set(plan, engine, trap).await;
    stage.start(None).await;
    let traffic = Traffic::new(&stage);
    let sending = traffic.begin();
    // Where some are lost, those who write wait for ever.
    let writing = tokio::spawn(sending);
    let samples = sample(&stage, &traffic).await;
    writing.abort();
    let mut left = stage.settle().await;
    left.extend(stage.close().await);
    let verdict = Verdict::of(&stage, &traffic, Kills::default(), left, began.elapsed());
    let window = messages / WINDOW;
    let warm = WARM.min(messages / 10);
    Soak {
        early: mean(&samples, warm, warm + window),
        late: mean(&samples, messages - window, messages),
        tenths: (0..10).map(|tenth| mean(&samples, messages * tenth / 10, messages * (tenth + 1) / 10)).collect(),
        verdict,
    }
}

/// Until everything is answered, or nothing more is: messages answered, and memory.
async fn sample(stage: &Stage, traffic: &Traffic) -> Vec<(usize, Memory)> {
    let mut samples = Vec::new();
    let mut done = std::pin::pin!(traffic.answers(stage.plan.messages));
    let mut stalled = std::pin::pin!(traffic.standstill(STALLED));
    loop {
        tokio::select! {
            () = &mut done => return samples,
            () = &mut stalled => return samples,
            () = tokio::time::sleep(LOOK) => {
                let answered = *stage.ledger.answered().borrow();
                samples.push((answered, memory(stage.host.pid())));
            }
        }
    }
}

fn memory(process: u32) -> Memory {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let kibibytes = |name: &str| -> f64 {
        let lines = rollup.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
    };
    Memory { resident: kibibytes("Rss:"), private: kibibytes("Private_Dirty:") }
}

fn mean(samples: &[(usize, Memory)], from: usize, to: usize) -> Memory {
    let within: Vec<&Memory> =
        samples.iter().filter(|(answered, _)| (from..=to).contains(answered)).map(|(_, memory)| memory).collect();
    let mean = |of: fn(&Memory) -> f64| within.iter().map(|memory| of(memory)).sum::<f64>() / within.len() as f64;
    Memory { resident: mean(|memory| memory.resident), private: mean(|memory| memory.private) }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resident, private) = self.growth();
        let verdict = &self.verdict;
        writeln!(
            f,
            "soak               {} messages over {} spaces in {:.0} s, {:.0} a second; lost {}, answered twice {}",
            verdict.written,
            verdict.plan.spaces,
            verdict.took.as_secs_f64(),
            verdict.written as f64 / verdict.took.as_secs_f64(),
            verdict.lost.len(),
            verdict.twice.len()
        )?;
        writeln!(
            f,
            "  resident           {:>7.0} KiB behind the warm-up, {:>7.0} KiB at the end: {resident:+.1} %",
            self.early.resident, self.late.resident
        )?;
        writeln!(
            f,
            "  of it private      {:>7.0} KiB behind the warm-up, {:>7.0} KiB at the end: {private:+.1} %",
            self.early.private, self.late.private
        )?;
        let tenths: Vec<String> = self.tenths.iter().map(|memory| format!("{:.0}", memory.resident)).collect();
        writeln!(f, "  resident by tenths {} KiB", tenths.join(" "))
    }
}
