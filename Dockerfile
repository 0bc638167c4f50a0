# The pipeline in a CUDA image. torch brings its own CUDA libraries, so the small `base` image is enough.
ARG BASE_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04
FROM ${BASE_IMAGE}

# no pins here: the base image's tag fixes the release, and its point versions vanish from the archive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system safe.directory '*' \
    && git config --system user.name app \
    && git config --system user.email app@localhost

WORKDIR /opt/venv
COPY requirements.txt constraints.txt ./
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --requirement requirements.txt --constraint constraints.txt

# the image's own, whatever lies in a mounted folder; with `sh` it needs no permission to execute
COPY docker-entrypoint.sh /opt/
# DVC's hashes go to /tmp, which stays writable under `docker run --read-only --tmpfs /tmp`
ENV DVC_SITE_CACHE_DIR=/tmp/dvc
# any user id works, with or without an entry in /etc/passwd: `docker run --user $(id -u):$(id -g)`
ENV VENV=/opt/venv PATH=/opt/venv/bin:$PATH HOME=/tmp USER=app LOGNAME=app DVC_NO_ANALYTICS=1 PYTHONUNBUFFERED=1
RUN useradd --uid 1001 --home-dir /tmp app
WORKDIR /workspace
COPY . .
# DVC needs this setting where there is no Git repository; a mounted repository hides the file that it writes
RUN dvc config --local core.no_scm true \
    && chown --recursive app:app /workspace \
    && chmod --recursive a+rwX /workspace

USER 1001
ENTRYPOINT ["sh", "/opt/docker-entrypoint.sh"]
