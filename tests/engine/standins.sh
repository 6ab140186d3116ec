#!/bin/bash
# Images from Debian's packages under the official names of .env.example, for an engine that reaches no image registry.
# Dockerfile and docker-compose.yml stay as they are. What is there already is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

official() { sed -n "s/^$1=//p" "$here/../../.env.example"; }
missing() { ! docker image inspect "$1" >/dev/null 2>&1; }

# SUITE IMAGE PACKAGE[,PACKAGE]...: Debian's packages as an image. The certificates are this machine's, which may
# stand behind a proxy of its company.
debian() {
    missing "$2" || return 0
    echo "stand-in: $2 from Debian's $1 ($3)"
    mmdebstrap --quiet --mode=root --variant=minbase --include="ca-certificates,$3" \
        --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
        --customize-hook='rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED' \
        --customize-hook='rm -rf "$1"/usr/share/doc/* "$1"/var/lib/apt/lists/*' "$1" - "$mirror" |
        docker import --change "ENV $path LANG=C.UTF-8 PIP_CERT=$certificates SSL_CERT_FILE=$certificates" \
            --change 'CMD ["bash"]' - "$2" >/dev/null
}
certificates=/etc/ssl/certs/ca-certificates.crt

# NAME VARIABLE: the stand-in NAME under the name that the variable has in .env.example.
standin() {
    local image
    image=$(official "$2")
    [ -n "$image" ] || return 0
    echo "stand-in: $image is $here/standins/$1"
    docker build --progress plain --tag "$image" "$here/standins/$1" >"$log" 2>&1 || { tail -n 30 "$log"; return 1; }
}

debian bookworm "$(official PYTHON_IMAGE)" python3,python3-pip,python3-venv,python-is-python3 &
debian trixie keraspipe/standin-servers:local haproxy,postgresql,prometheus,python3,curl,wget &
wait -n && wait -n
standin postgres POSTGRES_IMAGE
standin haproxy HAPROXY_IMAGE
standin prometheus PROMETHEUS_IMAGE
standin grafana GRAFANA_IMAGE
