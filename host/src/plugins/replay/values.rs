//! JSON for values of the contract, by their WIT types.
//!
//! Names are as in `wit/`. A case or a result with a value is an object of one field (`{"deny": "…"}`,
//! `{"ok": …}`), one without is its name; an absent option is `null`, and may be left out of a record.
//! Bytes are a string where they are UTF-8, else `{"base64": "…"}`.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use wasmtime::component::{Type, Val, types};

/// A JSON value that does not fit its type, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub(super) struct Misfit {
    /// `arguments[0].role`
    pub path: String,
    pub message: String,
}

/// The value as JSON.
///
/// # Errors
/// What no recording can hold: a resource, a stream, a future.
pub(super) fn to_json(value: &Val) -> Result<Value, String> {
    let payload = |value: &Option<Box<Val>>| value.as_deref().map_or(Ok(Value::Null), to_json);
    Ok(match value {
        Val::Bool(value) => json!(value),
        Val::S8(value) => json!(value),
        Val::U8(value) => json!(value),
        Val::S16(value) => json!(value),
        Val::U16(value) => json!(value),
        Val::S32(value) => json!(value),
        Val::U32(value) => json!(value),
        Val::S64(value) => json!(value),
        Val::U64(value) => json!(value),
        Val::Float32(value) => json!(value),
        Val::Float64(value) => json!(value),
        Val::Char(value) => json!(value),
        Val::String(value) | Val::Enum(value) => json!(value),
        Val::List(values) => match bytes(values) {
            Some(bytes) => bytes_to_json(&bytes),
            None => Value::Array(values.iter().map(to_json).collect::<Result<_, _>>()?),
        },
        Val::Tuple(values) => Value::Array(values.iter().map(to_json).collect::<Result<_, _>>()?),
        Val::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), to_json(value)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, String>>()?)
        }
        Val::Variant(case, None) => json!(case),
        Val::Variant(case, Some(value)) => json!({ case: to_json(value)? }),
        Val::Option(None) => Value::Null,
        Val::Option(Some(value)) => to_json(value)?,
        Val::Result(Ok(value)) => json!({ "ok": payload(value)? }),
        Val::Result(Err(value)) => json!({ "err": payload(value)? }),
        Val::Flags(names) => json!(names),
        Val::Map(_)
        | Val::Resource(_)
        | Val::Future(_)
        | Val::Stream(_)
        | Val::ErrorContext(_)
        | Val::FixedLengthList(_) => return Err("the contract has no value of this kind".into()),
    })
}

/// The bytes, if it is a list of them. An empty list is not: nothing tells of what it is empty.
fn bytes(values: &[Val]) -> Option<Vec<u8>> {
    if values.is_empty() {
        return None;
    }
    values.iter().map(|value| if let Val::U8(byte) = value { Some(*byte) } else { None }).collect()
}

pub(super) fn bytes_to_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

pub(super) fn bytes_from_json(json: &Value) -> Option<Vec<u8>> {
    match json {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(_) => json["base64"].as_str().and_then(|text| STANDARD.decode(text).ok()),
        _ => None,
    }
}

