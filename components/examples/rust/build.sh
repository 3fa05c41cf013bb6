#!/bin/sh
# Builds plugin.wasm; with `debug`, one whose traps name source lines.
# Needs rustup's target: `rustup target add wasm32-wasip2`.
set -eu
cd "$(dirname "$0")"
profile=release
[ "${1:-}" = debug ] && profile=debug
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mercury/target/components}
cargo build --target wasm32-wasip2 --target-dir "$target" $([ $profile = debug ] || echo --release)
cp "$target/wasm32-wasip2/$profile/mail_guard.wasm" plugin.wasm
