//! How answers are shown.

use mercury_protocol::socket;
use serde_json::Value;

use crate::{client::Response, error::Error, line::Line};

/// What a command prints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<String> for Shown {
    fn from(out: String) -> Self {
        Self { out, err: String::new() }
    }
}

/// The answer as JSON with two spaces of indent, its keys in the host's order.
pub(crate) fn json(response: &Response) -> Result<Shown, Error> {
    let mut text = Vec::with_capacity(response.body.len() * 2);
    let mut from = serde_json::Deserializer::from_slice(&response.body);
    serde_transcode::transcode(&mut from, &mut serde_json::Serializer::pretty(&mut text))
        .and_then(|()| from.end())
        .map_err(Error::NotJson)?;
    text.push(b'\n');
    String::from_utf8(text).map(Shown::from).map_err(|_| Error::NotUtf8)
}

/// The same, for rows whose answer nobody shortens.
pub(crate) fn whole(_: &Line, response: &Response) -> Result<Shown, Error> {
    json(response)
}

/// One page of a list, whole.
pub(crate) fn page(_: &Line, response: &Response) -> Result<Shown, Error> {
    Ok(Shown { err: more(&read(response)?), ..json(response)? })
}

/// The plugin's own document on stdout; where files were attached, their names on stderr.
pub(crate) fn invoked(_: &Line, response: &Response) -> Result<Shown, Error> {
    let answer: socket::CapabilityAnswer = serde_json::from_slice(&response.body).map_err(Error::NotJson)?;
    let mut out = serde_json::to_string_pretty(&answer.output).map_err(Error::NotJson)?;
    out.push('\n');
    let err = answer.files.iter().map(|file| format!("attached: {file}\n")).collect();
    Ok(Shown { out, err })
}

/// One field of the answer, bare.
pub(crate) fn value(_: &Line, response: &Response) -> Result<Shown, Error> {
    Ok(format!("{}\n", text(&read(response)?["value"])).into())
}

/// All settings, or the value of the one that was named.
pub(crate) fn setting(line: &Line, response: &Response) -> Result<Shown, Error> {
    if line.positionals.is_empty() {
        return json(response);
    }
    let answer = read(response)?;
    match answer["config"].get(line.word(0)) {
        Some(value) => Ok(format!("{}\n", text(value)).into()),
        None => Err(Error::NotSet(line.word(0).to_owned())),
    }
}

/// The space's name, bare; after a change the whole answer.
pub(crate) fn name(line: &Line, response: &Response) -> Result<Shown, Error> {
    match line.positionals.is_empty() {
        true => Ok(format!("{}\n", text(&read(response)?["space"]["name"])).into()),
        false => json(response),
    }
}

pub(crate) fn spaces(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "spaces", |space| format!("{}\t{}", text(&space["id"]), text(&space["name"])))
}

pub(crate) fn conversations(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "conversations", |it| {
        [&it["id"], &it["kind"], &it["observedTitle"], &it["spaceId"]].map(text).join("\t")
    })
}

/// What was found, the newest first, each with its time.
pub(crate) fn messages(_: &Line, response: &Response) -> Result<Shown, Error> {
    let shown = rows(response, "messages", |message| {
        let at = utc(message["createdAt"].as_i64().unwrap_or_default());
        format!("[{at}] {}: {}", text(&message["role"]), text(&message["content"]))
    })?;
    let out = if shown.out.is_empty() { "(no matches)\n".to_owned() } else { shown.out };
    let all = read(response)?["complete"] != false;
    let err = if all { "" } else { "Only the newest messages were looked at; older ones may match, too.\n" };
    Ok(Shown { out, err: err.to_owned() })
}

/// Each with how it stands, and what is said of that.
pub(crate) fn connections(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "connections", |it| {
        let about = if it["detail"].is_null() { &it["error"] } else { &it["detail"] };
        [&it["name"], &it["displayName"], &it["status"], about].map(text).join("\t")
    })
}

/// A warning, with the command that goes through with it; a mute as it is.
pub(crate) fn muted(line: &Line, response: &Response) -> Result<Shown, Error> {
    let answer = read(response)?;
    if answer["warning"] != true {
        return json(response);
    }
    let reason = line.option("reason").map(|reason| format!(" --reason {}", quoted(reason))).unwrap_or_default();
    let command = format!("mrctl mute {} {}{reason} --confirm", quoted(line.word(0)), quoted(&line.words(1)));
    Ok(format!("{}\n\nTo go through with it: {command}\n", text(&answer["message"])).into())
}

