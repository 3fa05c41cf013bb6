#!/bin/sh
# Builds plugin.wasm as every plugin in C is built, against the contract of this checkout; with `debug`, one
# whose traps name source lines. `check` tests the rule alone, with the machine's own compiler.
set -eu
here=$(dirname "$0")
if [ "${1:-}" = check ]; then
    cd "$here"
    mkdir -p build
    "${HOSTCC:-$(command -v cc || command -v clang-19)}" -std=c17 -Wall -Wextra -Werror src/odd.c src/odd_test.c -o build/check
    exec build/check
fi
mkdir -p "$here/wit"
cp "$here"/../../../wit/*.wit "$here/plugin.wit" "$here/wit/"
. "$here/../../templates/c/build.sh"
