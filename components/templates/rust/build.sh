#!/bin/sh
# Builds plugin.wasm; with `debug`, one whose traps name source lines.
# Needs rustup's target: `rustup target add wasm32-wasip2`.
set -eu
cd "$(dirname "$0")"
profile=release
[ "${1:-}" = debug ] && profile=debug
cargo build --target wasm32-wasip2 $([ $profile = debug ] || echo --release)
cp "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/$profile/{{snake}}.wasm" plugin.wasm
