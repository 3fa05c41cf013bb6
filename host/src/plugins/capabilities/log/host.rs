use mercury_bindings::mercury::plugin::log::{Host, Level};

use crate::{
    domain::guest_text::{MOST_LINE, for_log},
    plugins::state::State,
};

impl Host for State {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.count_log(message.len())?;
        let plugin = self.manifest.name.as_str();
        let message = for_log(&message, MOST_LINE);
        self.stats.log(word(&level), &message);
        match level {
            Level::Trace => tracing::trace!(target: "mercury::plugin", plugin, "{message}"),
            Level::Debug => tracing::debug!(target: "mercury::plugin", plugin, "{message}"),
            Level::Info => tracing::info!(target: "mercury::plugin", plugin, "{message}"),
            Level::Warn => tracing::warn!(target: "mercury::plugin", plugin, "{message}"),
            Level::Error => tracing::error!(target: "mercury::plugin", plugin, "{message}"),
        }
        Ok(())
    }
}

fn word(level: &Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
