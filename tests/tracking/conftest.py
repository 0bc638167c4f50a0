"""A folder to train in, without a trace of the user's own wandb."""

import threading

import pytest

from pipeline.tracking import wandb_run


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "DVC_ROOT", "DVC_EXP_NAME", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wandb_run, "TIMEOUT_S", 30)  # who waits for wandb waits so long: far longer than SOON
    monkeypatch.setattr(wandb_run, "UPLOAD_TIMEOUT_S", 30)
    monkeypatch.setattr(wandb_run, "_stuck", threading.Event())
    return tmp_path
