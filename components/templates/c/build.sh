#!/bin/sh
# Builds plugin.wasm; with `debug`, one whose traps name source lines.
#
# Needs clang for WebAssembly: the wasi-sdk (set WASI_SDK_PATH to its folder), or Debian's packages
# clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32. Two tools come from cargo, in these versions and
# into a folder of the cache: wit-bindgen (the bindings) and wasm-component-ld (the linker).
set -eu
cd "$(dirname "$0")"
bindgen=0.63.0 linker=0.5.21
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mercury/c/$bindgen-$linker
install() {
    [ -x "$tools/bin/$1" ] && return
    echo "installing $2 $3 into $tools (once; it takes minutes)" >&2
    cargo install "$2" --version "$3" --locked --quiet --root "$tools"
}
install wit-bindgen wit-bindgen-cli $bindgen
install wasm-component-ld wasm-component-ld $linker
PATH="$tools/bin:${WASI_SDK_PATH:+$WASI_SDK_PATH/bin:}$PATH"
clang=${CC:-clang}
if [ -z "${CC:-}${WASI_SDK_PATH:-}" ] && command -v clang-19 >/dev/null; then clang=clang-19; fi
if ! command -v "$clang" >/dev/null; then
    echo "$clang is missing: install the packages clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32, or set WASI_SDK_PATH" >&2
    exit 1
fi

wit-bindgen c wit --world plugin --out-dir bindings >/dev/null
flags='-Os -flto -Wl,--strip-all'
[ "${1:-}" = debug ] && flags='-g -O0'
sources=$(find src -name '*.c' ! -name '*_test.c')
# shellcheck disable=SC2086
"$clang" --target=wasm32-wasi -mexec-model=reactor -std=c17 -Wall -Wextra -Werror $flags -Ibindings \
    -fuse-ld="$(command -v wasm-component-ld)" \
    $sources bindings/plugin.c bindings/plugin_component_type.o -o plugin.wasm
