#!/bin/sh
# Makes a Docker Engine with the runtimes `runc` and `runsc` available and prints its
# DOCKER_HOST as the last line on stdout.
#
#   scripts/engine.sh         use the engine that is there, or start a private one
#   scripts/engine.sh stop    end the private one (never any other)
#
# An engine that has `runsc` is used as it is. Otherwise a daemon of our own runs beside
# whatever the machine has: its data, socket, bridge and configuration are apart, so that
# nothing of an operator's Docker is read, changed or restarted.
#
# Settings: MERCURY_DOCKER_HOST or DOCKER_HOST (an engine to use), MERCURY_DEV_DIR (data,
# /var/lib/mercury-dev), MERCURY_DEV_RUN_DIR (socket and pid, /run/mercury-dev).
# Go templates and apt fields look like shell variables.
# shellcheck disable=SC2016
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
dev_dir=${MERCURY_DEV_DIR:-/var/lib/mercury-dev}
run_dir=${MERCURY_DEV_RUN_DIR:-/run/mercury-dev}
socket=$run_dir/docker.sock
pid_file=$run_dir/dockerd.pid
log_file=$dev_dir/dockerd.log
bridge=mercury-dev0

say() { printf 'engine: %s\n' "$*" >&2; }
fail() {
    printf 'engine: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

runtimes_of() {
    has docker || return 1
    timeout 5 docker -H "$1" info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}' 2>/dev/null
}

has_runsc() {
    case " $(runtimes_of "$1") " in *" runsc "*) return 0 ;; *) return 1 ;; esac
}

# A socket file that nobody serves costs a connection attempt, so look for it first.
socket_missing() {
    case $1 in unix://*) [ ! -S "${1#unix://}" ] ;; *) return 1 ;; esac
}

find_engine() {
    named=${MERCURY_DOCKER_HOST:-${DOCKER_HOST:-}}
    for host in $named "unix://$socket" unix:///var/run/docker.sock; do
        if socket_missing "$host" || ! has_runsc "$host"; then
            [ "$host" != "$named" ] || [ "$host" = "unix://$socket" ] ||
                say "$host does not answer or has no runtime \"runsc\"; a private engine takes its place"
            continue
        fi
        printf '%s\n' "$host"
        return 0
    done
    return 1
}

apt_quiet() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2; }

refresh_lists() {
    [ -z "${lists_fresh:-}" ] || return 0
    apt_quiet update || say "apt-get update failed; trying with the package lists that are there"
    lists_fresh=yes
}

offered() { apt-cache show "$1" >/dev/null 2>&1; }

install_docker() {
    wanted=''
    has dockerd || wanted="$wanted docker.io"
    has runc || wanted="$wanted runc"
    has iptables || wanted="$wanted iptables"
    has ip || wanted="$wanted iproute2"
    # Debian 13 has the client in a package of its own.
    if ! has docker && offered docker-cli; then wanted="$wanted docker-cli"; fi
    [ -n "$wanted" ] || return 0
    has apt-get || fail "missing:$wanted, and this machine has no apt-get. Install Docker Engine and iptables by hand, or set MERCURY_DOCKER_HOST to an engine that has a runsc runtime."
    say "installing$wanted"
    refresh_lists
    # shellcheck disable=SC2086
    apt_quiet install -y --no-install-recommends $wanted ||
        fail "apt-get could not install:$wanted. Install them by hand, then run this again."
    if ! has docker && offered docker-cli; then apt_quiet install -y --no-install-recommends docker-cli; fi
    has docker || fail "dockerd is there but no docker client. Install the package docker-cli (or docker.io), then run this again."
}

release_field() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release; }

