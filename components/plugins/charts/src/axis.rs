//! The two axes, their labels and lines, and where a point lies between them.

use crate::{
    Refusal,
    option::{Axis, Chart, Length, Series, SeriesType},
    scale::{Scale, number},
    svg::{Canvas, Style, width_of},
};

/// The rectangle in which the points are, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// What an axis measures.
#[derive(Clone, Debug)]
pub(crate) enum Measure {
    Names(Vec<String>),
    Numbers(Scale),
}

/// Both axes in their area.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) area: Area,
    pub(crate) x: Measure,
    pub(crate) y: Measure,
}

const LABEL: f64 = 13.0;

impl Area {
    /// What the grid says, and room for the title, the legend and the labels where it says nothing.
    fn of(chart: &Chart, canvas: &Canvas, legend: bool, y_labels: f64) -> Result<Self, Refusal> {
        let place = |given: Option<Length>, whole: f64, usual: f64| given.map_or(usual, |length| length.of(whole));
        let top = 60.0 + if chart.title.subtext.is_empty() { 0.0 } else { 14.0 };
        let bottom = 48.0 + if legend { 24.0 } else { 0.0 } + if chart.x.rotate == 0.0 { 0.0 } else { 28.0 };
        let area = Self {
            left: place(chart.grid.left, canvas.width, f64::max(60.0, y_labels + 20.0)),
            right: canvas.width - place(chart.grid.right, canvas.width, 32.0),
            top: place(chart.grid.top, canvas.height, top),
            bottom: canvas.height - place(chart.grid.bottom, canvas.height, bottom),
        };
        if area.right - area.left < 20.0 || area.bottom - area.top < 20.0 {
            return Err(Refusal::Invalid(
                "the picture is too small for its title, labels and grid; make it larger".to_owned(),
            ));
        }
        Ok(area)
    }
}

impl Plane {
    pub(crate) fn of(chart: &Chart, canvas: &Canvas, legend: bool) -> Result<Self, Refusal> {
        let sideways = chart.y.category;
        let places = || chart.series.iter().flat_map(Series::places);
        let last = places().fold(-1.0, f64::max);
        let names = |axis: &Axis| {
            let mut names = axis.names.clone();
            let first = chart.series.first().map(|series| series.points.as_slice()).unwrap_or_default();
            for at in names.len()..(last + 1.0) as usize {
                let own = first.get(at).filter(|point| point.along.is_none()).and_then(|point| point.name.clone());
                names.push(own.unwrap_or_else(|| (at + 1).to_string()));
            }
            if names.is_empty() {
                names.push(String::new());
            }
            names
        };
        let values = Scale::over(
            extremes(chart).into_iter(),
            measures_from_zero(chart, if sideways { &chart.x } else { &chart.y }),
            if sideways { chart.x.least } else { chart.y.least },
            if sideways { chart.x.most } else { chart.y.most },
        );
        let (x, y) = if sideways {
            (Measure::Numbers(values), Measure::Names(names(&chart.y)))
        } else if chart.x.category {
            (Measure::Names(names(&chart.x)), Measure::Numbers(values))
        } else {
            (Measure::Numbers(Scale::over(places(), false, chart.x.least, chart.x.most)), Measure::Numbers(values))
        };
        let widest = labels(&y, &chart.y).iter().map(|label| width_of(label, LABEL)).fold(0.0, f64::max);
        Ok(Self { area: Area::of(chart, canvas, legend, widest.min(canvas.width / 3.0))?, x, y })
    }

    /// The width of one name's part of an axis, in pixels.
    pub(crate) fn band(&self) -> f64 {
        match (&self.x, &self.y) {
            (Measure::Names(names), _) => (self.area.right - self.area.left) / names.len() as f64,
            (_, Measure::Names(names)) => (self.area.bottom - self.area.top) / names.len() as f64,
            _ => 0.0,
        }
    }

    pub(crate) fn across(&self, value: f64) -> f64 {
        self.area.left + place(&self.x, value) * (self.area.right - self.area.left)
    }

    pub(crate) fn down(&self, value: f64) -> f64 {
        // Names go downwards from the top in ECharts' own order: the first one is lowest.
        self.area.bottom - place(&self.y, value) * (self.area.bottom - self.area.top)
    }

