//! `mrctl`: see [`mrctl::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let socket = mrctl::socket_path(std::env::var_os("API_SOCKET"));
    let code = mrctl::run(&arguments, &socket, &mut std::io::stdout().lock(), &mut std::io::stderr().lock());
    ExitCode::from(code)
}
