#!/bin/sh
# Builds plugin.wasm: types out of wit/, TypeScript to JavaScript, JavaScript with QuickJS to a component.
# The tools come into a folder of the cache, nothing is installed globally. `./build.sh check` only checks.
set -eu
cd "$(dirname "$0")"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mercury/node/$(cat package.json package-lock.json | sed 's/"name": "[^"]*"//' | cksum | cut -d ' ' -f 1)
if [ ! -x "$tools/node_modules/.bin/tsc" ]; then
    mkdir -p "$tools"
    cp package.json package-lock.json "$tools/"
    (cd "$tools" && npm ci --no-audit --no-fund --loglevel=error)
fi
node types.mjs "$tools/node_modules"
"$tools/node_modules/.bin/tsc"
[ "${1:-}" = check ] && exit
"$tools/node_modules/.bin/componentize-qjs" --sync --wit wit --world plugin --js build/plugin.js --output plugin.wasm
