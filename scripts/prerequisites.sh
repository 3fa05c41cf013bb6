#!/bin/sh
# Installs what a Debian or Ubuntu machine with only rustup lacks for building Mercury. Says
# one line for each thing that it installs, and nothing when all is there. With names of languages
# (typescript, python, c) also what plugins in those need.
set -eu

# A login shell has this from rustup's profile; cron and CI do not.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say() { printf 'prerequisites: %s\n' "$*" >&2; }
fail() {
    printf 'prerequisites: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo -E "$@"
    else
        fail "installing needs root, and this machine has no sudo. As root, run: $*"
    fi
}

install_package() {
    has apt-get || fail "missing: $2. Install it with this system's package manager (on Debian the package is called $1), then run this again."
    say "installing $1 ($2)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$1" >/dev/null ||
        { as_root apt-get -qq update && as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$1" >/dev/null; } ||
        fail "apt-get could not install $1. Try 'apt-get update && apt-get install $1' by hand to see why."
}

need_toolchain() {
    has cargo || fail "there is no cargo. Install Rust with rustup (https://rustup.rs), then run this again."
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=$(rustc --version | cut -d' ' -f2)
    at_least "$wanted" "$found" ||
        fail "rustc is $found, but Mercury needs $wanted or newer. Run: rustup update stable"
}

# Looked for in the toolchain itself: it answers faster than rustup and also where a
# distribution's Rust has no rustup.
need_target() {
    [ ! -d "$sysroot/lib/rustlib/$1/lib" ] || return 0
    has rustup || fail "the Rust target $1 is missing and there is no rustup to add it. Install Rust with rustup (https://rustup.rs), or add the target's standard library by hand."
    say "adding the Rust target $1 ($2)"
    rustup --quiet target add "$1" >&2 ||
        fail "rustup could not add the target $1. Try 'rustup target add $1' by hand to see why."
}

need_component() {
    has "$2" && "$2" --version >/dev/null 2>&1 && return 0
    has rustup || fail "$2 is missing and there is no rustup to add it. Install it from where this machine's Rust came from."
    say "adding the Rust component $1"
    rustup --quiet component add "$1" >&2 ||
        fail "rustup could not add $1. Try 'rustup component add $1' by hand to see why."
}

# at_least WANTED FOUND
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

need_language() {
    case $1 in
    typescript)
        has node || install_package nodejs "Node, for plugins in TypeScript"
        has npm || install_package npm "npm, for plugins in TypeScript"
        found=$(node --version | tr -d v)
        at_least 20 "$found" || fail "node is $found, but plugins in TypeScript need 20 or newer. Install it from https://nodejs.org, then run this again."
        ;;
    python)
        # Debian leaves it out of python3.
        python3 -c 'import ensurepip' 2>/dev/null || install_package python3-venv "Python's environments, for plugins in Python"
        found=$(python3 -c 'import platform; print(platform.python_version())')
        at_least 3.10 "$found" || fail "python3 is $found, but plugins in Python need 3.10 or newer. Install a newer one, then run this again."
        ;;
    c)
        [ -z "${CC:-}${WASI_SDK_PATH:-}" ] || return 0
        has clang-19 || install_package clang-19 "clang, for plugins in C"
        has wasm-ld-19 || install_package lld-19 "the linker of clang"
        [ -e /usr/include/wasm32-wasi/stdio.h ] || install_package wasi-libc "the C library of plugins"
        [ -e /usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a ] ||
            install_package libclang-rt-19-dev-wasm32 "clang's own functions, for plugins in C"
        ;;
    rust) ;;
    *) fail "there is no language \"$1\": rust, typescript, python, c" ;;
    esac
}

cd "$(dirname "$0")/.."
# SQLite is compiled from C, and rustc links with cc.
has cc || install_package gcc "a C compiler"
[ -e /usr/include/stdio.h ] || install_package libc6-dev "the C library's headers"
# The tests run the commands that plugins bring into the agent's image.
has python3 || install_package python3 "the plugins' commands"
need_toolchain
sysroot=$(rustc --print sysroot)
need_target wasm32-wasip2 "the plugins"
# The programs that run inside containers hold no C: Rust links them without a musl compiler.
need_target "$(uname -m)-unknown-linux-musl" "the programs inside the containers"
need_component rustfmt cargo-fmt
need_component clippy cargo-clippy
for language in "$@"; do need_language "$language"; done