/// The value of that type which the JSON means.
///
/// # Errors
/// The first place that does not fit.
pub(super) fn from_json(json: &Value, ty: &Type, path: &str) -> Result<Val, Misfit> {
    let misfit = |message: String| Misfit { path: path.to_owned(), message };
    let expected = |what: &str| misfit(format!("{what} is expected, {} is there", summary(json)));
    let unsigned = |most: u64| {
        let number = json.as_u64().filter(|number| *number <= most);
        number.ok_or_else(|| expected(&format!("a whole number from 0 to {most}")))
    };
    let signed = |least: i64, most: i64| {
        let number = json.as_i64().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| expected(&format!("a whole number from {least} to {most}")))
    };
    let float = || json.as_f64().ok_or_else(|| expected("a number"));
    let text = || json.as_str().ok_or_else(|| expected("a string"));
    let fits = "the range was checked";
    Ok(match ty {
        Type::Bool => Val::Bool(json.as_bool().ok_or_else(|| expected("true or false"))?),
        Type::U8 => Val::U8(unsigned(u8::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::U16 => Val::U16(unsigned(u16::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::U32 => Val::U32(unsigned(u32::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::U64 => Val::U64(unsigned(u64::MAX)?),
        Type::S8 => Val::S8(signed(i8::MIN.into(), i8::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::S16 => Val::S16(signed(i16::MIN.into(), i16::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::S32 => Val::S32(signed(i32::MIN.into(), i32::MAX.into())?.try_into().map_err(|_| expected(fits))?),
        Type::S64 => Val::S64(signed(i64::MIN, i64::MAX)?),
        Type::Float32 => Val::Float32(float()? as f32),
        Type::Float64 => Val::Float64(float()?),
        Type::Char => {
            let mut characters = text()?.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => Val::Char(character),
                _ => return Err(expected("one character")),
            }
        }
        Type::String => Val::String(text()?.to_owned()),
        Type::Enum(ty) => {
            let name = text()?;
            if !ty.names().any(|known| known == name) {
                return Err(expected(&format!("one of {}", ty.names().collect::<Vec<_>>().join(", "))));
            }
            Val::Enum(name.to_owned())
        }
        Type::List(ty) if matches!(ty.ty(), Type::U8) && !json.is_array() => {
            let decoded = bytes_from_json(json).ok_or_else(|| expected("bytes (a string, or {\"base64\": \"…\"})"))?;
            Val::List(decoded.into_iter().map(Val::U8).collect())
        }
        Type::List(ty) => Val::List(items(json, path, |_| Some(ty.ty()), None)?),
        Type::Tuple(ty) => {
            let types: Vec<Type> = ty.types().collect();
            Val::Tuple(items(json, path, |index| types.get(index).cloned(), Some(types.len()))?)
        }
        Type::Record(ty) => record(json, ty, path)?,
        Type::Variant(ty) => {
            let (name, payload) = one_case(json).ok_or_else(|| expected("a case"))?;
            let Some(case) = ty.cases().find(|case| case.name == name) else {
                let names: Vec<_> = ty.cases().map(|case| case.name.to_owned()).collect();
                return Err(misfit(format!("there is no case `{name}`; it has {}", names.join(", "))));
            };
            Val::Variant(name.to_owned(), optional(payload, case.ty, &format!("{path}.{name}"))?)
        }
        Type::Option(_) if json.is_null() => Val::Option(None),
        Type::Option(ty) => Val::Option(Some(Box::new(from_json(json, &ty.ty(), path)?))),
        Type::Result(ty) => match one_case(json) {
            Some(("ok", payload)) => Val::Result(Ok(optional(payload, ty.ok(), &format!("{path}.ok"))?)),
            Some(("err", payload)) => Val::Result(Err(optional(payload, ty.err(), &format!("{path}.err"))?)),
            _ => return Err(expected("{\"ok\": …} or {\"err\": …}")),
        },
        Type::Flags(ty) => {
            let given = json.as_array().ok_or_else(|| expected("a list of names"))?;
            let names = given.iter().map(|name| name.as_str().filter(|name| ty.names().any(|known| known == *name)));
            let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
            Val::Flags(
                names
                    .ok_or_else(|| expected(&format!("names out of {}", ty.names().collect::<Vec<_>>().join(", "))))?,
            )
        }
        other => return Err(misfit(format!("a value of the type {other:?} cannot be written as JSON"))),
    })
}

fn items(
    json: &Value,
    path: &str,
    ty: impl Fn(usize) -> Option<Type>,
    count: Option<usize>,
) -> Result<Vec<Val>, Misfit> {
    let misfit = |message: String| Misfit { path: path.to_owned(), message };
    let values = json.as_array().ok_or_else(|| misfit(format!("a list is expected, {} is there", summary(json))))?;
    if let Some(count) = count.filter(|count| *count != values.len()) {
        return Err(misfit(format!("{count} values are expected, {} are there", values.len())));
    }
    let item = |(index, value): (usize, &Value)| {
        let ty = ty(index).ok_or_else(|| misfit("one value too many".into()))?;
        from_json(value, &ty, &format!("{path}[{index}]"))
    };
    values.iter().enumerate().map(item).collect()
}

fn record(json: &Value, ty: &types::Record, path: &str) -> Result<Val, Misfit> {
    let misfit = |message: String| Misfit { path: path.to_owned(), message };
    let given = json.as_object().ok_or_else(|| misfit(format!("an object is expected, {} is there", summary(json))))?;
    if let Some(stranger) = given.keys().find(|key| !ty.fields().any(|field| field.name == key.as_str())) {
        let names: Vec<_> = ty.fields().map(|field| field.name.to_owned()).collect();
        return Err(misfit(format!("there is no field `{stranger}`; it has {}", names.join(", "))));
    }
    let fields = ty.fields().map(|field| {
        let value = match (given.get(field.name), &field.ty) {
            (Some(value), ty) => from_json(value, ty, &format!("{path}.{}", field.name))?,
            (None, Type::Option(_)) => Val::Option(None),
            (None, _) => return Err(misfit(format!("the field `{}` is missing", field.name))),
        };
        Ok((field.name.to_owned(), value))
    });
    Ok(Val::Record(fields.collect::<Result<_, _>>()?))
}

/// `"case"` or `{"case": payload}`.
fn one_case(json: &Value) -> Option<(&str, &Value)> {
    match json {
        Value::String(name) => Some((name, &Value::Null)),
        Value::Object(fields) if fields.len() == 1 => fields.iter().next().map(|(name, value)| (name.as_str(), value)),
        _ => None,
    }
}

fn optional(json: &Value, ty: Option<Type>, path: &str) -> Result<Option<Box<Val>>, Misfit> {
    match ty {
        Some(ty) => Ok(Some(Box::new(from_json(json, &ty, path)?))),
        None if json.is_null() => Ok(None),
        None => Err(Misfit { path: path.to_owned(), message: format!("it has no value, {} is there", summary(json)) }),
    }
}

/// For messages: short, on one line.
pub(super) fn summary(json: &Value) -> String {
    /// Characters of a value that a message shows.
    const SHOWN: usize = 200;
    let text = if json.is_null() { "nothing".to_owned() } else { json.to_string() };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Where two values differ, a line each.
pub(super) fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(expected, actual, &mut String::new(), &mut found);
    found
}

fn compare(expected: &Value, actual: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(got)) => {
            for name in wanted.keys().chain(got.keys().filter(|name| !wanted.contains_key(*name))) {
                let _ = write!(path, "{}{name}", if path.is_empty() { "" } else { "." });
                compare(
                    &wanted.get(name).cloned().unwrap_or_default(),
                    &got.get(name).cloned().unwrap_or_default(),
                    path,
                    found,
                );
                path.truncate(length);
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            for index in 0..wanted.len().max(got.len()) {
                let _ = write!(path, "[{index}]");
                match (wanted.get(index), got.get(index)) {
                    (Some(wanted), Some(got)) => compare(wanted, got, path, found),
                    (Some(wanted), None) => {
                        found.push(format!("{path}: expected {}, it is not there", summary(wanted)))
                    }
                    (_, got) => found.push(format!("{path}: not expected: {}", got.map(summary).unwrap_or_default())),
                }
                path.truncate(length);
            }
        }
        (expected, actual) if expected == actual => {}
        (Value::String(wanted), Value::String(got)) if wanted.contains('\n') || got.contains('\n') => {
            found.push(format!("{}:\n{}", place(path), lines(wanted, got)));
        }
        (expected, actual) => {
            found.push(format!("{}: expected {}, got {}", place(path), summary(expected), summary(actual)));
        }
    }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the result" } else { path }
}

/// Two texts of several lines: what only one of them has, between what both begin and end with.
fn lines(wanted: &str, got: &str) -> String {
    let (wanted, got): (Vec<&str>, Vec<&str>) = (wanted.split('\n').collect(), got.split('\n').collect());
    let shorter = wanted.len().min(got.len());
    let begin = (0..shorter).take_while(|&index| wanted[index] == got[index]).count();
    let end = (0..shorter - begin)
        .take_while(|&index| wanted[wanted.len() - 1 - index] == got[got.len() - 1 - index])
        .count();
    let mut text = String::new();
    let mut section = |sign: &str, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(text, "    {sign} {line}");
        }
    };
    section(" ", &wanted[begin.saturating_sub(2)..begin]);
    section("-", &wanted[begin..wanted.len() - end]);
    section("+", &got[begin..got.len() - end]);
    section(" ", &wanted[wanted.len() - end..(wanted.len() - end + 2).min(wanted.len())]);
    text.trim_end().to_owned()
}
