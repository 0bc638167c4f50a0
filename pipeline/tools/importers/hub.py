"""Data sets that hubs host, downloaded by the hubs' own libraries into their own caches."""

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import PipelineError, printable

INSTALL_HINT = "pip install -r requirements-hub.txt -c constraints.txt"


def download_from_hugging_face(name: str) -> Path:
    """Return the local copy of a data set repository, `owner/name` or `owner/name@revision`. Raises PipelineError."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise PipelineError(f"hf:{name} needs huggingface_hub, which is not installed: {INSTALL_HINT}") from None
    repository, _, revision = name.partition("@")
    hint = "is there a network, is the name right, and the repository public or your token set?"

    def download() -> str:
        return snapshot_download(repository, repo_type="dataset", revision=revision or None)

    return _download(f"hf:{name}", download, hint)


def download_from_kaggle(name: str) -> Path:
    """Return the local copy of a Kaggle data set, `owner/name` or `owner/name/versions/3`. Raises PipelineError."""
    try:
        import kagglehub
    except ImportError:
        raise PipelineError(f"kaggle:{name} needs kagglehub, which is not installed: {INSTALL_HINT}") from None
    hint = (
        "is there a network, is the name right, and do you have access? "
        "A version that was downloaded before needs no network: name/versions/1"
    )
    return _download(f"kaggle:{name}", lambda: kagglehub.dataset_download(name), hint)


def _download(location: str, download: Callable[[], str], hint: str) -> Path:
    for library in ("kagglehub", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)  # their warnings come back as the one error below
    try:
        return Path(download())
    except Exception as error:  # both raise classes of their own, of requests and of httpx
        reason = printable(next(filter(None, f"{error}".split("\n")), "no reason given").strip(), 300)
        raise PipelineError(f"{location}: cannot be downloaded ({type(error).__name__}: {reason}); {hint}") from None
