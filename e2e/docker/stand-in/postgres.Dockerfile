# Stands in for the Postgres image of the Astro CLI's compose files.
ARG BASE
FROM $BASE
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/*
COPY bin/serve-postgres /usr/local/bin/
LABEL stand-in=true
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["serve-postgres"]
