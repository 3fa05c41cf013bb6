//! The orders, and carrying one out.
//!
//! | order | does |
//! |---|---|
//! | `!reply TEXT` | replies TEXT |
//! | `!sleep MS` | waits |
//! | `!exit CODE` | ends with that code, without a reply |
//! | `!hang` | never ends |
//! | `!spawn-forever` | starts a process that never ends and holds stdout open, and goes on |
//! | `!write-later MS PATH CONTENT` | starts a process in a group of its own that writes a file after that time, and goes on |
//! | `!crash` | ends itself by a signal |
//! | `!eat-memory MIB` | takes and touches that much memory |
//! | `!whoami` | replies what `mrctl whoami` printed |
//! | `!mrctl WORDS ;; JSON` | replies what `mrctl` printed for these words and, if given, that document: its code, stdout and stderr |
//! | `!which NAME` | replies where a program is that can be run, or `nothing` |
//! | `!write PATH CONTENT` | writes a file, relative to the working directory |
//! | `!tool NAME COMMAND` | asks the host about a tool call; replies `allow`, `edit: ARGUMENTS` or `deny: REASON` |
//! | `!tools NAME COMMAND ;; COMMAND …` | the same for several at once; their replies in this order |
//! | `!env NAME` | replies the variable, or `(unset)` |
//! | `!ls DIR` | replies the names in DIR, sorted, one a line |
//! | `!cat PATH` | replies the file's text |
//! | `!connect HOST:PORT` | opens a TCP connection of its own; replies `connected` |
//! | `!http HEAD` | sends HEAD, with `\r\n` written out, to the proxy of `HTTP_PROXY`; replies the answer |
//! | `!garbage` | prints a line that is no JSON |
//! | `!result-raw TEXT` | publishes TEXT as the run's result, past `entry` |
//! | `!model-error TEXT` | ends the run as a failure of the model |
//!
//! What fails is replied as `error: …`, so that a test sees it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mercury_protocol::paths;
use mercury_protocol::socket::{self, ToolCall, ToolVerdict};
use mrctl::client::{self, Request};
use serde_json::json;

use crate::events;

/// The argument by which this program is the process of `!spawn-forever`.
pub(crate) const FOREVER: &str = "--forever";

/// The argument by which this program is the process of `!write-later`.
pub(crate) const LATER: &str = "--later";
/// How long the other end of a connection may take.
const NETWORK_PATIENCE: Duration = Duration::from_secs(3);

/// What an order leads to.
pub(crate) enum Effect {
    /// A part of the reply.
    Text(String),
    Nothing,
    ModelError(String),
    Exit(u8),
}

/// The trailing lines that begin with `!`, first to last.
pub(crate) fn in_prompt(prompt: &str) -> Vec<&str> {
    let mut orders: Vec<&str> = prompt.lines().rev().take_while(|line| line.starts_with('!')).collect();
    orders.reverse();
    orders
}

/// What follows the last of `entry`'s sections: lines at the left border that begin with `</` or
/// are the caller's tag end one.
pub(crate) fn last_section(prompt: &str) -> &str {
    let mut start = 0;
    let mut position = 0;
    for line in prompt.split_inclusive('\n') {
        position += line.len();
        if line.starts_with("</") || line.starts_with("<caller ") {
            start = position;
        }
    }
    prompt[start..].trim()
}

