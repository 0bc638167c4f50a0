"""Refuse a base image with another CUDA than the one that torch is built for; the Dockerfile runs this file alone.

Such a base starts under a driver that torch cannot use, or refuses one that it can. The images nvidia/cuda name their
version in CUDA_VERSION. A base without CUDA and a torch for CPUs alone have nothing to compare.
"""

import os

from torch import version


def require_cuda() -> None:
    """Compare both versions; raises SystemExit with the error if they differ."""
    found, expected = os.environ.get("CUDA_VERSION"), version.cuda
    if found and expected and not f"{found}.".startswith(f"{expected}."):
        raise SystemExit(
            f"error: BASE_IMAGE: found CUDA {found}, expected {expected}, that of torch {version.__version__}; "
            f"fix: --build-arg BASE_IMAGE=nvidia/cuda:{expected}.*-base-ubuntu24.04"
        )


if __name__ == "__main__":
    require_cuda()
