#!/bin/sh
# The agent image where no container registry is reachable: a bare root from the Debian or
# Ubuntu mirror that this machine's apt is configured for, filled by install-agent.sh.
#
#   debootstrap.sh CONTEXT TAG DIGEST     (called by build.sh, as root)
#
# CONTEXT is build.sh's directory with install-agent.sh and settings/.
# shellcheck disable=SC2016
set -eu

context=$1 tag=$2 digest=$3

fail() {
    printf 'debootstrap.sh: %s\n' "$*" >&2
    exit 1
}

release_field() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release; }

# One line per archive of the distribution itself: URI, suite, component. Sources of third
# parties on this machine have no business in the image.
own_sources() {
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)' |
        sed -n "s/^$vendor|\([^|]*\)|\([^|]*\)|\([^|]*\)|Packages$/\1 \2 \3/p" | sort -u
}

bare_root() {
    components=$(printf '%s\n' "$sources" | awk -v s="$suite" '$2 == s { print $3 }' | paste -sd, -)
    debootstrap --variant=minbase --components="$components" "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 || {
        tail -n 15 "$work/debootstrap.log" >&2
        fail "debootstrap of $suite failed; its last lines stand above. Check that 'apt-get update' works on this machine."
    }
}

lend_settings() {
    printf '%s\n' "$sources" | sed 's/^/deb /' >"$root/etc/apt/sources.list"
    # Proxies, time limits and certificates of this machine's apt.
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries)' >"$root/etc/apt/apt.conf.d/99mercury-build" || true
    mkdir -p "$root/run/mercury-build"
    cp -R "$context/settings/." "$root/run/mercury-build/"
    if [ -f "$context/settings/ca.pem" ]; then
        printf 'Acquire::https::CaInfo "/run/mercury-build/ca.pem";\n' >>"$root/etc/apt/apt.conf.d/99mercury-build"
    fi
    cp "$context/install-agent.sh" "$root/run/install-agent.sh"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}

# In namespaces of its own: whatever ends this build also ends what it started and its mounts.
fill() {
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$1/proc"
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            chroot "$1" /bin/sh /run/install-agent.sh' sh "$root"
}

take_settings_back() {
    rm -rf "$root/run/mercury-build" "$root/run/install-agent.sh" "$root/etc/apt/apt.conf.d/99mercury-build"
    rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/var/log/bootstrap.log"
    printf '# Put a source here before apt-get: the build used the mirror of its machine.\n' >"$root/etc/apt/sources.list"
}

import() {
    tar -C "$root" --numeric-owner --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' \
        --exclude='./run/*' -c . |
        docker import \
            --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            --change 'ENV LANG=C.UTF-8' \
            --change 'ENV HOME=/home/mercury' \
            --change 'LABEL mercury.image.kind=full' \
            --change "LABEL mercury.image.digest=$digest" \
            --change 'USER 1000:1000' \
            --change 'WORKDIR /home/mercury' \
            --change 'CMD ["/bin/bash"]' \
            - "$tag" >/dev/null
}

[ "$(id -u)" = 0 ] || fail "making a root file system needs root. Run build.sh, which asks sudo for it."
case $(release_field ID) in
debian) vendor=Debian ;;
ubuntu) vendor=Ubuntu ;;
*) fail "this machine is neither Debian nor Ubuntu and no container registry answers. Load an image of another machine with 'docker save | docker load', or build where the registry is reachable." ;;
esac
suite=$(release_field VERSION_CODENAME)
[ -n "$(apt-get indextargets)" ] || apt-get -qq update
sources=$(own_sources)
mirror=$(printf '%s\n' "$sources" | awk -v s="$suite" '$2 == s { print $1; exit }')
[ -n "$mirror" ] || fail "apt on this machine has no source for $suite of $vendor. Check /etc/apt/sources.list and run 'apt-get update'."

work=$(mktemp -d /var/tmp/mercury-image.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM HUP
root=$work/root
mkdir -m 755 "$root"

printf '==> image: bare %s root\n' "$suite"
bare_root
lend_settings
fill
take_settings_back
printf '==> image: importing as %s\n' "$tag"
import
