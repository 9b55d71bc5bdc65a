# What the stand-ins of Astro's images begin with: a Debian with Python, Airflow at the given version and a user 50000.
ARG BASE
FROM $BASE
ARG AIRFLOW
ARG CARRIED

COPY machine /
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip tini gosu \
    && rm -rf /var/lib/apt/lists/* \
    && ln -sf python3 /usr/bin/python \
    && useradd --uid 50000 --create-home --shell /bin/bash astro \
    && install -d -o astro /usr/local/airflow /usr/local/airflow/logs
COPY uv /usr/local/bin/
COPY requirements.txt /opt/lock.txt

ENV AIRFLOW_HOME=/usr/local/airflow LANG=C.UTF-8 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore
RUN . /etc/machine.env \
    && uv pip install --system --break-system-packages --no-cache --compile-bytecode --constraint /opt/lock.txt \
        apache-airflow==$AIRFLOW apache-airflow-providers-postgres psycopg2-binary asyncpg pytest $CARRIED \
    && uv pip freeze --system | grep -E '^apache-airflow(-core|-task-sdk)?==' > /etc/pip-constraints.txt
LABEL stand-in=true
WORKDIR /usr/local/airflow
