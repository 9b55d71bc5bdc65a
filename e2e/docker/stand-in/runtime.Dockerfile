# Stands in for Astro Runtime where no registry can be reached: the labels that the Astro CLI reads, an entrypoint that
# waits for the database, and the Runtime's ONBUILD steps in their order.
ARG BASE
FROM $BASE
COPY bin /usr/local/bin/
ARG AIRFLOW
ARG RUNTIME
ARG INSTALLER
ENV PYTHONPATH=/usr/local/airflow ASTRONOMER_RUNTIME_VERSION=$RUNTIME INSTALLER=$INSTALLER
LABEL io.astronomer.docker=true io.astronomer.docker.component=airflow io.astronomer.docker.uid=50000 \
      io.astronomer.docker.airflow.version=$AIRFLOW io.astronomer.docker.runtime.version=$RUNTIME
USER astro
ENTRYPOINT ["tini", "--", "wait-for-database"]
CMD ["airflow", "--help"]
ONBUILD COPY packages.txt .
ONBUILD USER root
ONBUILD RUN install-system-packages
ONBUILD COPY requirements.txt .
ONBUILD RUN install-python-dependencies
ONBUILD USER astro
ONBUILD COPY --chown=astro:0 . .
