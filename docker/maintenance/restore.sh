#!/bin/sh
# Replaces the present data with the backup /backups/NAME. The earlier data are kept: the database as mlflow_before_TIME,
# files in .before-TIME of each volume.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD PGHOST=postgres PGUSER=keraspipe PGDATABASE=postgres
now=$(date -u +%Y%m%d_%H%M%S)
backup=/backups/${1:-}

fail() {
    echo "Nothing was restored: $1" >&2
    echo "Next: $2" >&2
    exit 1
}

[ $# -eq 1 ] && [ -f "$backup/SHA256SUMS" ] ||
    fail "there is no backup of that name. Received: ${1:-nothing}" "one of: $(ls /backups | tr '\n' ' ')"
(cd "$backup" && sha256sum --check --quiet SHA256SUMS) ||
    fail "the backup is damaged" "another one of: $(ls /backups | tr '\n' ' ')"
used=$(psql --tuples-only --no-align --command "SELECT count(*) FROM pg_stat_activity WHERE datname = 'mlflow'")
[ "$used" -eq 0 ] || fail "$used connections use the database" "docker compose stop mlflow serving, then the same again"

# Everything is unpacked next to the present data before anything is changed.
unpack() { # NAME FOLDER
    rm -rf "$2/.restoring"
    mkdir "$2/.restoring"
    tar --extract --gzip --file="$backup/$1.tar.gz" --directory="$2/.restoring" || fail "$2 cannot be written" "df -h"
}
unpack mlartifacts /mlartifacts
unpack workspace /workspace
unpack serving /workspace/serving
dropdb --if-exists mlflow_restoring
createdb mlflow_restoring
pg_restore --dbname=mlflow_restoring --exit-on-error "$backup/mlflow.dump" ||
    fail "pg_restore returned $?" "docker compose logs postgres"

swap() { # FOLDER [names that stay]
    folder=$1 old=$1/.before-$now
    shift
    mkdir "$old"
    for path in "$folder"/* "$folder"/.[!.]*; do
        case " .restoring $* " in *" ${path##*/} "*) continue ;; esac
        case ${path##*/} in .before-* | '*' | '.[!.]*') continue ;; esac
        mv "$path" "$old/"
    done
    for path in "$folder/.restoring"/* "$folder/.restoring"/.[!.]*; do
        if [ -e "$path" ] || [ -L "$path" ]; then mv "$path" "$folder/"; fi
    done
    rmdir "$folder/.restoring"
}
psql --quiet --command "ALTER DATABASE mlflow RENAME TO mlflow_before_$now" \
    --command "ALTER DATABASE mlflow_restoring RENAME TO mlflow"
swap /mlartifacts
swap /workspace serving request-log
swap /workspace/serving
echo "Restored: $1. What was there before: database mlflow_before_$now, files in .before-$now of each volume."
echo "Next: docker compose up -d"