    /// Lines and labels, behind the points.
    pub(crate) fn draw(&self, chart: &Chart, canvas: &mut Canvas) {
        let (area, theme) = (self.area, chart.theme);
        let turned = chart.x.rotate != 0.0;
        let anchor = match chart.x.rotate {
            0.0 => "middle",
            up if up > 0.0 => "end",
            _ => "start",
        };
        let x_style = Style { turned: -chart.x.rotate, ..Style::new(LABEL, x_color(self, chart), anchor) };
        if let Measure::Numbers(scale) = &self.x {
            for tick in &scale.ticks {
                let x = self.across(*tick);
                canvas.line((x, area.top), (x, area.bottom), theme.split, true);
            }
        }
        if let Measure::Numbers(scale) = &self.y {
            for tick in &scale.ticks {
                let y = self.down(*tick);
                canvas.line((area.left, y), (area.right, y), theme.split, true);
            }
        }
        let x_labels = labels(&self.x, &chart.x);
        let every = if turned { 1 } else { thinned(&x_labels, area.right - area.left) };
        for (at, label) in x_labels.iter().enumerate().step_by(every) {
            let x = self.across(position(&self.x, at));
            canvas.text(x, area.bottom + if turned { 16.0 } else { 22.0 }, label, x_style);
        }
        let y_labels = labels(&self.y, &chart.y);
        let every = 1.max((y_labels.len() as f64 * (LABEL + 3.0) / (area.bottom - area.top)).ceil() as usize);
        let color = if matches!(self.y, Measure::Names(_)) { theme.label } else { theme.value_label };
        for (at, label) in y_labels.iter().enumerate().step_by(every) {
            let y = self.down(position(&self.y, at)) + LABEL * 0.35;
            canvas.text(area.left - 10.0, y, label, Style::new(LABEL, color, "end"));
        }
        // The axis line stands at the names' side; between numbers, below.
        if matches!(self.y, Measure::Names(_)) {
            canvas.line((area.left, area.top), (area.left, area.bottom), theme.axis, false);
        } else {
            canvas.line((area.left, area.bottom), (area.right, area.bottom), theme.axis, false);
        }
        canvas.text(
            (area.left + area.right) / 2.0,
            area.bottom + 40.0,
            &chart.x.name,
            Style::new(12.0, theme.label, "middle"),
        );
        canvas.text(area.left, area.top - 10.0, &chart.y.name, Style::new(12.0, theme.label, "middle"));
    }
}

fn x_color(plane: &Plane, chart: &Chart) -> &'static str {
    if matches!(plane.x, Measure::Names(_)) { chart.theme.label } else { chart.theme.value_label }
}

/// Every how many-th label there is room for.
fn thinned(labels: &[String], width: f64) -> usize {
    let widest = labels.iter().map(|label| width_of(label, LABEL)).fold(0.0, f64::max) + 10.0;
    1.max((labels.len() as f64 * widest / width).ceil() as usize)
}

fn labels(measure: &Measure, axis: &Axis) -> Vec<String> {
    match measure {
        Measure::Names(names) => names.iter().map(|name| axis.label(name)).collect(),
        Measure::Numbers(scale) => scale.ticks.iter().map(|tick| axis.label(&number(*tick))).collect(),
    }
}

/// What the label `at` stands for.
fn position(measure: &Measure, at: usize) -> f64 {
    match measure {
        Measure::Names(_) => at as f64,
        Measure::Numbers(scale) => scale.ticks[at],
    }
}

/// 0 to 1 along the axis; a name stands in the middle of its part.
fn place(measure: &Measure, value: f64) -> f64 {
    match measure {
        Measure::Names(names) => (value + 0.5) / names.len() as f64,
        Measure::Numbers(scale) => scale.place(value),
    }
}

/// Bars stand on zero, lines do unless told otherwise; scatter plots show where the points are.
fn measures_from_zero(chart: &Chart, axis: &Axis) -> bool {
    let bars = chart.series.iter().any(|series| series.series_type == SeriesType::Bar);
    let only_scatter = chart.series.iter().all(|series| series.series_type == SeriesType::Scatter);
    bars || !(axis.free || only_scatter || axis.least.is_some())
}

/// Every value that must be seen, with the sums of stacks.
fn extremes(chart: &Chart) -> Vec<f64> {
    let mut seen = Vec::new();
    for bounds in stacked(chart) {
        seen.extend(bounds.into_iter().flatten().flat_map(|(from, to)| [from, to]));
    }
    // A point's own base is only of use where it is a sum.
    for series in chart.series.iter().filter(|series| series.stack.is_none()) {
        seen.extend(series.points.iter().filter_map(|point| point.value));
    }
    seen
}

/// For each series and point, where it begins and ends on the value axis: on the sum of those before it at
/// the same place. Only stacked ones, the others are none.
pub(crate) fn stacked(chart: &Chart) -> Vec<Vec<Option<(f64, f64)>>> {
    use std::collections::BTreeMap;
    // Positive and negative parts pile up in their own directions.
    let mut sums: BTreeMap<(&str, u64, bool), f64> = BTreeMap::new();
    let series = chart.series.iter().map(|series| {
        let Some(stack) = series.stack.as_deref() else { return vec![None; series.points.len()] };
        let points = series.points.iter().zip(series.places()).map(|(point, place)| {
            let value = point.value?;
            let sum = sums.entry((stack, place.to_bits(), value < 0.0)).or_insert(0.0);
            let from = *sum;
            *sum += value;
            Some((from, *sum))
        });
        points.collect()
    });
    series.collect()
}
