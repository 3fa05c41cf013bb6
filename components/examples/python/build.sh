#!/bin/sh
# Builds plugin.wasm as every plugin in Python is built, against the contract of this checkout.
set -eu
here=$(dirname "$0")
mkdir -p "$here/wit"
cp "$here"/../../../wit/*.wit "$here/plugin.wit" "$here/wit/"
. "$here/../../templates/python/build.sh"
