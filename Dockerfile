# The gateway as a container: Debian's Python, wheels pinned by hash, jemalloc, nobody's account, a read-only root.
# Build:  docker build -t s3-score-gateway .      Pin the base:  --build-arg BASE=debian:trixie-slim@sha256:...
# Run:    docker run --read-only --tmpfs /tmp -v "$PWD/config:/etc/gateway:ro" -p 9000:9000 s3-score-gateway
ARG BASE=debian:trixie-slim

# --- build: everything that only building needs ---------------------------------------------------------------------
# hadolint ignore=DL3006 # the tag, and the digest where one is wanted, are in BASE
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# hadolint ignore=DL3008 # Debian serves one version at a time: a pinned one would soon not build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 python3-venv
WORKDIR /src
# The dependencies first: they change less often than the code. `make lock` renews both lists.
COPY requirements/ requirements/
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --no-compile --require-hashes --only-binary :all: -r requirements/build.txt
RUN /opt/build/bin/pip wheel --quiet --require-hashes --only-binary :all: --no-binary pyvips --no-build-isolation \
    --wheel-dir wheels -r requirements/gateway.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway/ gateway/
# Without pip, and without the packages' own tests: nothing there is used at run time.
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && python3 -m venv --without-pip /opt/gateway \
 && /opt/build/bin/pip --python /opt/gateway/bin/python install --quiet --no-index --no-deps wheels/*.whl \
 && find /opt/gateway -type d -name tests -prune -exec rm -r {} +
# The bill of materials: every Python package of the image, with versions and licences (CycloneDX).
RUN install -d /opt/gateway/share/sbom \
 && /opt/build/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON \
    --output-file /opt/gateway/share/sbom/gateway.cdx.json /opt/gateway/bin/python

# --- the image ------------------------------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="s3-score-gateway" \
      org.opencontainers.image.description="An S3-compatible gateway with inline image-quality scoring" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libjemalloc2 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && install -d -o 65532 -g 65532 -m 750 /data
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    LD_PRELOAD=libjemalloc.so.2 \
    MALLOC_CONF=dirty_decay_ms:1000,muzzy_decay_ms:1000 \
    HOME=/data \
    GATEWAY_CONFIG=/etc/gateway/gateway.toml \
    GATEWAY_DATA_DIR=/data \
    GATEWAY_LISTEN=0.0.0.0:9000 \
    GATEWAY_ADMIN_LISTEN=0.0.0.0:9001
# Nobody's account: it owns nothing but /data, and /tmp is meant to be a tmpfs.
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 9000 9001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9001/readyz', timeout=4)"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
