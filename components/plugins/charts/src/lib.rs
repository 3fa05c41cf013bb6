//! Charts from options in the style of Apache ECharts, as SVG.
//!
//! Pure: JSON in ([`option`]), SVG out. Nothing in the options is evaluated: a function in them is
//! refused. It draws bars, lines, pies and scatter plots; what it does not know it names.

mod axis;
mod cartesian;
pub mod option;
mod pie;
mod point;
mod scale;
pub mod schema;
mod svg;
mod theme;

#[cfg(target_family = "wasm")]
mod component;

use option::{Chart, Kind};
pub use theme::Theme;

/// The longest option, in bytes.
pub const MOST_OPTION_BYTES: usize = 1 << 20;
/// Points of all series together.
pub const MOST_POINTS: usize = 50_000;
/// Width and height, in pixels.
pub const MOST_SIDE: u32 = 4_096;
const LEAST_SIDE: u32 = 64;

/// Why nothing was drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Limit(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Invalid(String),
}

impl Refusal {
    /// For scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit(_) => "limit",
            Self::Unsupported(_) => "unsupported",
            Self::Invalid(_) => "invalid-option",
        }
    }
}

/// A drawn chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    pub svg: String,
    /// Options that have no effect in a picture, or that this renderer does not know.
    pub ignored: Vec<String>,
}

/// Sizes in pixels.
///
/// # Errors
/// What the renderer does not take, named.
pub fn render(option: &str, width: u32, height: u32, theme: Theme) -> Result<Drawing, Refusal> {
    if option.len() > MOST_OPTION_BYTES {
        return Err(Refusal::Limit(format!(
            "the option has {} bytes; at most {MOST_OPTION_BYTES} are drawn",
            option.len()
        )));
    }
    for (name, side) in [("width", width), ("height", height)] {
        if !(LEAST_SIDE..=MOST_SIDE).contains(&side) {
            return Err(Refusal::Limit(format!("the {name} is {side}; use {LEAST_SIDE} to {MOST_SIDE}")));
        }
    }
    let chart = Chart::read(option, theme)?;
    let mut canvas = svg::Canvas::new(width, height, &chart.background);
    canvas.title(&chart.title, &chart.theme);
    match chart.kind {
        Kind::Pie => pie::draw(&chart, &mut canvas)?,
        Kind::Cartesian => cartesian::draw(&chart, &mut canvas)?,
    }
    Ok(Drawing { svg: canvas.finish(), ignored: chart.ignored })
}

#[cfg(test)]
mod tests;
