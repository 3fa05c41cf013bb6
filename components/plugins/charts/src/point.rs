//! The points of a series: their values, and where each lies along the axis that has none.

use std::collections::HashMap;

use serde_json::Value;

use crate::option::words;

/// A value, with the place or name that it came with. Without a value there is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// On an axis of names which of them, otherwise the x coordinate; none: as its turn is.
    pub along: Option<f64>,
    pub value: Option<f64>,
    pub name: Option<String>,
    pub color: Option<String>,
}

/// What the pairs of a series are.
pub(crate) enum Pairs {
    /// A name and a value.
    Named,
    /// Two coordinates.
    Numbers,
    /// A place among names and a value; the other way round where the names are on the y axis, since x
    /// comes first.
    Placed { names: Names, sideways: bool },
}

/// The names of an axis: those that the option gives, or else those of its points in their order.
pub(crate) struct Names {
    list: Vec<String>,
    places: HashMap<String, usize>,
    given: bool,
}

const NO_POINT: &str = "is no number, pair or {name, value}";

impl Point {
    /// `5`, `[1, 5]`, `["name", 5]`, `{ "value": …, "name": … }`; `null` and `"-"` are gaps.
    pub(crate) fn read(value: &Value, pairs: &mut Pairs) -> Result<Self, String> {
        match value {
            Value::Array(pair) if pair.len() >= 2 => Self::of_pair(&pair[0], &pair[1], pairs),
            Value::Object(fields) => {
                let mut point = Self::read(fields.get("value").ok_or(NO_POINT)?, pairs)?;
                if let Some(name) = fields.get("name") {
                    point.name = Some(words(name));
                }
                let color = fields.get("itemStyle").and_then(|style| style.get("color")).and_then(Value::as_str);
                point.color = color.map(str::to_owned);
                Ok(point)
            }
            single => Ok(Self { along: None, value: amount(single)?, name: None, color: None }),
        }
    }

    fn of_pair(first: &Value, second: &Value, pairs: &mut Pairs) -> Result<Self, String> {
        let (along, value) = match pairs {
            Pairs::Named => {
                let name = first.as_str().map(str::to_owned);
                return Ok(Self { along: None, value: amount(second)?, name, color: None });
            }
            Pairs::Numbers => (first.as_f64().ok_or(NO_POINT)?, second),
            Pairs::Placed { names, sideways: false } => (names.place(first)?, second),
            Pairs::Placed { names, sideways: true } => (names.place(second)?, first),
        };
        Ok(Self { along: Some(along), value: amount(value)?, name: None, color: None })
    }

    /// Where it lies as the `at`-th of its series.
    pub(crate) fn place(&self, at: usize) -> f64 {
        self.along.unwrap_or(at as f64)
    }
}

impl Names {
    pub(crate) fn new(list: Vec<String>) -> Self {
        let mut places = HashMap::new();
        for (at, name) in list.iter().enumerate() {
            places.entry(name.clone()).or_insert(at);
        }
        Self { given: !list.is_empty(), list, places }
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.list
    }

    /// A number is an index where names are given, as in ECharts, and else a name: a year, say.
    fn place(&mut self, value: &Value) -> Result<f64, String> {
        let name = match value {
            Value::Number(index) if self.given => return self.at(index.as_f64()),
            Value::Number(_) | Value::String(_) => name_of(value),
            _ => return Err(NO_POINT.to_owned()),
        };
        let place = match self.places.get(&name) {
            Some(place) => *place,
            None if self.given => {
                let name: String = name.chars().take(64).collect();
                return Err(format!("is at `{name}`, which is none of the axis' names"));
            }
            None => {
                self.list.push(name.clone());
                self.places.insert(name, self.list.len() - 1);
                self.list.len() - 1
            }
        };
        Ok(place as f64)
    }

    fn at(&self, index: Option<f64>) -> Result<f64, String> {
        let last = self.list.len() as f64 - 1.0;
        index.filter(|index| index.fract() == 0.0 && (0.0..=last).contains(index)).ok_or_else(|| {
            format!("is at no place of the axis, which has 0 to {last}; write a name that is a number as text")
        })
    }
}

/// A name of an axis; a number as it is written, since it may be a year.
pub(crate) fn name_of(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => words(other),
    }
}

fn amount(value: &Value) -> Result<Option<f64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text == "-" => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        _ => Err(NO_POINT.to_owned()),
    }
}
