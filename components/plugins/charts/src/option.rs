//! The option, read into what is drawn.

use serde_json::{Map, Value};

use crate::{MOST_POINTS, Refusal, scale::number, theme::Theme};

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    pub theme: Theme,
    pub background: String,
    pub palette: Vec<String>,
    pub title: Title,
    pub legend: Option<bool>,
    pub grid: Grid,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    pub kind: Kind,
    pub ignored: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cartesian,
    Pie,
}

#[derive(Clone, Debug)]
pub struct Title {
    pub text: String,
    pub subtext: String,
    pub left: Option<String>,
    pub color: Option<String>,
    pub size: f64,
}

/// Distances from the edges; a part of the side, or pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grid {
    pub left: Option<Length>,
    pub right: Option<Length>,
    pub top: Option<Length>,
    pub bottom: Option<Length>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Pixels(f64),
    Part(f64),
}

impl Length {
    pub fn of(self, whole: f64) -> f64 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Part(part) => part * whole,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Axis {
    pub category: bool,
    pub names: Vec<String>,
    pub name: String,
    pub least: Option<f64>,
    pub most: Option<f64>,
    /// Zero need not be shown.
    pub free: bool,
    /// `{value} €`
    pub template: Option<String>,
    pub rotate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesType {
    Bar,
    Line,
    Scatter,
    Pie,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub series_type: SeriesType,
    pub name: String,
    pub points: Vec<Point>,
    pub stack: Option<String>,
    pub color: Option<String>,
    pub smooth: bool,
    /// Filled below the line; none: as the house style has it.
    pub area: Option<bool>,
    pub labels: Option<bool>,
    /// `{c} €`; `{a}` the series, `{b}` the name, `{c}` the value, `{d}` the part in percent.
    pub label_template: Option<String>,
    pub bar_width: Option<Length>,
    pub symbol_size: Option<f64>,
    pub line_width: Option<f64>,
    pub dashed: bool,
    /// Of a pie: from the middle outwards, as parts of half the shorter side.
    pub radius: Option<(Length, Length)>,
}

/// A value, with the coordinate or name that it came with. Without a value there is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub x: Option<f64>,
    pub value: Option<f64>,
    pub name: Option<String>,
    pub color: Option<String>,
}

/// Only of use where somebody moves a mouse.
const INTERACTIVE: &[&str] = &[
    "tooltip",
    "toolbox",
    "dataZoom",
    "animation",
    "animationDuration",
    "axisPointer",
    "emphasis",
    "brush",
    "aria",
    "cursor",
];

impl Chart {
    pub(crate) fn read(text: &str, theme: Theme) -> Result<Self, Refusal> {
        let option: Value = serde_json::from_str(text).map_err(|error| {
            Refusal::Invalid(format!("the option is no JSON: {error}. Functions and comments have no place in it"))
        })?;
        refuse_functions(&option, "option")?;
        let Value::Object(option) = option else { return Err(invalid("the option is no object")) };
        let mut ignored: Vec<String> = Vec::new();
        let known = ["title", "legend", "grid", "xAxis", "yAxis", "series", "color", "backgroundColor"];
        for key in option.keys().filter(|key| !known.contains(&key.as_str())) {
            if !INTERACTIVE.contains(&key.as_str()) {
                return Err(Refusal::Unsupported(format!(
                    "`{key}` is not drawn here; see `charts schema --list` for what is"
                )));
            }
            ignored.push(key.clone());
        }
        let series = read_series(option.get("series"), &mut ignored)?;
        let pies = series.iter().filter(|series| series.series_type == SeriesType::Pie).count();
        let kind = match pies {
            0 => Kind::Cartesian,
            1 if series.len() == 1 => Kind::Pie,
            _ => return Err(Refusal::Unsupported("a pie is drawn alone: one series of the type pie".to_owned())),
        };
        let points: usize = series.iter().map(|series| series.points.len()).sum();
        if points > MOST_POINTS {
            return Err(Refusal::Limit(format!("there are {points} points; at most {MOST_POINTS} are drawn")));
        }
        let scatter = series.iter().any(|series| series.series_type == SeriesType::Scatter);
        let (x, y) = match kind {
            Kind::Pie => (Axis::value(), Axis::value()),
            Kind::Cartesian => {
                // A category axis is assumed below bars and lines, as ECharts does.
                let x = read_axis(option.get("xAxis"), "xAxis", !scatter, &mut ignored)?;
                let y = read_axis(option.get("yAxis"), "yAxis", false, &mut ignored)?;
                (x, y)
            }
        };
        let palette = match option.get("color") {
            None => theme.palette.iter().map(|color| (*color).to_owned()).collect(),
            Some(Value::String(color)) => vec![checked_color(color)?],
            Some(Value::Array(colors)) if !colors.is_empty() => {
                colors.iter().map(|color| checked_color(&words(color))).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(invalid("color is neither a colour nor a list of them")),
        };
        let background = option.get("backgroundColor").map(words).filter(|color| !color.is_empty());
        Ok(Self {
            theme,
            background: background.map_or_else(|| Ok(theme.background.to_owned()), |color| checked_color(&color))?,
            palette,
            title: read_title(option.get("title"))?,
            legend: option.get("legend").map(|legend| legend.get("show").and_then(Value::as_bool).unwrap_or(true)),
            grid: read_grid(option.get("grid"))?,
            x,
            y,
            series,
            kind,
            ignored,
        })
    }

    pub(crate) fn color(&self, at: usize) -> String {
        self.palette[at % self.palette.len()].clone()
    }
}

impl Axis {
    fn value() -> Self {
        Self {
            category: false,
            names: Vec::new(),
            name: String::new(),
            least: None,
            most: None,
            free: false,
            template: None,
            rotate: 0.0,
        }
    }

