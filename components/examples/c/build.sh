#!/bin/sh
# Builds plugin.wasm; with `debug`, one whose traps name source lines. `check` tests the rule alone, with the
# machine's own compiler.
#
# Needs clang for WebAssembly: the wasi-sdk (set WASI_SDK_PATH to its folder), or Debian's packages
# clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32. Two tools come from cargo, into a folder of the
# cache, unless they are there: wit-bindgen (the bindings) and wasm-component-ld (the linker).
set -eu
cd "$(dirname "$0")"
if [ "${1:-}" = check ]; then
    mkdir -p build
    "${HOSTCC:-$(command -v cc || command -v clang-19)}" -std=c17 -Wall -Wextra -Werror src/odd.c src/odd_test.c -o build/check
    exec build/check
fi
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mercury/c
PATH="${WASI_SDK_PATH:+$WASI_SDK_PATH/bin:}$tools/bin:$PATH"
for tool in wit-bindgen-cli:wit-bindgen:0.63.0 wasm-component-ld:wasm-component-ld:0.5.21; do
    program=${tool#*:} version=${tool##*:}
    program=${program%:*}
    command -v "$program" >/dev/null || cargo install "${tool%%:*}" --version "$version" --locked --quiet --root "$tools"
done
clang=${CC:-clang}
if [ -z "${CC:-}${WASI_SDK_PATH:-}" ] && command -v clang-19 >/dev/null; then clang=clang-19; fi

mkdir -p build/wit
cp ../../../wit/*.wit plugin.wit build/wit/
wit-bindgen c build/wit --world plugin --out-dir build/bindings >/dev/null
flags='-Os -flto -Wl,--strip-all'
[ "${1:-}" = debug ] && flags='-g -O1'
# shellcheck disable=SC2086
"$clang" --target=wasm32-wasi -mexec-model=reactor -std=c17 -Wall -Wextra -Werror $flags -Ibuild/bindings \
    -fuse-ld="$(command -v wasm-component-ld)" \
    src/plugin.c src/odd.c build/bindings/plugin.c build/bindings/plugin_component_type.o -o plugin.wasm
