# Stands in for Astro Runtime where no registry can be reached: Airflow at the Runtime's version, user 50000, the labels
# that the Astro CLI reads, an entrypoint that waits for the database, and the Runtime's ONBUILD steps in their order.
ARG BASE
FROM $BASE
ARG AIRFLOW
ARG RUNTIME
ARG CARRIED

COPY machine /
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip tini gosu \
    && rm -rf /var/lib/apt/lists/* \
    && ln -sf python3 /usr/bin/python \
    && useradd --uid 50000 --create-home --shell /bin/bash astro \
    && install -d -o astro /usr/local/airflow /usr/local/airflow/logs
COPY bin /usr/local/bin/
COPY lock.txt /opt/lock.txt

ENV AIRFLOW_HOME=/usr/local/airflow PYTHONPATH=/usr/local/airflow LANG=C.UTF-8 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    ASTRONOMER_RUNTIME_VERSION=$RUNTIME PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore
RUN . /etc/machine.env \
    && uv pip install --system --break-system-packages --no-cache --compile-bytecode --constraint /opt/lock.txt \
        apache-airflow==$AIRFLOW apache-airflow-providers-postgres psycopg2-binary asyncpg pytest $CARRIED \
    && uv pip freeze --system | grep -E '^apache-airflow(-core|-task-sdk)?==' > /etc/pip-constraints.txt

ARG INSTALLER
ENV INSTALLER=$INSTALLER
LABEL io.astronomer.docker=true io.astronomer.docker.component=airflow io.astronomer.docker.uid=50000 \
      io.astronomer.docker.airflow.version=$AIRFLOW io.astronomer.docker.runtime.version=$RUNTIME stand-in=true
USER astro
WORKDIR /usr/local/airflow
ENTRYPOINT ["tini", "--", "wait-for-database"]
CMD ["airflow", "--help"]
ONBUILD COPY packages.txt .
ONBUILD USER root
ONBUILD RUN install-system-packages
ONBUILD COPY requirements.txt .
ONBUILD RUN install-python-dependencies
ONBUILD USER astro
ONBUILD COPY --chown=astro:0 . .