    pub(crate) fn label(&self, text: &str) -> String {
        self.template.as_ref().map_or_else(|| text.to_owned(), |template| template.replace("{value}", text))
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::Invalid(message.into())
}

/// A formatter in the form of code would do nothing here, so it is refused rather than shown as text.
fn refuse_functions(value: &Value, path: &str) -> Result<(), Refusal> {
    match value {
        Value::String(text) if is_function(text, path.ends_with("formatter")) => Err(Refusal::Unsupported(format!(
            "{path} is a function; nothing is evaluated here. Use a template such as \"{{value}} €\", or put the finished text into the data"
        ))),
        Value::Array(values) => {
            values.iter().enumerate().try_for_each(|(at, value)| refuse_functions(value, &format!("{path}[{at}]")))
        }
        Value::Object(fields) => {
            fields.iter().try_for_each(|(key, value)| refuse_functions(value, &format!("{path}.{key}")))
        }
        _ => Ok(()),
    }
}

/// `bare` is where a parameter without parentheses counts as well: elsewhere `a => b` is prose.
fn is_function(text: &str, bare: bool) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix("async ").unwrap_or(text).trim_start();
    let named = text.strip_prefix("function").is_some_and(|rest| rest.contains('(') && rest.contains('{'));
    let arrow = text.split_once("=>").is_some_and(|(parameters, _)| {
        let parameters = parameters.trim();
        let names = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || "_$, {}".contains(letter));
        let inside = parameters.strip_prefix('(').and_then(|inside| inside.strip_suffix(')'));
        inside.is_some_and(names) || (bare && names(parameters) && !parameters.contains(' '))
    });
    named || arrow
}

/// A colour is a name, `#…` or a function of numbers: never anything that ends an attribute.
fn checked_color(text: &str) -> Result<String, Refusal> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "#(),.% -/".contains(letter);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) || text.to_ascii_lowercase().contains("url") {
        return Err(invalid(format!("`{}` is no colour", text.chars().take(64).collect::<String>())));
    }
    Ok(text.to_owned())
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number_) => number_.as_f64().map_or_else(String::new, number),
        Value::Bool(yes) => yes.to_string(),
        _ => String::new(),
    }
}