pub(crate) fn carry_out(order: &str) -> Effect {
    let (name, rest) = order.split_once(' ').unwrap_or((order, ""));
    match name {
        "!reply" => Effect::Text(rest.into()),
        "!sleep" => {
            pause(Duration::from_millis(rest.trim().parse().unwrap_or(0)));
            Effect::Nothing
        }
        "!exit" => Effect::Exit(rest.trim().parse().unwrap_or(1)),
        "!hang" => never_end(),
        "!spawn-forever" => said(spawn_forever()),
        "!write-later" => said(write_later(rest)),
        "!crash" => std::process::abort(),
        "!eat-memory" => Effect::Text(eat_memory(rest.trim().parse().unwrap_or(0))),
        "!whoami" => said(whoami()),
        "!mrctl" => said(mrctl(rest)),
        "!which" => Effect::Text(which(rest.trim())),
        "!write" => said(write(rest)),
        "!tool" => said(tool(rest)),
        "!tools" => Effect::Text(tools(rest)),
        "!env" => Effect::Text(std::env::var(rest.trim()).unwrap_or_else(|_| "(unset)".into())),
        "!ls" => said(list(rest.trim())),
        "!cat" => said(std::fs::read_to_string(rest.trim()).map_err(|error| error.to_string())),
        "!connect" => said(connect(rest.trim())),
        "!http" => said(http(rest)),
        "!garbage" => {
            events::garbage();
            Effect::Nothing
        }
        "!result-raw" => said(result_raw(rest)),
        "!model-error" => Effect::ModelError(rest.into()),
        _ => Effect::Text(format!("error: unknown order {name}")),
    }
}

/// Waits for a signal that ends the process.
pub(crate) fn never_end() -> ! {
    loop {
        pause(Duration::from_secs(3600));
    }
}

fn said(result: Result<String, String>) -> Effect {
    Effect::Text(result.unwrap_or_else(|error| format!("error: {error}")))
}

#[allow(clippy::disallowed_methods, reason = "no runtime here: a stand-in for a process that takes its time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[allow(clippy::disallowed_methods, reason = "a stand-in for an agent, which starts processes")]
fn command(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    std::process::Command::new(program)
}

fn spawn_forever() -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = command(this).arg(FOREVER).spawn().map_err(|error| error.to_string())?;
    Ok(format!("spawned {}", child.id()))
}

fn write_later(rest: &str) -> Result<String, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = command(this)
        .arg(LATER)
        .args(rest.splitn(3, ' '))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    Ok(format!("spawned {}", child.id()))
}

/// The process of `!write-later`.
pub(crate) fn write_after(time: &str, path: &str, content: &str) {
    pause(Duration::from_millis(time.parse().unwrap_or(0)));
    let _ = std::fs::write(path, content);
}

fn eat_memory(mebibytes: usize) -> String {
    // Not zero, so that every page is really touched.
    let eaten = vec![1_u8; mebibytes << 20];
    let sum: u64 = eaten.iter().step_by(4096).map(|byte| u64::from(*byte)).sum();
    // Kept until the process ends.
    std::mem::forget(eaten);
    format!("ate {mebibytes} MiB in {sum} pages")
}

