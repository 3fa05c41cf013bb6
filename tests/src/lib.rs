//! What the black-box suites share: a host to start and kill, and the fakes around it.
//!
//! Nothing here is part of the product. A fake speaks the real protocol over a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "test support: a surprise ends the test"
)]

pub mod agent;
pub mod docker;
pub mod durability;
pub mod engine;
pub mod guests;
pub mod host;
pub mod model;
pub mod oauth;
pub mod openai;
pub mod parley;
pub mod peer;
pub mod plugins;
pub mod points;
pub mod proxy;
pub mod reference;
pub mod registry;
pub mod site;
pub mod speech;
pub mod telegram;
pub mod tls;
pub mod wire;

/// The variable's value, which `./dev` sets.
///
/// # Panics
/// Where it is not set: a suite that cannot run must not look like one that passed.
pub fn required(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the suites with `./dev test`"))
}

/// Where midnight (UTC) is near, waits until it is over: what is counted by days begins anew then.
pub async fn away_from_midnight() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let left = 86_400 - now % 86_400;
    if left < 240 {
        tokio::time::sleep(std::time::Duration::from_secs(left)).await;
    }
}

/// The minimal image with the scripted agent, which stands in for `pi` where its work does not matter.
pub fn minimal_image() -> String {
    required("MERCURY_TEST_MINIMAL_IMAGE")
}

/// The full image with the real `pi`.
pub fn full_image() -> String {
    required("MERCURY_TEST_IMAGE")
}