fn length(value: Option<&Value>, name: &str) -> Result<Option<Length>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(pixels)) => Ok(pixels.as_f64().map(Length::Pixels)),
        Some(Value::String(text)) => {
            let part = text.strip_suffix('%').and_then(|part| part.trim().parse::<f64>().ok());
            match (part, text.parse::<f64>()) {
                (Some(part), _) => Ok(Some(Length::Part(part / 100.0))),
                (None, Ok(pixels)) => Ok(Some(Length::Pixels(pixels))),
                // `auto` and the like: the usual one.
                (None, Err(_)) => Ok(None),
            }
        }
        Some(_) => Err(invalid(format!("{name} is no length"))),
    }
}

/// The object itself, or the only one of a list.
fn only<'a>(value: Option<&'a Value>, name: &str) -> Result<Option<&'a Map<String, Value>>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(Value::Array(list)) => match list.as_slice() {
            [] => Ok(None),
            [Value::Object(fields)] => Ok(Some(fields)),
            _ => Err(Refusal::Unsupported(format!("one {name} is drawn, not several"))),
        },
        Some(_) => Err(invalid(format!("{name} is no object"))),
    }
}

fn read_title(value: Option<&Value>) -> Result<Title, Refusal> {
    let fields = only(value, "title")?;
    let at = |path: &[&str]| {
        path.iter()
            .try_fold(fields?.get(path[0])?, |value, key| if *key == path[0] { Some(value) } else { value.get(key) })
    };
    let color = at(&["textStyle", "color"]).map(words).filter(|color| !color.is_empty());
    Ok(Title {
        text: at(&["text"]).map(words).unwrap_or_default(),
        subtext: at(&["subtext"]).map(words).unwrap_or_default(),
        left: at(&["left"]).map(words),
        color: color.map(|color| checked_color(&color)).transpose()?,
        size: at(&["textStyle", "fontSize"]).and_then(Value::as_f64).unwrap_or(16.0).clamp(6.0, 96.0),
    })
}

fn read_grid(value: Option<&Value>) -> Result<Grid, Refusal> {
    let Some(fields) = only(value, "grid")? else { return Ok(Grid::default()) };
    let side = |name: &str| length(fields.get(name), name);
    Ok(Grid { left: side("left")?, right: side("right")?, top: side("top")?, bottom: side("bottom")? })
}

fn read_axis(value: Option<&Value>, name: &str, category: bool, ignored: &mut Vec<String>) -> Result<Axis, Refusal> {
    let Some(fields) = only(value, name)? else {
        return Ok(Axis { category, ..Axis::value() });
    };
    let category = match fields.get("type").and_then(Value::as_str) {
        Some("category") => true,
        Some("value") => false,
        None => fields.contains_key("data") || category,
        Some(other) => {
            return Err(Refusal::Unsupported(format!(
                "{name}.type is `{other}`; use category (with days as text) or value"
            )));
        }
    };
    let names = match fields.get("data") {
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.get("value").map_or_else(|| words(name), words)).collect()
        }
        _ => Vec::new(),
    };
    if fields.get("inverse").and_then(Value::as_bool) == Some(true) {
        ignored.push(format!("{name}.inverse"));
    }
    let label = fields.get("axisLabel");
    Ok(Axis {
        category,
        names,
        name: fields.get("name").map(words).unwrap_or_default(),
        least: fields.get("min").and_then(Value::as_f64),
        most: fields.get("max").and_then(Value::as_f64),
        free: fields.get("scale").and_then(Value::as_bool).unwrap_or(false)
            || fields.get("min").is_some_and(|min| min == "dataMin"),
        template: label.and_then(|label| label.get("formatter")).and_then(Value::as_str).map(str::to_owned),
        rotate: label.and_then(|label| label.get("rotate")).and_then(Value::as_f64).unwrap_or(0.0).clamp(-90.0, 90.0),
    })
}

fn read_series(value: Option<&Value>, ignored: &mut Vec<String>) -> Result<Vec<Series>, Refusal> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err(invalid("there is no series; give `series: [{ \"type\": \"bar\", \"data\": […] }]`")),
    };
    if list.is_empty() || list.len() > 100 {
        return Err(invalid(format!("there are {} series; use 1 to 100", list.len())));
    }
    list.iter().enumerate().map(|(at, value)| one_series(value, at, ignored)).collect()
}