# Debian 12 carries a gVisor of 2022, whose only portable platform is the slow ptrace.
# Debian 13's binary is static and runs anywhere; it is taken from the mirror that apt is
# configured for, through state of its own, so that /etc/apt stays as it is.
unpack_newer_runsc() {
    [ "$(release_field ID)" = debian ] && [ "$(release_field VERSION_CODENAME)" = bookworm ] || return 1
    origin=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(SIGNED_BY)' 2>/dev/null |
        grep '^Debian|bookworm|' | head -n 1)
    [ -n "$origin" ] || return 1
    mirror=$(printf '%s' "$origin" | cut -d'|' -f3)
    key=$(printf '%s' "$origin" | cut -d'|' -f4)
    case $key in /*) option="[signed-by=$key] " ;; *) option='' ;; esac

    apt_dir=$(mktemp -d)
    mkdir -p "$apt_dir/lists/partial" "$apt_dir/parts" "$apt_dir/archives/partial"
    printf 'deb %s%s trixie main\n' "$option" "$mirror" >"$apt_dir/sources.list"
    : >"$apt_dir/status"
    private_apt() {
        apt-get -qq -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts="$apt_dir/parts" \
            -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt_dir/parts" \
            -o Dir::State::lists="$apt_dir/lists" -o Dir::State::status="$apt_dir/status" -o Dir::Cache="$apt_dir" \
            -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none \
            -o APT::Sandbox::User=root -o APT::Update::Post-Invoke-Success::='' "$@" >&2
    }
    result=1
    if private_apt update && (cd "$apt_dir" && private_apt download runsc); then
        unpack_runsc "$apt_dir" && result=0
    fi
    rm -rf "$apt_dir"
    return $result
}

unpack_own_runsc() {
    apt_dir=$(mktemp -d)
    result=1
    if (cd "$apt_dir" && apt_quiet -o APT::Sandbox::User=root download runsc); then
        unpack_runsc "$apt_dir" && result=0
    fi
    rm -rf "$apt_dir"
    return $result
}

unpack_runsc() {
    rm -rf "$dev_dir/runsc"
    mkdir -p "$dev_dir/runsc"
    dpkg-deb -x "$1"/runsc_*.deb "$dev_dir/runsc"
}

# Sets $runsc: the machine's own, the one unpacked earlier, or a package unpacked now.
provide_runsc() {
    runsc=$(command -v runsc || true)
    [ -z "$runsc" ] || return 0
    runsc=$dev_dir/runsc/usr/bin/runsc
    [ ! -x "$runsc" ] || return 0
    say "fetching runsc (gVisor)"
    if [ -z "$(apt-get indextargets 2>/dev/null | head -n 1)" ] || ! offered runsc; then refresh_lists; fi
    unpack_newer_runsc || unpack_own_runsc || [ -x "$runsc" ] ||
        fail "no runsc package could be fetched. Put gVisor's runsc on PATH, then run this again."
}

runsc_socket_flag() {
    flags=$("$runsc" flags 2>&1 || "$runsc" --help 2>&1 || true)
    case $flags in
    *"  -host-uds "*) echo --host-uds=open ;;
    *) echo --fsgofer-host-uds ;;
    esac
}

# Starts /bin/true in a sandbox with the given arguments, without any daemon.
probe() {
    bundle=$(mktemp -d)
    "$runsc" spec -bundle "$bundle" -cwd / -- /bin/true
    sed -i 's|"path": "rootfs"|"path": "/"|; s|"terminal": true|"terminal": false|' "$bundle/config.json"
    status=0
    timeout 30 "$runsc" --root "$bundle/state" "$@" run --bundle "$bundle" "mercury-probe-$$" \
        </dev/null >"$bundle/out" 2>&1 || status=$?
    # The loader's own words are the last line of what it printed.
    probe_error=$(tail -n 1 "$bundle/out" | cut -c 1-300)
    rm -rf "$bundle"
    return $status
}

# Sets $runsc_args to the safest arguments that work on this kernel. gVisor's own network
# stack comes before the host's: the gVisor of Debian 13 mistakes every network namespace of
# a new kernel for the root one and then refuses to start with its own stack, even for a
# container without network. `--network=host` means the sockets of the container's own
# network namespace, which Docker still makes apart; one of two layers is lost, not the
# separation.
choose_runsc_args() {
    socket_flag=$(runsc_socket_flag)
    for network in sandbox host; do
        for platform in systrap ptrace; do
            runsc_args="$socket_flag --platform=$platform --network=$network"
            # shellcheck disable=SC2086
            if probe $runsc_args; then
                case $runsc_args in *=host) say "gVisor's own network stack is refused here: $refusal" ;; esac
                say "$("$runsc" --version | head -n 1) with $runsc_args"
                return 0
            fi
            [ "$network" = host ] || refusal=$probe_error
        done
    done
    fail "runsc starts with none of its platforms on this kernel ($(uname -r)); the last reason: $probe_error. Set MERCURY_DOCKER_HOST to an engine on another machine, or put a newer runsc on PATH."
}

another_daemon_runs() { grep -qsx dockerd /proc/[0-9]*/comm; }

# Docker empties its iptables chains when it starts. Beside another daemon that would cut
# its published ports, so there we have a bridge and rules of our own and leave the chains
# alone. Otherwise Docker's default bridge does.
choose_network() {
    if another_daemon_runs; then
        make_bridge
        network_json="\"bridge\": \"$bridge\", \"iptables\": false, \"ip6tables\": false"
        say "another Docker daemon runs: using the bridge $bridge"
        return
    fi
    network_json='"iptables": true'
    iptables -t nat -L -n >/dev/null 2>&1 && return
    if has iptables-legacy && iptables-legacy -t nat -L -n >/dev/null 2>&1; then
        mkdir -p "$dev_dir/bin"
        for tool in iptables ip6tables; do ln -sf "$(command -v $tool-legacy)" "$dev_dir/bin/$tool"; done
        say "iptables over nftables does not work on this kernel: using iptables-legacy"
        return
    fi
    network_json='"iptables": false, "ip6tables": false'
    say "iptables does not work on this kernel: containers reach this machine but nothing beyond it"
}

make_bridge() {
    if ! ip link show "$bridge" >/dev/null 2>&1; then
        subnet=$(free_subnet)
        ip link add name "$bridge" type bridge
        ip addr add "$subnet.1/24" dev "$bridge"
    fi
    ip link set "$bridge" up
    subnet=$(bridge_subnet)
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for_each_rule add_rule
}

