//! Bars, lines and scattered points between two axes.

use std::fmt::Write as _;

use crate::{
    Refusal,
    axis::{Measure, Plane, stacked},
    option::{Chart, Series, SeriesType},
    point::Point,
    scale::number,
    svg::{Canvas, Style, escaped, short, width_of},
};

/// More bars than this have no numbers on them unless asked for.
const MOST_LABELLED: usize = 24;
/// A line with more points has no circles on them.
const MOST_SYMBOLS: usize = 60;

pub(crate) fn draw(chart: &Chart, canvas: &mut Canvas) -> Result<(), Refusal> {
    let named = chart.series.iter().filter(|series| !series.name.is_empty()).count();
    let legend = chart.legend.unwrap_or(chart.series.len() > 1) && named > 0;
    let plane = Plane::of(chart, canvas, legend)?;
    plane.draw(chart, canvas);
    let bounds = stacked(chart);
    let slots = Slots::of(chart);
    for (at, series) in chart.series.iter().enumerate() {
        let color = series.color.clone().unwrap_or_else(|| chart.color(at));
        match series.series_type {
            SeriesType::Bar => bars(chart, canvas, &plane, series, &bounds[at], &slots, at, &color),
            SeriesType::Line => line(chart, canvas, &plane, series, &bounds[at], &color),
            SeriesType::Scatter => scatter(chart, canvas, &plane, series, &color),
            SeriesType::Pie => {}
        }
    }
    if legend {
        draw_legend(chart, canvas);
    }
    Ok(())
}

/// Bars beside each other: series of one stack share a slot.
struct Slots {
    of_series: Vec<usize>,
    count: usize,
}

impl Slots {
    fn of(chart: &Chart) -> Self {
        let mut stacks: Vec<&str> = Vec::new();
        let mut count = 0;
        let mut of_series = Vec::new();
        for series in &chart.series {
            let known = series.stack.as_deref().and_then(|stack| stacks.iter().position(|known| *known == stack));
            let slot = match known {
                Some(slot) => slot,
                None if series.series_type == SeriesType::Bar => {
                    // A name that no stack can have keeps the place of a series without one.
                    stacks.push(series.stack.as_deref().unwrap_or("\0"));
                    count += 1;
                    count - 1
                }
                None => 0,
            };
            of_series.push(slot);
        }
        Self { of_series, count: count.max(1) }
    }
}

/// The value at which a bar begins: zero, or the nearest that is shown.
fn base(measure: &Measure) -> f64 {
    match measure {
        Measure::Numbers(scale) => 0.0_f64.clamp(scale.least, scale.most),
        Measure::Names(_) => 0.0,
    }
}

#[allow(clippy::too_many_arguments, reason = "one bar series needs all that a chart has")]
fn bars(
    chart: &Chart,
    canvas: &mut Canvas,
    plane: &Plane,
    series: &Series,
    bounds: &[Option<(f64, f64)>],
    slots: &Slots,
    at: usize,
    color: &str,
) {
    let sideways = matches!(plane.y, Measure::Names(_));
    let axis = if sideways { &plane.x } else { &plane.y };
    let band = plane.band();
    let all = series.bar_width.map_or(band * 0.5, |width| (width.of(band) * slots.count as f64).min(band));
    let width = (all / slots.count as f64).max(0.5);
    let gap = if slots.count > 1 { (width * 0.1).min(3.0) } else { 0.0 };
    let before = slots.of_series[at] as f64 * width - all / 2.0;
    let labelled =
        series.labels.unwrap_or(series.stack.is_none() && series.points.len() * slots.count <= MOST_LABELLED);
    for (index, point) in series.points.iter().enumerate() {
        let Some(value) = point.value else { continue };
        let (from, to) = bounds.get(index).copied().flatten().unwrap_or((base(axis), value));
        let (from, to) = (shown(axis, from), shown(axis, to));
        let place = point.place(index);
        let middle = if sideways { plane.down(place) } else { plane.across(place) };
        let (near, far) = (middle + before + gap / 2.0, middle + before + width - gap / 2.0);
        let fill = format!("fill=\"{}\"", escaped(point.color.as_deref().unwrap_or(color)));
        let text = label(series, point, index, plane);
        // Below zero there may be no room on the left, but there is on the other side of zero.
        let style = Style::new(12.0, chart.theme.label, if sideways { "start" } else { "middle" });
        if sideways {
            let (start, end) = (plane.across(from), plane.across(to));
            canvas.path(&bar(start, end, near, far, true), &fill);
            if labelled {
                canvas.text(start.max(end) + 6.0, (near + far) / 2.0 + 4.0, &text, style);
            }
        } else {
            let (start, end) = (plane.down(from), plane.down(to));
            canvas.path(&bar(start, end, near, far, false), &fill);
            if labelled {
                canvas.text((near + far) / 2.0, end + if to < from { 16.0 } else { -6.0 }, &text, style);
            }
        }
    }
}

