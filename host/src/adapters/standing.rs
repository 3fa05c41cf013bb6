//! How an adapter stands, for the operator and for those that depend on it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

use crate::{
    clock,
    plugins::adapter::{Adapter, Features, Platform},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    Starting,
    Running,
    /// For the next attempt.
    Waiting,
    /// It stands still until somebody mends what the reason says.
    NeedsOperator,
    Stopped,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub platform: String,
    pub plugin: String,
    pub name: Option<String>,
    pub condition: Condition,
    /// Why it waits or stands still.
    pub reason: Option<String>,
    /// Milliseconds since the epoch.
    pub since: i64,
    /// When the platform was last proved to be at the other end.
    pub last_sign_of_life: Option<i64>,
    /// Times that it was started anew.
    pub restarts: u32,
}

pub(super) struct Watched {
    now: Mutex<Now>,
    /// Somebody wants it to be started anew at once.
    pub(super) restart: Notify,
}

struct Now {
    described: Option<Platform>,
    condition: Condition,
    reason: Option<String>,
    since: i64,
    alive: Instant,
    sign: Option<i64>,
    restarts: u32,
}

impl Watched {
    pub(super) fn new() -> Self {
        let now = Now {
            described: None,
            condition: Condition::Starting,
            reason: None,
            since: clock::millis(),
            alive: Instant::now(),
            sign: None,
            restarts: 0,
        };
        Self { now: Mutex::new(now), restart: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self, adapter: &Adapter) -> Standing {
        let now = self.lock();
        Standing {
            platform: adapter.platform().to_owned(),
            plugin: adapter.plugin().to_owned(),
            name: now.described.as_ref().map(|platform| platform.display_name.clone()),
            condition: now.condition,
            reason: now.reason.clone(),
            since: now.since,
            last_sign_of_life: now.sign,
            restarts: now.restarts,
        }
    }

    pub(super) fn described(&self, platform: Platform) {
        self.lock().described = Some(platform);
    }

    pub(super) fn features(&self) -> Features {
        self.lock().described.as_ref().map_or_else(Features::empty, |platform| platform.features)
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().condition == Condition::Running
    }

    pub(super) fn set(&self, condition: Condition, reason: Option<String>) {
        let mut now = self.lock();
        if now.condition != condition {
            now.since = clock::millis();
        }
        if condition == Condition::Starting {
            now.alive = Instant::now();
        }
        (now.condition, now.reason) = (condition, reason);
    }

    pub(super) fn count_restart(&self) {
        self.lock().restarts += 1;
    }

    /// The platform was proved to be at the other end.
    pub(super) fn sign_of_life(&self) {
        let mut now = self.lock();
        now.alive = Instant::now();
        now.sign = Some(clock::millis());
    }

    /// How long the adapter has been silent, since it was started at the most.
    pub(super) fn silent_for(&self) -> Duration {
        self.lock().alive.elapsed()
    }

    /// How long it may be silent; `None` where the platform gives no sign.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        let limit = self.lock().described.as_ref().map_or(0, |platform| platform.silence_limit_ms);
        (limit > 0).then(|| Duration::from_millis(limit.into()))
    }
}
