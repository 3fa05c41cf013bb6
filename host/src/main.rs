//! The `mercury` binary: see [`mercury::cli`].

/// For the C libraries in it, too. With glibc's the memory of a host grew with what each of its threads kept for itself;
/// settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    mercury::cli::main()
}