/// A bar from `start` to `end` along the value axis, with rounded corners at its end.
fn bar(start: f64, end: f64, near: f64, far: f64, sideways: bool) -> String {
    let radius = 5.0_f64.min((end - start).abs()).min((far - near) / 2.0).max(0.0);
    let inner = end - radius * (end - start).signum();
    let at = |along: f64, across: f64| {
        if sideways {
            format!("{} {}", short(along), short(across))
        } else {
            format!("{} {}", short(across), short(along))
        }
    };
    format!(
        "M{}L{}Q{} {}L{}Q{} {}L{}Z",
        at(start, near),
        at(inner, near),
        at(end, near),
        at(end, near + radius),
        at(end, far - radius),
        at(end, far),
        at(inner, far),
        at(start, far)
    )
}

fn shown(axis: &Measure, value: f64) -> f64 {
    match axis {
        Measure::Numbers(scale) => value.clamp(scale.least, scale.most),
        Measure::Names(_) => value,
    }
}

fn line(
    chart: &Chart,
    canvas: &mut Canvas,
    plane: &Plane,
    series: &Series,
    bounds: &[Option<(f64, f64)>],
    color: &str,
) {
    let sideways = matches!(plane.y, Measure::Names(_));
    let axis = if sideways { &plane.x } else { &plane.y };
    let place = |at: usize, point: &Point| {
        let value = shown(axis, bounds.get(at).copied().flatten().map_or(point.value?, |(_, to)| to));
        let along = point.place(at);
        Some(if sideways { (plane.across(value), plane.down(along)) } else { (plane.across(along), plane.down(value)) })
    };
    let color = escaped(color);
    let width = short(series.line_width.unwrap_or(3.0));
    let dash = if series.dashed { " stroke-dasharray=\"6 6\"" } else { "" };
    let filled = series.area.unwrap_or(chart.series.len() == 1) && !sideways;
    let floor = plane.down(base(axis));
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, point) in series.points.iter().enumerate() {
        match (place(at, point), pieces.last_mut()) {
            (Some(place), Some(piece)) => piece.push(place),
            _ => pieces.push(Vec::new()),
        }
    }
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let drawn = curve(piece, series.smooth && !sideways);
        if filled && let (Some(first), Some(last)) = (piece.first(), piece.last()) {
            let closed = format!("{drawn}L{} {}L{} {}Z", short(last.0), short(floor), short(first.0), short(floor));
            canvas.path(&closed, &format!("fill=\"{color}\" fill-opacity=\"0.12\""));
        }
        canvas.path(
            &drawn,
            &format!("fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}"),
        );
        if piece.len() <= MOST_SYMBOLS || piece.len() == 1 {
            let radius = series.symbol_size.unwrap_or(7.0) / 2.0;
            let around = format!("fill=\"{color}\" stroke=\"{}\" stroke-width=\"1.5\"", escaped(&chart.background));
            piece.iter().for_each(|place| canvas.circle(*place, radius, &around));
        }
    }
    if series.labels == Some(true) {
        for (at, point) in series.points.iter().enumerate() {
            let Some((x, y)) = place(at, point) else { continue };
            let text = label(series, point, at, plane);
            canvas.text(x, y - 10.0, &text, Style::new(12.0, chart.theme.label, "middle"));
        }
    }
}

