# The service without torch: SDK, HTTP service, indexer, web page, and the shipped bundles.
#
#   docker build -t lorgnette .
#   docker run --rm -p 127.0.0.1:8080:8080 -v lorgnette-data:/data -v "$PWD/secrets:/run/secrets:ro" lorgnette
#   docker run --rm -v lorgnette-data:/data -v ~/Pictures:/photos:ro lorgnette index /photos
#
# It listens beyond loopback, so it refuses to start without keys (docs/deploy.md). Its root file
# system may be read-only: it writes to /data, and with several workers to /tmp.
# The base images are pinned by their full tags; pin them by digest too where your registry shows it.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/lorgnette
COPY LICENSE README.md pyproject.toml constraints.txt ./
COPY clients/python clients/python
COPY service service
COPY training training
COPY export export
RUN /opt/lorgnette/bin/pip install -c constraints.txt ./clients/python '.[service,tracing]'

FROM node:20.20.2-bookworm-slim AS page
COPY clients/js /source/clients/js
COPY clients/page /source/clients/page
WORKDIR /source/clients/page
RUN npm ci --ignore-scripts --prefix ../js \
    && npm ci --ignore-scripts \
    && npm run build

FROM python:3.11.14-slim-bookworm
ENV PATH=/opt/lorgnette/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    ORT_DISABLE_TELEMETRY=1 \
    LORGNETTE_DATA=/data \
    LORGNETTE_HOST=0.0.0.0 \
    LORGNETTE_PORT=8080
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin lorgnette \
    && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/lorgnette /opt/lorgnette
WORKDIR /srv/lorgnette
COPY models models
# Where `lorgnette serve` looks for it.
COPY --from=page /source/clients/page/dist clients/page/dist
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['LORGNETTE_PORT']}/healthz\", timeout=4)"]
ENTRYPOINT ["lorgnette"]
CMD ["serve"]
