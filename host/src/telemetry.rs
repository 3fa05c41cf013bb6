//! Logs and metrics.

use std::{io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Sends logs to standard error. `RUST_LOG` overrides `level`, for whoever looks for a fault.
pub fn start_logs(level: &str, json: bool) {
    let directive = match level {
        "silent" => "off".to_owned(),
        level => format!("warn,mercury={level}"),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directive));
    let registry = tracing_subscriber::registry().with(filter);
    // A second call, in tests, keeps the first subscriber.
    let _ = if json {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        registry.with(fmt::layer().with_ansi(colours).with_target(false).with_writer(std::io::stderr)).try_init()
    };
}

/// Seconds; from a guard's microseconds to a run's minutes.
const BUCKETS: &[f64] = &[0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0];

/// How often measurements are summed up.
const SUMMED_UP: Duration = Duration::from_secs(5);

/// Sums up what was measured, again and again. Until then each measurement is kept by itself: where nobody reads
/// the metrics, memory would grow with every message.
pub async fn sum_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(SUMMED_UP).await;
        metrics.run_upkeep();
    }
}

/// Starts collecting. Where a recorder is installed already (a second host in one process), the
/// handle renders nothing.
pub fn start_metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = match builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS) {
        Ok(builder) => builder,
        Err(_) => PrometheusBuilder::new(),
    };
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    let _ = metrics::set_global_recorder(recorder);
    handle
}
