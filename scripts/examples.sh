#!/bin/sh
# Builds and tests plugins in every language: the examples, and each template of `mercury plugins new`.
# Takes the program as its argument. A language whose toolchain is missing is an error: what was not
# built was not tested.
set -eu
mercury=$(realpath "$1")
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Not the target folder of this checkout: the host's build holds its lock.
CARGO_TARGET_DIR="$CARGO_TARGET_DIR/scaffolds"
export CARGO_TARGET_DIR

for language in rust typescript python c; do
    echo "== components/examples/$language"
    (
        cd "components/examples/$language"
        case $language in
        typescript | c) ./build.sh check ;;
        python) python3 -m unittest -q test_dates.py ;;
        esac
        ./build.sh
        "$mercury" plugins test
    )
    for kind in guard processor adapter broker hook; do
        echo "== a $kind in $language"
        (
            cd "$scratch"
            "$mercury" plugins new "my-$kind" --language $language --kind $kind --folder "$language-$kind" >/dev/null 2>&1
            cd "$language-$kind"
            ./build.sh
            "$mercury" plugins test
        )
    done
done
