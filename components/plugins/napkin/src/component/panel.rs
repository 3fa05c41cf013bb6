//! The panel of the dashboard.

use jiff::Timestamp;
use mercury_plugin::{history, settings};

use super::memory;
use crate::{options::Options, plan::Space};

pub(super) fn draw(space: Option<&str>) -> Result<String, String> {
    let spaces = match space {
        Some(space) => vec![space.to_owned()],
        None => history::spaces().map_err(|error| format!("spaces: {error:?}"))?,
    };
    let mut rows = String::new();
    for space in spaces {
        let on = Options::read(|key| settings::get(key, Some(&space))).interval_ms.is_some();
        let state = memory::load(&space)?;
        rows.push_str(&row(&space, on, &state));
    }
    Ok(format!(
        "<table><thead><tr><th>Space</th><th>Distilled</th><th>Waiting</th><th>Failing</th><th>Last</th></tr></thead><tbody>{rows}</tbody></table>"
    ))
}

fn row(space: &str, on: bool, state: &Space) -> String {
    let waiting = state.days.values().filter(|day| day.lines > day.distilled).count();
    let last = match (&state.last_failure, state.last_success_at) {
        (Some(why), _) => escaped(why),
        (None, Some(at)) => Timestamp::from_millisecond(at).map(|at| at.to_string()).unwrap_or_default(),
        (None, None) => "never".to_owned(),
    };
    let on = if on { "on" } else { "off" };
    format!(
        "<tr><td>{}</td><td>{on}</td><td>{waiting}</td><td>{}</td><td>{last}</td></tr>",
        escaped(space),
        state.failing()
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
