# The image of kuberay.yaml: the project's, with what KubeRay needs of a Ray image.
# docker build --tag REGISTRY/rgb-lidar-cilp-ray - < deploy/kuberay.Dockerfile
ARG IMAGE=rgb-lidar-cilp
FROM ${IMAGE}
USER 0
# KubeRay asks by wget whether a node lives, and gives jobs to Ray's dashboard
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && /opt/venv/bin/pip install --no-cache-dir --constraint /workspace/constraints.txt \
        --requirement /workspace/requirements-cluster.txt 'ray[default]' \
    # the shells of KubeRay are login shells, whose PATH has no /opt/venv
    && ln --symbolic /opt/venv/bin/ray /usr/local/bin/ray
USER 1001
