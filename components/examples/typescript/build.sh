#!/bin/sh
# Builds plugin.wasm as every plugin in TypeScript is built, against the contract of this checkout. `check`
# checks the types and runs the tests that need no host.
set -eu
here=$(dirname "$0")
mkdir -p "$here/wit"
cp "$here"/../../../wit/*.wit "$here/plugin.wit" "$here/wit/"
if [ "${1:-}" = check ]; then
    (. "$here/../../templates/typescript/build.sh")
    cd "$here"
    exec node --test
fi
. "$here/../../templates/typescript/build.sh"
