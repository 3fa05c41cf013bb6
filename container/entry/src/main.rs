//! The container's first process. Everything is in the library; see [`mercury_entry`].

use std::io::Write;
use std::process::ExitCode;

use mercury_entry::{place::Place, signals::Signals};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The result file tells the host; this line is for whoever reads the container's log.
            let _ = std::io::stderr().lock().write_all(format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let started = mercury_entry::clock::now_us();
    let signals = Signals::install()?;
    let place = Place::from_environment(|name| std::env::var_os(name));
    Ok(mercury_entry::run(&place, &signals, started)?)
}
