#!/bin/sh
# Builds the agent images, unless they are there already with the same content.
#
#   build.sh full [--rebuild]       mercury-agent:latest
#   build.sh minimal BINARY         mercury-agent-minimal:latest, whose `pi` is BINARY
#
# The label mercury.image.digest says what an image was built from. --rebuild builds even if
# nothing of ours changed, to take in newer packages of the distribution.
# Settings: DOCKER_HOST (see scripts/engine.sh), MERCURY_IMAGE_BUILDER (docker | debootstrap;
# normally found out).
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
BASE=debian:bookworm-slim

say() { printf 'image: %s\n' "$*" >&2; }
fail() {
    printf 'image: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

digest_of() { cat "$@" | sha256sum | cut -c 1-16; }

is_current() {
    [ "$(docker image inspect --format '{{index .Config.Labels "mercury.image.digest"}}' "$1" 2>/dev/null)" = "$2" ]
}

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }

# What the tag pointed to before; kept by the engine for as long as a container runs on it.
drop_former() {
    [ -z "$former" ] || [ "$former" = "$(image_id "$1")" ] || docker image rm "$former" >/dev/null 2>&1 || true
}

make_context() {
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    trap 'exit 130' INT TERM HUP
    mkdir "$context/settings"
}

# What this machine's clients need to reach their registries, for the build only.
gather_settings() {
    settings=$context/settings
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
        PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT NPM_CONFIG_REGISTRY npm_config_registry; do
        eval "value=\${$name:-}"
        # shellcheck disable=SC2154
        [ -z "$value" ] || printf "export %s='%s'\n" "$name" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")"
    done >"$settings/env"
    first_file "$settings/ca.pem" "${SSL_CERT_FILE:-}" "${NODE_EXTRA_CA_CERTS:-}" /etc/ssl/certs/ca-certificates.crt
    first_file "$settings/npmrc" "${NPM_CONFIG_USERCONFIG:-}" "$HOME/.npmrc" /etc/npmrc
    first_file "$settings/pip.conf" "${PIP_CONFIG_FILE:-}" "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" /etc/pip.conf
}

first_file() {
    target=$1
    shift
    for file in "$@"; do
        if [ -f "$file" ] && [ -s "$file" ]; then
            cp "$file" "$target"
            return
        fi
    done
}

registry_answers() {
    docker image inspect "$BASE" >/dev/null 2>&1 || timeout 10 docker manifest inspect "$BASE" >/dev/null 2>&1
}

choose_builder() {
    if [ -n "${MERCURY_IMAGE_BUILDER:-}" ]; then
        builder=$MERCURY_IMAGE_BUILDER
    elif registry_answers; then
        builder=docker
    else
        builder=debootstrap
        say "no container registry answers for $BASE: building with debootstrap from this machine's package mirror"
    fi
}

# --network host: the build reaches what this machine reaches, also where the engine's bridge
# has no way out.
docker_build() {
    cp "$here/Dockerfile" "$context/Dockerfile"
    docker build --network host --label "mercury.image.digest=$2" -t "$1" "$context" >&2
}

debootstrap_build() {
    if ! has debootstrap; then
        say "installing debootstrap"
        as_root apt-get -qq update || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends debootstrap >&2 ||
            fail "apt-get could not install debootstrap. Install it by hand, then run this again."
    fi
    as_root env DOCKER_HOST="${DOCKER_HOST:-}" sh "$here/debootstrap.sh" "$context" "$1" "$2" >&2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo -E "$@"
    else
        fail "building without a container registry needs root, and this machine has no sudo. Run as root, or where the registry is reachable."
    fi
}

build_full() {
    tag=mercury-agent:latest
    digest=$(digest_of "$here/install-agent.sh" "$here/Dockerfile" "$here/debootstrap.sh")
    if [ "${1:-}" != --rebuild ] && is_current "$tag" "$digest"; then return; fi
    say "building $tag (once; a few minutes)"
    former=$(image_id "$tag")
    make_context
    cp "$here/install-agent.sh" "$context/"
    gather_settings
    choose_builder
    case $builder in
    docker) docker_build "$tag" "$digest" ;;
    debootstrap) debootstrap_build "$tag" "$digest" ;;
    *) fail "MERCURY_IMAGE_BUILDER is \"$builder\"; it can be docker or debootstrap" ;;
    esac
    drop_former "$tag"
    say "built $tag"
}

# Nothing but a static program in the place of pi: starts at once and can be told what to do.
build_minimal() {
    tag=mercury-agent-minimal:latest
    binary=${1:-}
    [ -f "$binary" ] || fail "there is no scripted agent at \"$binary\". Build it with: cargo build -p mercury-scripted --target $(uname -m)-unknown-linux-musl --release"
    digest=$(digest_of "$here/build.sh" "$binary")
    if is_current "$tag" "$digest"; then return; fi
    former=$(image_id "$tag")
    make_context
    root=$context/root
    mkdir -p "$root/usr/local/bin" "$root/etc" "$root/tmp" "$root/home/mercury" "$root/spaces" "$root/proc" "$root/dev" "$root/sys"
    install -m 755 "$binary" "$root/usr/local/bin/pi"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nmercury:x:1000:1000::/home/mercury:/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nmercury:x:1000:\n' >"$root/etc/group"
    tar -C "$root" --owner=0 --group=0 --mode=a+rX --exclude=./home/mercury --exclude=./tmp -cf "$context/root.tar" .
    tar -C "$root" --owner=0 --group=0 --mode=1777 -rf "$context/root.tar" ./tmp
    tar -C "$root" --owner=1000 --group=1000 --mode=755 -rf "$context/root.tar" ./home/mercury
    docker import \
        --change 'ENV PATH=/usr/local/bin' --change 'ENV HOME=/home/mercury' \
        --change 'LABEL mercury.image.kind=minimal-scripted' --change "LABEL mercury.image.digest=$digest" \
        --change 'USER 1000:1000' --change 'WORKDIR /home/mercury' --change 'CMD ["/usr/local/bin/pi"]' \
        "$context/root.tar" "$tag" >/dev/null
    drop_former "$tag"
    say "built $tag"
}

has docker || fail "there is no docker client. Run scripts/engine.sh first."
case ${1:-} in
full) build_full "${2:-}" ;;
minimal) build_minimal "${2:-}" ;;
*) fail "usage: build.sh full [--rebuild] | build.sh minimal BINARY" ;;
esac
