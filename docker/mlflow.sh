#!/bin/sh
# MLflow on PostgreSQL: `mlflow.sh` serves, `mlflow.sh db upgrade` migrates the tables to this version.
# libpq reads the password from the secret, so it is in no command line and not in `docker inspect`.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD
database=postgresql+psycopg2://keraspipe@postgres:5432/mlflow
if [ $# -gt 0 ]; then
    exec mlflow "$@" "$database"
fi
exec mlflow server \
    --host 0.0.0.0 --port 5000 --workers "${MLFLOW_WORKERS:-2}" \
    --backend-store-uri "$database" \
    --serve-artifacts --artifacts-destination /mlartifacts