/// Straight, or bent so that it never leaves the range between two neighbours (Fritsch and Carlson's
/// monotone interpolation).
fn curve(points: &[(f64, f64)], smooth: bool) -> String {
    let mut path = format!("M{} {}", short(points[0].0), short(points[0].1));
    let ascending = points.windows(2).all(|pair| pair[1].0 > pair[0].0);
    if !smooth || points.len() < 3 || !ascending {
        for (x, y) in &points[1..] {
            let _ = write!(path, "L{} {}", short(*x), short(*y));
        }
        return path;
    }
    let slopes: Vec<f64> = points.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
    let tangents: Vec<f64> = (0..points.len())
        .map(|at| match (at.checked_sub(1).map(|before| slopes[before]), slopes.get(at)) {
            (Some(before), Some(after)) if before * after > 0.0 => 2.0 * before * after / (before + after),
            (None, Some(first)) => *first,
            (Some(last), None) => last,
            _ => 0.0,
        })
        .collect();
    for at in 1..points.len() {
        let ((x0, y0), (x1, y1)) = (points[at - 1], points[at]);
        let third = (x1 - x0) / 3.0;
        let _ = write!(
            path,
            "C{} {} {} {} {} {}",
            short(x0 + third),
            short(y0 + tangents[at - 1] * third),
            short(x1 - third),
            short(y1 - tangents[at] * third),
            short(x1),
            short(y1)
        );
    }
    path
}

fn scatter(chart: &Chart, canvas: &mut Canvas, plane: &Plane, series: &Series, color: &str) {
    let radius = series.symbol_size.unwrap_or(8.0) / 2.0;
    for (at, point) in series.points.iter().enumerate() {
        let Some(value) = point.value else { continue };
        let place = (plane.across(shown(&plane.x, point.place(at))), plane.down(shown(&plane.y, value)));
        let fill = escaped(point.color.as_deref().unwrap_or(color));
        canvas.circle(place, radius, &format!("fill=\"{fill}\" fill-opacity=\"0.7\""));
        if series.labels == Some(true) {
            let text = label(series, point, at, plane);
            canvas.text(place.0, place.1 - radius - 4.0, &text, Style::new(12.0, chart.theme.label, "middle"));
        }
    }
}

/// What stands on a point: its value, or the series' template.
fn label(series: &Series, point: &Point, at: usize, plane: &Plane) -> String {
    let value = point.value.map(number).unwrap_or_default();
    let Some(template) = &series.label_template else { return value };
    let name = point.name.clone().or_else(|| match (&plane.x, &plane.y) {
        (Measure::Names(names), _) | (_, Measure::Names(names)) => names.get(point.place(at) as usize).cloned(),
        _ => None,
    });
    filled_in(template, &series.name, &name.unwrap_or_default(), &value, "")
}

/// ECharts' own names in templates.
pub(crate) fn filled_in(template: &str, series: &str, name: &str, value: &str, percent: &str) -> String {
    // In one pass: a name may itself hold `{c}`.
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        let known = [("{a}", series), ("{b}", name), ("{c}", value), ("{d}", percent), ("{value}", value)];
        match known.iter().find(|(sign, _)| rest[start..].starts_with(sign)) {
            Some((sign, value)) => {
                text.push_str(value);
                rest = &rest[start + sign.len()..];
            }
            None => {
                text.push('{');
                rest = &rest[start + 1..];
            }
        }
    }
    text.push_str(rest);
    text
}

/// Names of the series in one row at the bottom, as far as they have room.
fn draw_legend(chart: &Chart, canvas: &mut Canvas) {
    let entries: Vec<_> = chart
        .series
        .iter()
        .enumerate()
        .filter(|(_, series)| !series.name.is_empty())
        .map(|(at, series)| (series.name.as_str(), series.color.clone().unwrap_or_else(|| chart.color(at))))
        .collect();
    let widths: Vec<f64> = entries.iter().map(|(name, _)| width_of(name, 12.0) + 38.0).collect();
    let mut x = ((canvas.width - widths.iter().sum::<f64>()) / 2.0).max(14.0);
    let y = canvas.height - 14.0;
    for ((name, color), width) in entries.into_iter().zip(widths) {
        if x + width > canvas.width {
            break;
        }
        canvas.swatch(x, y - 9.0, &color);
        canvas.text(x + 20.0, y, name, Style::new(12.0, chart.theme.label, "start"));
        x += width;
    }
}