remove_bridge() {
    subnet=$(bridge_subnet)
    [ -n "$subnet" ] || return 0
    for_each_rule remove_rule
    ip link del "$bridge"
}

free_subnet() {
    for candidate in 172.29.89 172.30.89 192.168.189 10.189.89; do
        if ! ip -4 route show root "${candidate%.*}.0.0/16" | grep -q .; then
            echo "$candidate"
            return
        fi
    done
    fail "no free network for the bridge $bridge. Make a bridge of that name with a /24 address by hand, then run this again."
}

bridge_subnet() { ip -4 -o addr show dev "$bridge" 2>/dev/null | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/24 .*/\1/p'; }

for_each_rule() {
    "$1" nat POSTROUTING -s "$subnet.0/24" ! -o "$bridge" -j MASQUERADE
    "$1" filter FORWARD -i "$bridge" -j ACCEPT
    "$1" filter FORWARD -o "$bridge" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
}

add_rule() {
    table=$1 chain=$2
    shift 2
    iptables -w -t "$table" -C "$chain" "$@" 2>/dev/null || iptables -w -t "$table" -I "$chain" "$@" ||
        say "iptables refused a rule for $bridge; containers may not reach beyond this machine"
}

remove_rule() {
    table=$1 chain=$2
    shift 2
    iptables -w -t "$table" -D "$chain" "$@" 2>/dev/null || true
}

# The pid in our file, if it is alive and runs with this very file.
daemon_pid() {
    pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$pid_file" || return 1
    echo "$pid"
}

write_config() {
    quoted=''
    for arg in $runsc_args; do quoted="$quoted${quoted:+, }\"$arg\""; done
    cat >"$dev_dir/daemon.json" <<JSON
{
  "data-root": "$dev_dir/docker",
  "exec-root": "$run_dir/exec",
  "hosts": ["unix://$socket"],
  "runtimes": { "runsc": { "path": "$runsc", "runtimeArgs": [$quoted] } },
  "log-driver": "json-file",
  "log-opts": { "max-size": "10m", "max-file": "1" },
  $network_json
}
JSON
}

launch() {
    [ ! -f "$log_file" ] || mv "$log_file" "$log_file.1"
    # Descriptor 9 holds our lock: the daemon must not inherit it.
    PATH="$dev_dir/bin:$PATH" setsid nohup dockerd --config-file "$dev_dir/daemon.json" --pidfile "$pid_file" \
        >"$log_file" 2>&1 </dev/null 9>&- &
}

await() {
    waited=0
    until [ -S "$socket" ] && has_runsc "unix://$socket"; do
        waited=$((waited + 1))
        if [ $waited -gt 300 ] || { [ $waited -gt 20 ] && ! daemon_pid >/dev/null; }; then
            tail -n 15 "$log_file" >&2
            fail "the private Docker daemon does not answer at $socket. Its log is $log_file; the end of it stands above."
        fi
        sleep 0.1
    done
}

# As root, one at a time.
provide() {
    umask 022
    mkdir -p "$dev_dir" "$run_dir"
    exec 9>"$dev_dir/lock"
    flock 9
    if ! { [ -S "$socket" ] && has_runsc "unix://$socket"; }; then
        if ! daemon_pid >/dev/null; then
            install_docker
            provide_runsc
            choose_runsc_args
            choose_network
            write_config
            # Left by a daemon that was killed; a new one would take its pid for alive.
            rm -f "$pid_file" "$socket"
            say "starting a private Docker daemon (log: $log_file)"
            launch
        fi
        await
    fi
    # Who may use this socket is root on this machine: one person, never a group.
    chmod 600 "$socket"
    chown "${1:-0}" "$socket"
}

stop() {
    pid=$(daemon_pid) || {
        say "no private Docker daemon runs"
        return 0
    }
    kill "$pid"
    waited=0
    while [ -d "/proc/$pid" ]; do
        waited=$((waited + 1))
        [ $waited -le 300 ] || fail "the private Docker daemon (pid $pid) has not ended after 30 s; see $log_file"
        sleep 0.1
    done
    if grep -q "\"bridge\": \"$bridge\"" "$dev_dir/daemon.json"; then remove_bridge; fi
    say "ended the private Docker daemon (pid $pid)"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        # -E: the proxy and certificate settings of this session count for the downloads too.
        sudo -E MERCURY_DEV_DIR="$dev_dir" MERCURY_DEV_RUN_DIR="$run_dir" sh "$0" "$@"
    else
        fail "starting a private Docker daemon needs root, and this machine has no sudo. Run as root, or set MERCURY_DOCKER_HOST to an engine that has a runsc runtime."
    fi
}

case ${1:-} in
'')
    if ! find_engine; then
        as_root provide "$(id -u)"
        printf 'unix://%s\n' "$socket"
    fi
    ;;
provide) provide "${2:-0}" ;;
stop) as_root stop ;;
*) fail "unknown argument \"$1\". Usage: scripts/engine.sh [stop]" ;;
esac
