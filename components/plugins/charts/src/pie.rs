//! A pie, or a ring.

use std::f64::consts::{FRAC_PI_2, TAU};

use crate::{
    Refusal,
    cartesian::filled_in,
    option::{Chart, Length},
    scale::number,
    svg::{Canvas, Style, escaped, short},
};

/// Slices with their names beside them. Nothing below zero can be a slice.
pub(crate) fn draw(chart: &Chart, canvas: &mut Canvas) -> Result<(), Refusal> {
    let Some(series) = chart.series.first() else { return Ok(()) };
    let slices: Vec<_> =
        series.points.iter().enumerate().filter_map(|(at, point)| Some((at, point, point.value?))).collect();
    if let Some((at, _, value)) = slices.iter().find(|(_, _, value)| *value < 0.0) {
        return Err(Refusal::Invalid(format!("series[0].data[{at}] is {value}; a slice cannot be below zero")));
    }
    let sum: f64 = slices.iter().map(|(_, _, value)| value).sum();
    if sum <= 0.0 {
        return Err(Refusal::Invalid("the slices of the pie have no sum".to_owned()));
    }
    let top = if chart.title.text.is_empty() { 0.0 } else { 44.0 };
    let middle = (canvas.width / 2.0, top + (canvas.height - top) / 2.0);
    let half = canvas.width.min(canvas.height - top) / 2.0;
    let (inner, outer) = series.radius.unwrap_or((Length::Pixels(0.0), Length::Part(0.7)));
    let (inner, outer) = (inner.of(half).clamp(0.0, half), outer.of(half).clamp(1.0, half));
    let mut from = -FRAC_PI_2;
    let mut labels = Vec::new();
    for (at, point, value) in &slices {
        let angle = value / sum * TAU;
        let color = point.color.clone().unwrap_or_else(|| chart.color(*at));
        let around = format!("fill=\"{}\" stroke=\"{}\" stroke-width=\"2\"", escaped(&color), border(chart));
        if *value > 0.0 {
            canvas.path(&slice(middle, inner, outer, from, from + angle), &around);
            let name = point.name.clone().unwrap_or_else(|| (at + 1).to_string());
            let percent = number((value / sum * 1000.0).round() / 10.0);
            let text = match &series.label_template {
                Some(template) => filled_in(template, &series.name, &name, &number(*value), &percent),
                None => format!("{name} ({percent} %)"),
            };
            labels.push((from + angle / 2.0, text));
        }
        from += angle;
    }
    if series.labels != Some(false) {
        draw_labels(chart, canvas, middle, outer, labels);
    }
    Ok(())
}

fn border(chart: &Chart) -> String {
    escaped(&chart.background)
}

fn on_circle(middle: (f64, f64), radius: f64, angle: f64) -> (f64, f64) {
    (middle.0 + radius * angle.cos(), middle.1 + radius * angle.sin())
}

fn slice(middle: (f64, f64), inner: f64, outer: f64, from: f64, to: f64) -> String {
    // An arc that ends where it begins is no arc, so a whole circle stays a hair open.
    let to = to.min(from + TAU - 1e-4);
    let wide = if to - from > TAU / 2.0 { 1 } else { 0 };
    let at = |radius, angle| {
        let (x, y) = on_circle(middle, radius, angle);
        format!("{} {}", short(x), short(y))
    };
    let arc = |radius: f64, sweep: u8, end: String| format!("A{0} {0} 0 {wide} {sweep} {end}", short(radius));
    let outside = format!("M{}{}", at(outer, from), arc(outer, 1, at(outer, to)));
    if inner > 0.0 {
        format!("{outside}L{}{}Z", at(inner, to), arc(inner, 0, at(inner, from)))
    } else {
        format!("{outside}L{} {}Z", short(middle.0), short(middle.1))
    }
}

/// On each side from top to bottom, pushed apart where they would lie on each other.
fn draw_labels(chart: &Chart, canvas: &mut Canvas, middle: (f64, f64), outer: f64, labels: Vec<(f64, String)>) {
    const APART: f64 = 17.0;
    let (right, left): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(angle, _)| angle.cos() >= 0.0);
    for (side, mut labels) in [(1.0, right), (-1.0, left)] {
        labels.sort_by(|one, other| one.0.sin().total_cmp(&other.0.sin()));
        let mut lowest = f64::NEG_INFINITY;
        let overflow = labels.len() as f64 * APART > canvas.height;
        for (angle, text) in labels {
            let edge = on_circle(middle, outer, angle);
            let knee = on_circle(middle, outer + 12.0, angle);
            let y = if overflow { knee.1 } else { knee.1.max(lowest + APART) };
            lowest = y;
            let end = (middle.0 + side * (outer + 24.0), y);
            canvas.line(edge, knee, chart.theme.axis, false);
            canvas.line(knee, end, chart.theme.axis, false);
            let anchor = if side > 0.0 { "start" } else { "end" };
            canvas.text(end.0 + side * 5.0, y + 4.0, &text, Style::new(12.0, chart.theme.label, anchor));
        }
    }
}
