#!/bin/bash
# Runs a command with a Docker engine:   tests/engine/engine.sh COMMAND [ARGUMENT]...
#
# The machine's own engine where one runs. Elsewhere, as root on Debian: one that is installed from Debian 13, started
# for the command and stopped after it, with its bridge and its firewall rules; the images, and the last 10 GB of what
# it builds, stay in KERASPIPE_ENGINE_CACHE (default ~/.cache/keraspipe-engine). Exit code 77, with a reason: no engine
# can be had here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KERASPIPE_ENGINE_CACHE:-$HOME/.cache/keraspipe-engine}

say() { printf 'engine: %s\n' "$*" >&2; }
skip() { say "skipped: $*"; exit 77; }
answers() { docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

if answers; then
    say "the engine of this machine, images from their registries"
    exec "$@"
fi
[ "$(id -u)" = 0 ] || skip "no Docker engine answers, and starting one takes root"
[ "$(. /etc/os-release && echo "$ID-$VERSION_ID")" = debian-12 ] || skip "no Docker engine answers; one is installed on Debian 12 only"
[ -w /sys/fs/cgroup ] || skip "no Docker engine answers, and control groups cannot be written"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock --nonblock 9 || { say "waiting for another run on $cache"; flock 9; }
work=$(mktemp -d)
bridge=keraspipe0  # not docker0, which any other dockerd of the machine may make and remove
engine=
running=

# Twice, since the firewall's two halves are told apart by the command only.
without_docker() {
    "$1-save" 2>/dev/null | grep -viE "docker|$bridge" | "$1-restore" && "$1" -P FORWARD "$(cat "$work/$1")"
}

stop() {
    trap '' TERM INT
    [ -z "$running" ] || { kill "$running" && wait "$running"; } 2>/dev/null || true
    if [ -n "$engine" ]; then
        { docker image prune --force && docker builder prune --force --keep-storage 10GB; } >/dev/null 2>&1 || true
        kill "$engine" && wait "$engine" || true
        ip link delete $bridge 2>/dev/null || true
        for firewall in iptables ip6tables; do without_docker $firewall 2>/dev/null || true; done
        cat "$work/ip_forward" >/proc/sys/net/ipv4/ip_forward
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 143' TERM INT

install() {
    local mirror packages=(docker.io docker-cli docker-compose docker-buildx)
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
    [ -n "$mirror" ] || skip "apt's sources name no mirror of Debian 12"
    # Priority 100: nothing else comes from there.
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >/etc/apt/sources.list.d/trixie.list
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >/etc/apt/preferences.d/trixie
    export DEBIAN_FRONTEND=noninteractive
    say "installing Docker from Debian 13 ($mirror)"
    apt-get -qq update || true
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]/%//trixie}" mmdebstrap curl iptables iproute2 >"$work/apt.log" 2>&1 ||
        { tail -n 20 "$work/apt.log" >&2; skip "Docker's packages cannot be installed"; }
}

# Only where the machine may not raise limits: bit 24 is CAP_SYS_RESOURCE.
clamp() {
    (( 0x$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24 & 1 )) ||
        echo "--add-runtime clamped=$here/clamped_runc.py --default-runtime clamped"
}

start() {
    local _
    cat /proc/sys/net/ipv4/ip_forward >"$work/ip_forward"
    for firewall in iptables ip6tables; do
        { $firewall -S FORWARD 2>/dev/null || echo "-P FORWARD ACCEPT"; } | awk 'NR == 1 {print $3}' >"$work/$firewall"
    done
    ip link delete $bridge 2>/dev/null || true
    ip link add $bridge type bridge
    ip address add 10.213.0.1/24 dev $bridge
    ip link set $bridge up
    export DOCKER_HOST=unix://$work/docker.sock
    # shellcheck disable=SC2046
    PATH=$here/gpu:$PATH dockerd $(clamp) --data-root "$cache/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
        --host "$DOCKER_HOST" --bridge $bridge >"$work/log" 2>&1 9>&- &
    engine=$!
    for _ in $(seq 600); do
        answers && return
        kill -0 $engine 2>/dev/null || break
        sleep 0.1
    done
    tail -n 30 "$work/log" >&2
    skip "dockerd does not start on this machine"
}

command -v dockerd >/dev/null && docker compose version >/dev/null 2>&1 && command -v mmdebstrap >/dev/null || install
answers || start
export KERASPIPE_STANDINS=
if ! curl --silent --output /dev/null --max-time 10 https://registry-1.docker.io/v2/; then
    say "no image registry answers: stand-ins take the official names"
    "$here/standins.sh"
    KERASPIPE_STANDINS=1
fi
# In the background, so that a signal is heard while it runs.
"$@" 9>&- &
running=$!
wait $running
