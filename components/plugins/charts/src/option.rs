//! The option, read into what is drawn.

use serde_json::{Map, Value};

use crate::{
    MOST_POINTS, Refusal,
    point::{Names, Pairs, Point, name_of},
    scale::number,
    theme::Theme,
};

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

impl Series {
    /// Where its points lie, in their order.
    pub(crate) fn places(&self) -> impl Iterator<Item = f64> {
        self.points.iter().enumerate().map(|(at, point)| point.place(at))
    }
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
        let list = list_of_series(option.get("series"))?;
        let types = list.iter().enumerate().map(series_type).collect::<Result<Vec<_>, _>>()?;
        let kind = match types.iter().filter(|series_type| **series_type == SeriesType::Pie).count() {
            0 => Kind::Cartesian,
            1 if types.len() == 1 => Kind::Pie,
            _ => return Err(Refusal::Unsupported("a pie is drawn alone: one series of the type pie".to_owned())),
        };
        let (mut x, mut y) = match kind {
            Kind::Pie => (Axis::value(), Axis::value()),
            Kind::Cartesian => read_axes(&option, types.contains(&SeriesType::Scatter), &mut ignored)?,
        };
        let mut pairs = match (kind, x.category, y.category) {
            (Kind::Pie, ..) => Pairs::Named,
            (_, false, false) => Pairs::Numbers,
            (_, true, _) => Pairs::Placed { names: Names::new(std::mem::take(&mut x.names)), sideways: false },
            (_, false, true) => Pairs::Placed { names: Names::new(std::mem::take(&mut y.names)), sideways: true },
        };
        let mut series = Vec::new();
        for (at, (value, series_type)) in list.iter().zip(types).enumerate() {
            series.push(one_series(value, at, series_type, &mut pairs, &mut ignored)?);
        }
        if let Pairs::Placed { names, sideways } = pairs {
            if sideways { &mut y } else { &mut x }.names = names.into_list();
        }
        let points: usize = series.iter().map(|series| series.points.len()).sum();
        if points > MOST_POINTS {
            return Err(Refusal::Limit(format!("there are {points} points; at most {MOST_POINTS} are drawn")));
        }
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

pub(crate) fn words(value: &Value) -> String {
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

fn read_axes(option: &Map<String, Value>, scatter: bool, ignored: &mut Vec<String>) -> Result<(Axis, Axis), Refusal> {
    // A category axis is assumed below bars and lines.
    let x = read_axis(option.get("xAxis"), "xAxis", !scatter, ignored)?;
    let y = read_axis(option.get("yAxis"), "yAxis", false, ignored)?;
    if x.category && y.category {
        return Err(Refusal::Unsupported("both axes are categories; one must be of the type value".to_owned()));
    }
    if y.category && scatter {
        return Err(Refusal::Unsupported(
            "points of a scatter plot are not drawn over names on the y axis; put the names on the x axis".to_owned(),
        ));
    }
    Ok((x, y))
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
        Some(Value::Array(names)) => names.iter().map(|name| name_of(name.get("value").unwrap_or(name))).collect(),
        _ => Vec::new(),
    };
    if fields.get("inverse").and_then(Value::as_bool) == Some(true) {
        ignored.push(format!("{name}.inverse"));
    }
    let (least, most) = (fields.get("min").and_then(Value::as_f64), fields.get("max").and_then(Value::as_f64));
    if let (false, Some(least), Some(most)) = (category, least, most)
        && least >= most
    {
        return Err(invalid(format!("{name}.min is {}, which is not below its max", number(least))));
    }
    let label = fields.get("axisLabel");
    Ok(Axis {
        category,
        names,
        name: fields.get("name").map(words).unwrap_or_default(),
        least,
        most,
        free: fields.get("scale").and_then(Value::as_bool).unwrap_or(false)
            || fields.get("min").is_some_and(|min| min == "dataMin"),
        template: label.and_then(|label| label.get("formatter")).and_then(Value::as_str).map(str::to_owned),
        rotate: label.and_then(|label| label.get("rotate")).and_then(Value::as_f64).unwrap_or(0.0).clamp(-90.0, 90.0),
    })
}

fn list_of_series(value: Option<&Value>) -> Result<&[Value], Refusal> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err(invalid("there is no series; give `series: [{ \"type\": \"bar\", \"data\": […] }]`")),
    };
    if list.is_empty() || list.len() > 100 {
        return Err(invalid(format!("there are {} series; use 1 to 100", list.len())));
    }
    Ok(list)
}

fn series_type((at, value): (usize, &Value)) -> Result<SeriesType, Refusal> {
    let Value::Object(fields) = value else { return Err(invalid(format!("series[{at}] is no object"))) };
    match fields.get("type").and_then(Value::as_str) {
        Some("bar") => Ok(SeriesType::Bar),
        Some("line") => Ok(SeriesType::Line),
        Some("scatter") => Ok(SeriesType::Scatter),
        Some("pie") => Ok(SeriesType::Pie),
        other => {
            let name = other.unwrap_or("missing");
            Err(Refusal::Unsupported(format!("series[{at}].type is {name}; bar, line, pie and scatter are drawn")))
        }
    }
}

fn one_series(
    fields: &Value,
    at: usize,
    series_type: SeriesType,
    pairs: &mut Pairs,
    ignored: &mut Vec<String>,
) -> Result<Series, Refusal> {
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
            Point::read(value, pairs).map_err(|problem| invalid(format!("series[{at}].data[{point}] {problem}")))
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