pub(crate) fn mutes(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "mutes", |mute| {
        let until = utc(mute["expiresAt"].as_i64().unwrap_or_default());
        [text(&mute["platformUserId"]), format!("until {until}"), text(&mute["reason"])].join("\t")
    })
}

pub(crate) fn files(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "files", |file| {
        let size = if file["isFolder"] == true { "folder".to_owned() } else { bytes(&file["sizeBytes"]) };
        [text(&file["name"]), size, utc(file["modifiedAt"].as_i64().unwrap_or_default())].join("\t")
    })
}

/// What takes how much room; the disk and the database for whoever may see all spaces.
pub(crate) fn disk(_: &Line, response: &Response) -> Result<Shown, Error> {
    let answer = read(response)?;
    let mut out = String::new();
    if let Some(disk) = answer["disk"].as_object() {
        let of = |name: &str| disk.get(name).map(bytes).unwrap_or_default();
        let percent = disk.get("usedPercent").map(text).unwrap_or_default();
        let (total, used, free) = (of("totalBytes"), of("usedBytes"), of("freeBytes"));
        out.push_str(&format!("Disk: {total} total · {used} used ({percent}%) · {free} free\n"));
    }
    for space in answer["spaces"].as_array().into_iter().flatten() {
        let of = |name: &str| bytes(&space[name]);
        let (inbox, outbox, total) = (of("inboxBytes"), of("outboxBytes"), of("totalBytes"));
        out.push_str(&format!("{}: inbox {inbox} · outbox {outbox} · total {total}\n", text(&space["spaceId"])));
    }
    if !answer["databaseBytes"].is_null() {
        out.push_str(&format!("Database: {}\n", bytes(&answer["databaseBytes"])));
    }
    Ok(out.into())
}

pub(crate) fn plugins(_: &Line, response: &Response) -> Result<Shown, Error> {
    rows(response, "extensions", |plugin| {
        let brings = [("hasCli", "commands"), ("hasSkill", "skill")];
        let brings: Vec<_> = brings.iter().filter(|(field, _)| plugin[field] == true).map(|(_, word)| *word).collect();
        [text(&plugin["name"]), brings.join(", ")].join("\t")
    })
}

pub(crate) fn character(_: &Line, response: &Response) -> Result<Shown, Error> {
    match read(response)?["character"].as_str() {
        Some(character) => Ok(format!("{character}\n").into()),
        None => Ok("(not set)\n".to_owned().into()),
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// `1.5 MB`: of 1024, with one digit behind the point.
fn bytes(value: &Value) -> String {
    let mut size = value.as_u64().unwrap_or_default() as f64;
    for unit in ["B", "KB", "MB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{size} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} GB")
}

fn rows(response: &Response, list: &str, row: impl Fn(&Value) -> String) -> Result<Shown, Error> {
    let answer = read(response)?;
    let rows = answer[list].as_array().into_iter().flatten();
    Ok(Shown { out: rows.map(|it| format!("{}\n", row(it))).collect(), err: more(&answer) })
}

/// How the next page is had, where there is one.
fn more(answer: &Value) -> String {
    let next = answer["next"].as_str();
    next.map(|next| format!("There are more than these: add --after {}\n", quoted(next))).unwrap_or_default()
}

fn read(response: &Response) -> Result<Value, Error> {
    serde_json::from_slice(&response.body).map_err(Error::NotJson)
}

/// A text without its quotes, nothing for null, and all else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// ISO 8601, in UTC and to the second. The days are counted as in Howard Hinnant's `civil_from_days`.
fn utc(milliseconds: i64) -> String {
    let (days, second) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000) / 1000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_the_hosts_order_and_gets_two_spaces() {
        let response =
            Response { status: 200, body: br#"{"spaceId":"main","callerId":"a","permissions":["x"]}"#.to_vec() };
        let shown = json(&response).unwrap();
        assert_eq!(
            shown.out,
            "{\n  \"spaceId\": \"main\",\n  \"callerId\": \"a\",\n  \"permissions\": [\n    \"x\"\n  ]\n}\n"
        );
    }

    #[test]
    fn sizes() {
        for (size, expected) in
            [(0_u64, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (1_572_864, "1.5 MB"), (5_u64 << 40, "5120.0 GB")]
        {
            assert_eq!(bytes(&Value::from(size)), expected);
        }
    }

    #[test]
    fn moments() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(at), expected);
        }
    }
}
