#!/bin/sh
# Checks an agent image the way the host runs it: uid 1000, read-only root, no network, no
# capabilities, under each of the engine's runtimes.
#
#   test.sh IMAGE
# shellcheck disable=SC2016
set -eu

image=${1:?usage: test.sh IMAGE}
runtimes=''
failed=0

check() {
    runtime=$1 what=$2 wanted=$3 script=$4
    status=0
    got=$(docker run --rm --runtime "$runtime" --read-only --network none --cap-drop ALL --user 1000:1000 \
        --security-opt no-new-privileges --tmpfs /tmp:mode=1777 --tmpfs /home/mercury:uid=1000,gid=1000,mode=700 \
        --entrypoint /bin/sh "$image" -c "$script" 2>&1 </dev/null) || status=$?
    # shellcheck disable=SC2254
    case $status:$got in
    0:$wanted) printf 'ok    %s: %s\n' "$runtime" "$what" ;;
    *)
        failed=$((failed + 1))
        printf 'FAIL  %s: %s: exit %s, got "%s", wanted "%s"\n' "$runtime" "$what" "$status" "$got" "$wanted"
        ;;
    esac
}

known=$(docker info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}')
for runtime in runc runsc; do
    case " $known " in
    *" $runtime "*) runtimes="$runtimes $runtime" ;;
    *) printf 'skip  %s: the engine has no such runtime\n' "$runtime" ;;
    esac
done

for runtime in $runtimes; do
    check "$runtime" 'user mercury, uid 1000' 'mercury 1000 1000' 'echo "$(id -un) $(id -u) $(id -g)"'
    check "$runtime" 'Node 22.19 or newer' 'yes v22.*' \
        'node -e "const [a, b] = process.versions.node.split(\".\"); console.log(+a > 22 || +b >= 19 ? \"yes\" : \"no\", process.version)"'
    check "$runtime" 'pi 0.87.1' '0.87.1' 'pi --version'
    check "$runtime" 'npm' '[0-9]*.*' 'npm --version'
    check "$runtime" 'git, which can write in HOME' 'git version *' 'git --version && git init -q "$HOME/t"'
    check "$runtime" 'python3, which makes an environment' 'Python 3.*' 'python3 --version && python3 -m venv --without-pip "$HOME/v"'
    check "$runtime" 'bubblewrap' 'bubblewrap *' 'bwrap --version'
    check "$runtime" 'the small tools' '/*' 'for t in curl jq rg fd unzip less ps; do command -v $t || exit 1; done'
    check "$runtime" 'certificates' 'yes' 'test -s /etc/ssl/certs/ca-certificates.crt && echo yes'
    check "$runtime" 'root is read-only' 'yes' 'touch /etc/x 2>/dev/null || echo yes'
    check "$runtime" 'nothing of the building machine' '' \
        'ls -A /run/mercury-build /root/.npmrc /root/.config /etc/pip.conf /etc/apt/apt.conf.d/99mercury-build 2>/dev/null; grep -rlE "^[^#]*(PIP_CERT|NPM_CONFIG)" /etc 2>/dev/null; true'
done
[ "$failed" = 0 ] || {
    printf '%s checks failed on %s\n' "$failed" "$image" >&2
    exit 1
}
