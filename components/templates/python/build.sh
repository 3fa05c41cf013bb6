#!/bin/sh
# Builds plugin.wasm. The tools come into a folder of the cache, nothing is installed globally.
# `./build.sh types` writes bindings/ for an editor or a type checker.
set -eu
cd "$(dirname "$0")"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mercury/python/$(cksum <requirements.txt | cut -d ' ' -f 1)
if [ ! -x "$tools/bin/componentize-py" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
fi
if [ "${1:-}" = types ]; then
    "$tools/bin/componentize-py" -d wit -w plugin bindings bindings
else
    "$tools/bin/componentize-py" -d wit -w plugin componentize plugin -o plugin.wasm
fi
