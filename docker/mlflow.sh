#!/bin/sh
# Starts MLflow's server. The password goes from the secret to libpq, past command lines and `docker inspect`.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD
exec mlflow server \
    --host 0.0.0.0 --port 5000 --workers "${MLFLOW_WORKERS:-2}" \
    --backend-store-uri "postgresql+psycopg2://keraspipe@postgres:5432/mlflow" \
    --serve-artifacts --artifacts-destination /mlartifacts \
    --allowed-hosts "$MLFLOW_ALLOWED_HOSTS"
