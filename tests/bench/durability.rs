//! `./dev bench durability [MESSAGES] [--seed N] [--real]` and `./dev bench soak [MESSAGES]`: the durability promises,
//! counted. Ends with an error where one is broken.

use mercury_tests::{
    durability::{self, Plan},
    engine::Engine,
};

/// As promised.
const MESSAGES: usize = 10_000;
const SPACES: usize = 50;
/// With the real engine, whose containers take half a second each.
const MESSAGES_REAL: usize = 300;
const SPACES_REAL: usize = 20;
/// Between two kills, on average.
const MESSAGES_A_KILL: usize = 20;
const SOAKED: usize = 20_000;
/// Per cent that memory may grow.
const GROWTH: f64 = 5.0;
/// Runs at once of either engine.
const CONCURRENCY: usize = 16;
const CONCURRENCY_REAL: usize = 6;

/// `false` where a message is lost, or answered twice, or something is left.
pub(crate) async fn run(arguments: &[String]) -> bool {
    let is_real = arguments.iter().any(|argument| argument == "--real");
    let seed = arguments.iter().skip_while(|argument| *argument != "--seed").nth(1);
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let messages = number(arguments).unwrap_or(if is_real { MESSAGES_REAL } else { MESSAGES });
    let points = mercury_tests::points::Point::ALL.len();
    let plan = Plan {
        messages,
        spaces: if is_real { SPACES_REAL } else { SPACES },
        seed,
        kills: (messages / MESSAGES_A_KILL / points).max(1),
        concurrency: if is_real { CONCURRENCY_REAL } else { CONCURRENCY },
        log_level: "info",
    };
    let verdict = match is_real {
        true => durability::run(plan, Engine::real).await,
        false => durability::run(plan, Engine::fake).await,
    };
    println!("{verdict}");
    told(&verdict.faults())
}

/// `false` where memory grows.
pub(crate) async fn soak(arguments: &[String]) -> bool {
    let soak = durability::soak(number(arguments).unwrap_or(SOAKED), CONCURRENCY).await;
    println!("{soak}");
    let mut faults = soak.verdict.faults();
    let (resident, private) = soak.growth();
    for (what, growth) in [("resident", resident), ("private", private)] {
        // Not a number where too few messages went through.
        if growth.is_nan() || growth > GROWTH {
            faults.push(format!("{what} memory changed by {growth:.1} %: at most {GROWTH} % are promised"));
        }
    }
    told(&faults)
}

/// The first argument that is one, but for the seed.
fn number(arguments: &[String]) -> Option<usize> {
    arguments.first()?.parse().ok()
}

fn told(faults: &[String]) -> bool {
    for fault in faults {
        println!("BROKEN: {fault}");
    }
    faults.is_empty()
}
