//! What the agent types to ask the host for something: `mrctl whoami`.
//!
//! Owns the command table, the HTTP exchange over the run's unix socket and the way results and
//! errors are shown. Sends no identity and holds no secret: the host knows the caller by the
//! socket that the request came through. Knows nothing of what a command means; the host does.

mod ask;
pub mod client;
mod commands;
mod error;
mod help;
mod line;
mod probe;
mod show;
mod tts;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use mercury_protocol::paths;

use commands::Show;
pub use error::Error;
use show::Shown;

/// The socket named by `API_SOCKET`, or where the host puts it.
pub fn socket_path(api_socket: Option<OsString>) -> PathBuf {
    match api_socket {
        Some(path) if !path.is_empty() => path.into(),
        _ => Path::new(paths::RUN_DIR).join(paths::SOCKET),
    }
}

/// Runs one command line (without the program's name) and returns the exit code: 0 or 1.
pub fn run(arguments: &[String], socket: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match answer(arguments, socket) {
        // Nobody is left to tell when our own output is closed, so write errors end here.
        Ok(Shown { out: text, err: aside }) => {
            let _ = err.write_all(aside.as_bytes());
            u8::from(out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err())
        }
        Err(error) => {
            let json = line::find(arguments).is_ok_and(|command| command.json_errors);
            let _ = err.write_all(if json { error.as_json() } else { error.shown() }.as_bytes());
            1
        }
    }
}

fn answer(arguments: &[String], socket: &Path) -> Result<Shown, Error> {
    let text = Shown::from;
    match arguments.first().map(String::as_str) {
        None => return Err(Error::NoCommand),
        Some("help" | "--help" | "-h") => {
            let topic = arguments.get(1..).unwrap_or_default().join(" ");
            return help::text((!topic.is_empty()).then_some(topic.as_str())).map(text);
        }
        Some("--version" | "-V") => {
            return Ok(text(concat!("mrctl ", env!("CARGO_PKG_VERSION"), "\n").into()));
        }
        // For the host's own probe container, so it stands in no help.
        Some("probe") => return client::exchange(socket, &probe::request()?).map(|_| Shown::default()),
        Some(_) => {}
    }
    let (command, line) = line::parse(arguments)?;
    if line.help {
        return help::text(Some(command.name)).map(text);
    }
    let request = (command.request)(&line)?;
    let response = client::exchange(socket, &request)?;
    match command.show {
        Show::Host(_) if line.has("json") => show::json(&response),
        Show::Host(show) | Show::Plugin(show) => show(&line, &response),
    }
}
