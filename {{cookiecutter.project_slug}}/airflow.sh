#!/bin/sh
# Runs Airflow without the Astro CLI, with the settings of .env: ./airflow.sh standalone
# What begins with python or bash runs in the same environment: ./airflow.sh python -m include.xcom_doctor
# Another port: AIRFLOW__API__PORT=8081 ./airflow.sh standalone (Airflow 2: AIRFLOW__WEBSERVER__WEB_SERVER_PORT)
set -eu
cd "$(dirname "$0")"
PATH=$PWD/.venv/bin:$PATH

while IFS= read -r line || [ -n "$line" ]; do
    case $line in
        [A-Za-z_]*=*) printenv "${line%%=*}" >/dev/null || export "$line" ;; # what is set already wins
    esac
done <.env

export AIRFLOW_HOME="$PWD/.astro/standalone" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export AIRFLOW__CORE__DAGS_FOLDER="$PWD/dags" AIRFLOW__CORE__PLUGINS_FOLDER="$PWD/plugins"
export AIRFLOW__CORE__LOAD_EXAMPLES="${AIRFLOW__CORE__LOAD_EXAMPLES:-False}"
# Tasks of Airflow 3 ask the API server, by default at port 8080 whatever its own port is.
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="${AIRFLOW__CORE__EXECUTION_API_SERVER_URL:-http://localhost:${AIRFLOW__API__PORT:-8080}/execution/}"

case ${1:-} in
    python | bash) exec "$@" ;;
    *) exec airflow "$@" ;;
esac