fn one_series(value: &Value, at: usize, ignored: &mut Vec<String>) -> Result<Series, Refusal> {
    let Value::Object(fields) = value else { return Err(invalid(format!("series[{at}] is no object"))) };
    let series_type = match fields.get("type").and_then(Value::as_str) {
        Some("bar") => SeriesType::Bar,
        Some("line") => SeriesType::Line,
        Some("scatter") => SeriesType::Scatter,
        Some("pie") => SeriesType::Pie,
        other => {
            let name = other.unwrap_or("missing");
            return Err(Refusal::Unsupported(format!(
                "series[{at}].type is {name}; bar, line, pie and scatter are drawn"
            )));
        }
    };
    for key in ["markLine", "markPoint", "markArea", "step", "yAxisIndex", "xAxisIndex", "roseType", "encode"] {
        let plain = fields.get(key).is_none_or(|value| value == 0 || value == false || value.is_null());
        if !plain {
            ignored.push(format!("series[{at}].{key}"));
        }
    }
    let data = match fields.get("data") {
        Some(Value::Array(data)) => data.as_slice(),
        None => &[],
        Some(_) => return Err(invalid(format!("series[{at}].data is no list"))),
    };
    let points = data
        .iter()
        .enumerate()
        .map(|(point, value)| {
            point_of(value)
                .ok_or_else(|| invalid(format!("series[{at}].data[{point}] is no number, pair or {{name, value}}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    for point in &points {
        if let Some(color) = &point.color {
            checked_color(color)?;
        }
    }
    let inner = |group: &str, key: &str| fields.get(group).and_then(|group| group.get(key));
    let color = inner("itemStyle", "color").or_else(|| inner("lineStyle", "color")).or_else(|| fields.get("color"));
    let color = color.and_then(Value::as_str).map(checked_color).transpose()?;
    let radius = match fields.get("radius") {
        Some(Value::Array(both)) => length(both.first(), "radius")?.zip(length(both.get(1), "radius")?),
        other => length(other, "radius")?.map(|outer| (Length::Pixels(0.0), outer)),
    };
    Ok(Series {
        series_type,
        name: fields.get("name").map(words).unwrap_or_default(),
        points,
        stack: fields.get("stack").map(words).filter(|stack| !stack.is_empty()),
        color,
        smooth: fields.get("smooth").is_none_or(|smooth| smooth.as_bool().unwrap_or(smooth.as_f64() != Some(0.0))),
        area: fields.get("areaStyle").map(|area| !area.is_null()),
        labels: inner("label", "show").and_then(Value::as_bool),
        label_template: inner("label", "formatter").and_then(Value::as_str).map(str::to_owned),
        bar_width: length(fields.get("barWidth"), "barWidth")?,
        symbol_size: fields.get("symbolSize").and_then(Value::as_f64).map(|size| size.clamp(0.0, 200.0)),
        line_width: inner("lineStyle", "width").and_then(Value::as_f64).map(|width| width.clamp(0.0, 50.0)),
        dashed: inner("lineStyle", "type").is_some_and(|line| line == "dashed" || line == "dotted"),
        radius,
    })
}

/// `5`, `[1, 5]`, `["name", 5]`, `{ "value": …, "name": … }`; `null` and `"-"` are gaps.
fn point_of(value: &Value) -> Option<Point> {
    let bare = |x, value, name| Some(Point { x, value, name, color: None });
    match value {
        Value::Null => bare(None, None, None),
        Value::String(text) if text == "-" => bare(None, None, None),
        Value::Number(number) => bare(None, number.as_f64(), None),
        Value::Array(pair) if pair.len() >= 2 => {
            let name = pair[0].as_str().map(str::to_owned);
            let gap = pair[1].is_null() || pair[1] == "-";
            (gap || pair[1].is_number()).then_some(())?;
            bare(pair[0].as_f64(), pair[1].as_f64(), name)
        }
        Value::Object(fields) => {
            let mut point = point_of(fields.get("value")?)?;
            if let Some(name) = fields.get("name") {
                point.name = Some(words(name));
            }
            let color = fields.get("itemStyle").and_then(|style| style.get("color")).and_then(Value::as_str);
            point.color = color.map(str::to_owned);
            Some(point)
        }
        _ => None,
    }
}