fn whoami() -> Result<String, String> {
    let output = command("mrctl").arg("whoami").output().map_err(|error| format!("mrctl: {error}"))?;
    let text = if output.status.success() { output.stdout } else { output.stderr };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

fn mrctl(rest: &str) -> Result<String, String> {
    let (words, document) = rest.split_once(" ;; ").unwrap_or((rest, ""));
    let document = Some(document).filter(|document| !document.is_empty());
    let output = command("mrctl")
        .args(words.split(' ').chain(document))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("mrctl: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let code = output.status.code().unwrap_or(-1);
    Ok(format!("{code}\n{}\n{}", text(&output.stdout), text(&output.stderr)).trim().to_owned())
}

fn which(name: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |file: &std::path::PathBuf| {
        file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(runs);
    found.map_or_else(|| "nothing".to_owned(), |file| file.display().to_string())
}

fn write(rest: &str) -> Result<String, String> {
    let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some(parent) = Path::new(path).parent() {
        std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    std::fs::write(path, content).map_err(|error| format!("{path}: {error}"))?;
    Ok(format!("wrote {path}"))
}

/// A host that is restarted is waited for this long.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const RETRY_AFTER: Duration = Duration::from_millis(100);

fn tool(rest: &str) -> Result<String, String> {
    let (name, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    let arguments = json!({ "command": argument });
    events::tool_begins(name, &arguments);
    let (text, denied) = match verdict(name, &arguments)? {
        ToolVerdict::Allow => ("allow".to_owned(), false),
        ToolVerdict::Edit { arguments } => (format!("edit: {arguments}"), false),
        ToolVerdict::Deny { reason } => (format!("deny: {reason}"), true),
        ToolVerdict::Wait { question, .. } => return Err(format!("question {question} is still open")),
    };
    events::tool_ends(name, &text, denied);
    Ok(text)
}

/// Asks, and waits for a person's answer as the real tool guard does.
fn verdict(name: &str, arguments: &serde_json::Value) -> Result<ToolVerdict, String> {
    let id = format!("{:x}-{:?}", std::process::id(), Instant::now());
    let call = ToolCall { id: Some(id), tool: name.into(), arguments: arguments.clone() };
    let body = serde_json::to_vec(&call).map_err(|error| error.to_string())?;
    let mut verdict = exchange(&Request::post(socket::TOOL_CALLS, body))?;
    while let ToolVerdict::Wait { question, .. } = verdict {
        verdict = exchange(&Request::get(&format!("{}/{question}", socket::TOOL_CALLS)))?;
    }
    Ok(verdict)
}

fn exchange(request: &Request) -> Result<ToolVerdict, String> {
    let socket = mrctl::socket_path(std::env::var_os("API_SOCKET"));
    let until = Instant::now() + BACK_WITHIN;
    let answer = loop {
        match client::exchange(&socket, request) {
            Ok(answer) => break answer,
            Err(error) if Instant::now() > until => return Err(error.to_string()),
            Err(_) => pause(RETRY_AFTER),
        }
    };
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}

fn tools(rest: &str) -> String {
    let (name, commands) = rest.split_once(' ').unwrap_or((rest, ""));
    let asked: Vec<_> = commands
        .split(";;")
        .map(|command| format!("{name} {}", command.trim()))
        .map(|order| std::thread::spawn(move || tool(&order)))
        .collect();
    let said = asked.into_iter().map(|thread| match thread.join() {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => format!("error: {error}"),
        Err(_) => "error: it panicked".into(),
    });
    said.collect::<Vec<_>>().join("\n")
}

fn list(dir: &str) -> Result<String, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{dir}: {error}"))?;
    let mut names: Vec<String> = entries.flatten().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names.join("\n"))
}

fn connect(address: &str) -> Result<String, String> {
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(address).map_err(|error| error.to_string())?;
    let mut failure = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, NETWORK_PATIENCE) {
            Ok(_) => return Ok("connected".into()),
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

/// The head as the order writes it, and what came until the other end closed or fell silent.
fn http(head: &str) -> Result<String, String> {
    let proxy = std::env::var("HTTP_PROXY").map_err(|_| "HTTP_PROXY is not set")?;
    let address = proxy.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(NETWORK_PATIENCE)).map_err(|error| error.to_string())?;
    stream.write_all(head.replace("\\r\\n", "\r\n").as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn result_raw(text: &str) -> Result<String, String> {
    let result = Path::new(paths::IO_DIR).join(paths::RESULT);
    let partial = result.with_extension("json.tmp");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, &result))
        .map_err(|error| error.to_string())?;
    Ok("published".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_the_trailing_lines() {
        assert_eq!(in_prompt("!no\nhello\n!sleep 1\n!reply x"), ["!sleep 1", "!reply x"]);
        assert!(in_prompt("!reply x\nhello").is_empty());
    }

    #[test]
    fn the_last_section_is_the_bare_prompt() {
        assert_eq!(last_section("<caller id=\"x\" />\n\nhi\n\nthere"), "hi\n\nthere");
        assert_eq!(last_section("<caller id=\"x\" />\n\n<history>\n  a\n</history>\n\nhi"), "hi");
    }
}
