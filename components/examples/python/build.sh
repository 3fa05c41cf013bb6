#!/bin/sh
# Builds plugin.wasm. The tools come into a folder of the cache, nothing is installed globally.
set -eu
cd "$(dirname "$0")"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/mercury/python/$(cksum <requirements.txt | cut -d ' ' -f 1)
if [ ! -x "$tools/bin/componentize-py" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
fi
mkdir -p build/wit
cp ../../../wit/*.wit plugin.wit build/wit/
"$tools/bin/componentize-py" --quiet -d build/wit -w plugin componentize plugin -o plugin.wasm
