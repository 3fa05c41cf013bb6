//! The `mercury` binary: see [`mercury::cli`].

fn main() -> std::process::ExitCode {
    mercury::cli::main()
}
