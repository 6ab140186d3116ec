#!/bin/sh
# Writes the folder /backups/TIME: the database, MLflow's artifacts, the workspace and the published models.
# It appears when it is complete. It fails if files change during the backup: back up while nothing runs.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD

fail() {
    echo "The backup failed: $1" >&2
    echo "Next: $2" >&2
    exit 1
}

name=$(date -u +%Y%m%d-%H%M%S)
part=/backups/.$name
mkdir "$part" || fail "/backups cannot be written by user $(id -u)" "give the folder of BACKUPS in .env to that user"
trap 'rm -rf "$part"' EXIT

pg_dump --host=postgres --username=keraspipe --format=custom --file="$part/mlflow.dump" mlflow ||
    fail "pg_dump returned $?" "docker compose logs postgres"

pack() { # NAME FOLDER [tar's further arguments]
    archive=$part/$1.tar.gz folder=$2
    shift 2
    tar --create --gzip --file="$archive" --directory="$folder" --exclude='./.before-*' "$@" . ||
        fail "$folder changed while it was read" "the same again when no run is going on"
}
pack mlartifacts /mlartifacts
pack workspace /workspace --exclude=./serving --exclude=./request-log
pack serving /workspace/serving

(cd "$part" && sha256sum mlflow.dump ./*.tar.gz > SHA256SUMS)
sync
mv "$part" "/backups/$name"
trap - EXIT
du -sh "/backups/$name"
echo "To restore it: docker compose stop mlflow serving, then docker compose run --rm restore $name"
