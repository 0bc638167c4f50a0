"""Names on hubs, fetched by the real libraries from local caches in their own formats."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.tools.importers.open_source import open_source
from support.commands import ROOT
from support.fiftyone_exports import sample, write_export
from support.parquet_files import copy_angles, pair_rows, write_shards
from support.sets import pack, same

pytestmark = pytest.mark.slow  # the real libraries, and a server

NOWHERE = "http://127.0.0.1:9"  # the port of a service that nobody runs


def run_import(source: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", "import", source, str(folder)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "KAGGLE"))}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=clean | environment)


def refused(done: subprocess.CompletedProcess) -> str:
    """Return the one line of an error."""
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


# --- Hugging Face


def cached(folder: Path, home: Path, commit: str = "c" * 40) -> Path:
    """Store a snapshot of `folder` as the hub's cache does: links into blobs."""
    storage = home / "hub/datasets--ada--cubes"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs/main").write_text(commit)
    (storage / "blobs").mkdir()
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        shutil.copy(path, storage / f"blobs/{number:040x}")
        link = storage / "snapshots" / commit / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(storage / f"blobs/{number:040x}", link.parent))
    return storage


def test_a_repository_of_plain_files_comes_in(raw_folder: Path, tmp_path: Path) -> None:
    cached(raw_folder, tmp_path / "hf")
    done = run_import("hf:ada/cubes", tmp_path / "data", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hf:ada/cubes: 6 cubes, 6 spheres\n") and same(tmp_path / "data", raw_folder)


def test_a_repository_that_holds_an_archive_comes_in_by_its_revision(raw_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    pack(tmp_path / "repository/assessment.zip", raw_folder, "assessment/")
    cached(tmp_path / "repository", tmp_path / "hf", commit="d" * 40)
    name = f"hf:ada/cubes@{'d' * 40}"
    done = run_import(name, tmp_path / "data", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "data", raw_folder)


def test_a_repository_of_parquet_shards_comes_in(raw_folder: Path, tmp_path: Path) -> None:
    write_shards(tmp_path / "repository", pair_rows(raw_folder), shard=5)
    copy_angles(raw_folder, tmp_path / "repository")
    cached(tmp_path / "repository", tmp_path / "hf")
    done = run_import("hf:ada/cubes", tmp_path / "data", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "data", raw_folder)


def test_a_repository_of_a_fiftyone_data_set_comes_in(raw_folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(raw_folder, repository)
    names = [f"{name}/{file}/{n:04d}" for name in ("cubes", "spheres") for file in ("rgb", "lidar") for n in range(6)]
    samples = [
        sample(name.replace("/lidar/", "/rgb/"), name.split("/")[1], name + (".png" if "/rgb/" in name else ".npy"))
        for name in names
    ]
    write_export(repository, samples)
    cached(repository, tmp_path / "hf")
    done = run_import("hf:ada/cubes", tmp_path / "data", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FiftyOne data set ") and same(tmp_path / "data", raw_folder)


def test_a_repository_outside_the_cache_cannot_be_downloaded_offline(tmp_path: Path) -> None:
    done = run_import("hf:ada/none", tmp_path / "data", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert refused(done).startswith("error: hf:ada/none: cannot be downloaded (LocalEntryNotFoundError")


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """Serve a hub that answers every request with `status`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    "status, code, name", [(404, "RepoNotFound", "RepositoryNotFoundError"), (403, "GatedRepo", "GatedRepoError")]
)
def test_an_unknown_or_closed_repository_is_one_clear_line(tmp_path: Path, status: int, code: str, name: str) -> None:
    with answering(status, code) as endpoint:
        done = run_import("hf:ada/none", tmp_path / "data", HF_HOME=str(tmp_path), HF_ENDPOINT=endpoint)
    line = refused(done)
    assert line.startswith(f"error: hf:ada/none: cannot be downloaded ({name}") and "your token set" in line


def test_no_network_and_no_name_are_one_clear_line(tmp_path: Path) -> None:
    done = run_import("hf:ada/none", tmp_path / "data", HF_HOME=str(tmp_path), HF_ENDPOINT=NOWHERE)
    assert refused(done).startswith("error: hf:ada/none: cannot be downloaded (")
    done = run_import("hf:../etc", tmp_path / "data", HF_HOME=str(tmp_path), HF_ENDPOINT=NOWHERE)
    assert refused(done).startswith("error: hf:../etc: cannot be downloaded (")
    assert not (tmp_path / "data").exists() and not (tmp_path / ".data.partial").exists()


# --- Kaggle


def test_a_version_of_a_kaggle_data_set_comes_in_from_its_cache(raw_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "kaggle/datasets/ada/cubes"
    shutil.copytree(raw_folder, home / "versions/3/assessment/assessment")
    (home / "3.complete").touch()
    done = run_import("kaggle:ada/cubes/versions/3", tmp_path / "data", KAGGLEHUB_CACHE=str(tmp_path / "kaggle"))
    assert done.returncode == 0, done.stderr
    assert "kaggle:ada/cubes/versions/3: 6 cubes, 6 spheres" in done.stdout
    assert "- the set lies in assessment/assessment/\n" in done.stdout
    assert same(tmp_path / "data", raw_folder)


def test_a_kaggle_data_set_that_cannot_be_downloaded_is_one_clear_line(tmp_path: Path) -> None:
    proxies = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": "", "no_proxy": ""}
    home = tmp_path / "kaggle/datasets/ada/cubes"
    (home / "versions/3").mkdir(parents=True)  # without its mark: an interrupted download
    for name in ("ada/cubes", "ada/cubes/versions/3", "ada", "a/b/c/d/e"):
        done = run_import(f"kaggle:{name}", tmp_path / "data", KAGGLEHUB_CACHE=str(tmp_path / "kaggle"), **proxies)
        assert refused(done).startswith(f"error: kaggle:{name}: cannot be downloaded (")


# --- without the libraries


@pytest.mark.parametrize("library, name", [("huggingface_hub", "hf:ada/cubes"), ("kagglehub", "kaggle:ada/cubes")])
def test_an_absent_library_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PipelineError) as caught:
        open_source(name)
    assert f"{name} needs {library}" in str(caught.value) and "-r requirements-hub.txt" in str(caught.value)
