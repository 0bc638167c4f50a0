"""Data sets that others host: fetched into their own libraries' caches, and only there."""

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import PipelineError, printable

INSTALL_HINT = "pip install -r requirements-hub.txt -c constraints.txt"


def from_hugging_face(name: str) -> Path:
    """The local copy of a data set repository, `owner/name` or `owner/name@revision`. Raises PipelineError."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise PipelineError(f"hf:{name} needs huggingface_hub, which is not installed: {INSTALL_HINT}") from None
    repository, _, revision = name.partition("@")
    hint = "is there a network, is the name right, and the repository public or your token set?"
    return _fetch(
        f"hf:{name}", lambda: snapshot_download(repository, repo_type="dataset", revision=revision or None), hint
    )


def from_kaggle(name: str) -> Path:
    """The local copy of a Kaggle data set, `owner/name` or `owner/name/versions/3`. Raises PipelineError."""
    try:
        import kagglehub
    except ImportError:
        raise PipelineError(f"kaggle:{name} needs kagglehub, which is not installed: {INSTALL_HINT}") from None
    hint = "is there a network, is the name right, and are you let in? A version you have needs none: name/versions/1"
    return _fetch(f"kaggle:{name}", lambda: kagglehub.dataset_download(name), hint)


def _fetch(what: str, download: Callable[[], str], hint: str) -> Path:
    for library in ("kagglehub", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what they warn of comes back as the one error
    try:
        return Path(download())
    except Exception as error:  # each has its own tree of them, over requests or httpx
        reason = printable(next(filter(None, f"{error}".split("\n")), "no reason given").strip(), 300)
        raise PipelineError(f"{what}: cannot be had ({type(error).__name__}: {reason}); {hint}") from None
