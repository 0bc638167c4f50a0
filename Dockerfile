# The lab in a CUDA image, with what `make setup` installs and Ray. torch brings its own CUDA libraries, so the small
# `base` image is enough. Its CUDA is the one that torch is built for: it refuses to start under a driver that is too old.
ARG BASE_IMAGE=nvidia/cuda:13.0.2-base-ubuntu24.04
FROM ${BASE_IMAGE}

# no pins here: the base image's tag fixes the release, and its point versions vanish from the archive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system safe.directory '*' \
    && git config --system user.name app \
    && git config --system user.email app@localhost

WORKDIR /opt/venv
COPY requirements*.txt constraints*.txt ./
# settings of pip that only the building machine has, such as another index, come as a secret, which no layer keeps:
# `docker build --secret id=pip.conf,src=FILE`; without it pip finds no such file and goes on
RUN --mount=type=secret,id=pip.conf export PIP_CONFIG_FILE=/run/secrets/pip.conf \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt \
    --requirement requirements-hub.txt --requirement requirements-dev.txt --requirement requirements-cluster.txt
COPY scripts/require_cuda.py /opt/
RUN /opt/venv/bin/python /opt/require_cuda.py

# what pip installed, as CycloneDX; the system's packages are in dpkg's own list, which scanners read
RUN --mount=type=secret,id=pip.conf export PIP_CONFIG_FILE=/run/secrets/pip.conf \
    && python3 -m venv /tmp/sbom \
    && /tmp/sbom/bin/pip install --no-cache-dir --requirement requirements-image.txt \
    --constraint constraints.txt --constraint constraints-image.txt \
    && /tmp/sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/sbom.cdx.json /opt/venv/bin/python \
    && rm -r /tmp/sbom

# the image's own, whatever lies in a mounted folder; with `sh` it needs no permission to execute
COPY docker-entrypoint.sh /opt/
# all caches go to /tmp, which stays writable under `docker run --read-only --tmpfs /tmp`
ENV HOME=/tmp DVC_SITE_CACHE_DIR=/tmp/dvc
# any user id works, with or without an entry in /etc/passwd: `docker run --user $(id -u):$(id -g)`
ENV VENV=/opt/venv PATH=/opt/venv/bin:$PATH USER=app LOGNAME=app DVC_NO_ANALYTICS=1 PYTHONUNBUFFERED=1
RUN useradd --uid 1001 --home-dir /tmp app
WORKDIR /workspace
COPY --chown=app:app . .
RUN chown app:app . && chmod --recursive a+rwX .

ARG REVISION=unknown
LABEL org.opencontainers.image.title="rgb-lidar-cilp" \
    org.opencontainers.image.description="A reference lab for RGB + LiDAR fusion and contrastive image-LiDAR pretraining" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="MIT"
# a job that ends: its exit code says how, and there is no service to ask
HEALTHCHECK NONE
USER 1001
ENTRYPOINT ["sh", "/opt/docker-entrypoint.sh"]
