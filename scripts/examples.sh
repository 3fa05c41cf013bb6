#!/bin/sh
# Builds and tests plugins: the examples, and each template of `mercury plugins new`; then one that fails,
# whose failure must name the line of its source. Takes the program and the languages as its arguments. A
# language whose tools are missing is an error: what was not built was not tested.
set -eu
mercury=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
figures=$scratch/figures
# Not the target folder of this checkout: the host's build holds its lock.
CARGO_TARGET_DIR="$CARGO_TARGET_DIR/scaffolds"
export CARGO_TARGET_DIR

fail() {
    echo "examples: $*" >&2
    exit 1
}

now() { date +%s%N; }

# build TITLE: builds the plugin in this folder, plays its recordings, and notes time and size.
build() {
    echo "== $1"
    began=$(now)
    ./build.sh >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "$1 does not build"; }
    printf '%s|%s|%s\n' "$1" $((($(now) - began) / 1000000)) "$(wc -c <plugin.wasm)" >>"$figures"
    "$mercury" plugins test || fail "$1 fails its recordings"
}

scaffold() {
    (cd "$scratch" && "$mercury" plugins new "my-$2" --language "$1" --kind "$2" --folder "$1-$2" >/dev/null 2>&1)
    # The versions of crates that the host's own components have.
    [ "$1" != rust ] || cp components/Cargo.lock "$scratch/$1-$2/"
}

# break_it LANGUAGE: the guard's rule fails, and says so with a line of its own.
break_it() {
    case $1 in
    rust) file=src/lib.rs code='    if tool == "bash" { panic!("not today") }' before='if role != "admin"' ;;
    typescript) file=src/plugin.ts code="  if (tool === 'bash') throw new Error('not today');" before="if (role !== 'admin'" ;;
    python) file=plugin.py code='    if tool == "bash": raise RuntimeError("not today")' before='if role != "admin"' ;;
    c) file=src/plugin.c code='    if (text_is(*tool, "bash")) abort();' before='if (!text_is(caller->role, "admin")' ;;
    esac
    at=$(grep -nF "$before" "$file" | head -n 1 | cut -d: -f1)
    sed -i "${at}i\\$code" "$file"
    case $1 in rust | c) ./build.sh debug ;; *) ./build.sh ;; esac >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "the broken guard in $1 does not build"; }
    said=$("$mercury" plugins test --filter member) && fail "the broken guard in $1 passes"
    # QuickJS knows the JavaScript that TypeScript became.
    [ "$1" != typescript ] || file=build/plugin.js
    line=$(grep -nE 'not today|abort\(\)' "$file" | head -n 1 | cut -d: -f1)
    echo "$said" | grep -q "$(basename "$file").*$line\b" || fail "a failure in $1 does not name $file, line $line:
$said"
}

for language in "$@"; do
    (
        cd "components/examples/$language" || fail "there is no language \"$language\""
        case $language in
        typescript | c) ./build.sh check ;;
        python) python3 -m unittest -q test_dates.py ;;
        esac
        build "the example in $language"
    )
    for kind in components/templates/kinds/*/; do
        kind=$(basename "$kind")
        scaffold "$language" "$kind"
        (cd "$scratch/$language-$kind" && build "a $kind in $language")
    done
    # Once more, now that all tools and crates are there.
    (
        cd "$scratch/$language-guard"
        find . -maxdepth 2 \( -name '*.rs' -o -name '*.ts' -o -name '*.py' -o -name '*.c' \) -exec touch {} +
        build "a guard in $language, again"
    )
    echo "== a guard in $language that fails"
    (cd "$scratch/$language-guard" && break_it "$language")
done

echo "== what it took"
while IFS='|' read -r title ms bytes; do
    printf '%-36s %6s ms %10s bytes\n' "$title" "$ms" "$bytes"
done <"$figures"
