"""What the image holds and starts with, whatever folder is mounted; `make image-check` builds it and runs it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from pipeline.core.device import DEVICES
from pipeline.core.errors import PipelineError
from pipeline.version import __version__
from scripts.image_check import PRIVATE, main
from scripts.require_cuda import require_cuda
from support.commands import ENVIRONMENT, ROOT, shell

DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
CUDA_OF_TORCH = {"2.13.0": "13.0"}  # of the wheels for Linux on PyPI, by their metadata: it names cuda-toolkit 13.0
MAKEFILE = "run:\n\t@echo the main job\ntest:\n\t@echo all tests\n"


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's entry point in a folder, beside which its HOME is."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    command = ["sh", str(ROOT / "docker-entrypoint.sh"), *arguments]
    environment = ENVIRONMENT | {"HOME": str(home), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    environment = {name: value for name, value in environment.items() if not name.startswith(("MAKE", "DVC_GLOBAL"))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder as a user mounts it."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE)
    return folder


def test_the_entry_point_is_the_images_own_and_needs_no_permission() -> None:
    shell_name, script = json.loads(re.search("^ENTRYPOINT (.*)$", DOCKERFILE, re.M)[1])
    assert shell_name == "sh" and script == "/opt/docker-entrypoint.sh"  # not in /workspace
    assert "\nCOPY docker-entrypoint.sh /opt/\n" in DOCKERFILE


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "the main job\n"),
        (["test"], "all tests\n"),
        (["make", "run", "test"], "the main job\nall tests\n"),
        (["echo", "a  b", "*"], "a  b *\n"),
        (["sh", "-c", "test -f Makefile && pwd -P"], "{workspace}\n"),
    ],
)
def test_the_entry_point_runs_the_main_job_the_tests_or_a_command(
    workspace: Path, line_end: str, arguments: list[str], output: str
) -> None:
    (workspace / "Makefile").write_bytes(MAKEFILE.replace("\n", line_end).encode())
    done = start(workspace, *arguments)
    assert done.stdout == output.format(workspace=workspace) and done.returncode == 0, done.stderr
    assert [path.name for path in workspace.iterdir()] == ["Makefile"]


def test_a_command_keeps_its_exit_code(workspace: Path) -> None:
    assert start(workspace, "sh", "-c", "exit 7").returncode == 7
    (workspace / "Makefile").write_text("run:\n\t@exit 3\n")
    assert start(workspace).returncode == 2  # of make


def test_another_folder_than_the_repository_is_one_error(workspace: Path) -> None:
    (workspace / "Makefile").unlink()
    done = start(workspace)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(
        r"error: .*workspace: found no Makefile, expected the root .*; fix: .*docker run -v.*\n", done.stderr
    )


@pytest.mark.parametrize("kind", ["download", "worktree", "repository"])
def test_dvc_works_without_a_repository_of_git_and_keeps_no_setting(workspace: Path, kind: str) -> None:
    shell(workspace, "git init -q . && git add -A && git commit -qm all && git worktree add -q ../worktree")
    if kind == "worktree":  # its .git names a folder that is not mounted
        workspace = workspace.parent / "worktree"
    if kind != "repository":
        shutil.rmtree(workspace.parent / "workspace/.git")
    no_scm = start(workspace, "dvc", "config", "--global", "core.no_scm").stdout
    assert no_scm == ("" if kind == "repository" else "true\n")
    assert not (workspace / ".dvc").exists()


def test_dvc_writes_where_a_read_only_image_lets_it() -> None:
    assert re.search("^ENV HOME=/tmp DVC_SITE_CACHE_DIR=/tmp/dvc$", DOCKERFILE, re.M)


def test_scripts_keep_unix_line_ends_in_a_windows_clone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in (".gitattributes", "docker-entrypoint.sh", "Makefile", "scripts/make_venv.sh"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    shell(source, "git init -q . && git add -A && git commit -qm all")
    shell(tmp_path, "git clone -q -c core.autocrlf=true source clone")
    clone = tmp_path / "clone"
    for name in ("docker-entrypoint.sh", "Makefile", "scripts/make_venv.sh"):
        assert b"\r" not in (clone / name).read_bytes()
    assert shell(clone, "./docker-entrypoint.sh echo started").endswith("started\n")


def test_the_base_has_the_cuda_of_torch() -> None:
    torch_version = re.search("^torch==(.*)$", (ROOT / "requirements.txt").read_text(), re.M)[1]
    base_version = re.search(r"^ARG BASE_IMAGE=nvidia/cuda:(\d+\.\d+)\.\d+-base-", DOCKERFILE, re.M)[1]
    assert base_version == CUDA_OF_TORCH[torch_version]
    assert torch.version.cuda in (None, base_version)  # None: a build for CPUs alone


@pytest.mark.parametrize(
    ("base", "wheel"), [("13.0.2", "13.0"), ("13.0", "13.0"), (None, "13.0"), ("13.0.2", None), (None, None)]
)
def test_a_base_that_fits_torch_is_taken(monkeypatch: pytest.MonkeyPatch, base: str | None, wheel: str | None) -> None:
    set_versions(monkeypatch, base, wheel)
    require_cuda()


@pytest.mark.parametrize("base", ["12.8.1", "13.1.0", "13.00.1", "1"])
def test_a_base_of_another_cuda_stops_the_build(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    set_versions(monkeypatch, base, "13.0")
    with pytest.raises(
        SystemExit, match=f"found CUDA {base}, expected 13.0, that of torch .*; fix: .*nvidia/cuda:13.0"
    ):
        require_cuda()
    assert "\nRUN /opt/venv/bin/python /opt/require_cuda.py\n" in DOCKERFILE


def set_versions(monkeypatch: pytest.MonkeyPatch, base: str | None, wheel: str | None) -> None:
    monkeypatch.setattr("torch.version.cuda", wheel)
    monkeypatch.delenv("CUDA_VERSION", raising=False)
    if base:
        monkeypatch.setenv("CUDA_VERSION", base)


def test_the_label_has_the_version() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in DOCKERFILE


def enters(path: str) -> bool:
    """Return whether COPY takes a path, by the rules of .dockerignore: the last line that names it or a parent wins."""
    taken = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            parts = re.split(r"(\*\*/|\*)", line.removeprefix("!"))
            pattern = "".join({"**/": "(.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
            if any(re.fullmatch(pattern, str(each)) for each in (path, *Path(path).parents)):
                taken = line.startswith("!")
    return taken


@pytest.mark.parametrize(
    "path", [*PRIVATE, "notes.txt", "model.onnx", "tests/__pycache__/a.pyc", "docs/.env", ".ssh/id"]
)
def test_private_files_stay_out(path: str) -> None:
    assert not enters(path)


def test_the_project_enters() -> None:
    names = (
        "pipeline/__main__.py stages/cilp.py tests/conftest.py presets/smoke.yaml docs/docker.md pretrained/README.md"
    )
    names += " scripts/make_venv.sh benchmarks/run.py notebooks/cilp.ipynb .dvc/config .dvcignore dvc.yaml dvc.lock"
    names += (
        " data.dvc params.yaml Makefile pyproject.toml requirements-hub.txt constraints-image.txt LICENSE Dockerfile"
    )
    names += " .dockerignore .github/workflows/ci.yml .gitignore README.md compose.yaml docker-entrypoint.sh"
    assert [name for name in names.split() if not enters(name)] == []
    assert [name for name in names.split() if not (ROOT / name).exists()] == []


def test_services_write_as_the_user_and_to_the_project_and_tmp_alone() -> None:
    assert set(SERVICES) == {"cpu", "gpu", "farm", "head", "worker"}
    for name, service in SERVICES.items():
        assert service["read_only"] and service["tmpfs"] == ["/tmp:exec"] and service["image"] == "rgb-lidar-cilp"
        assert service.get("volumes") == (None if name in ("head", "worker") else [".:/workspace"])
        assert (service.get("user") == "${LAB_USER:-1000:1000}") == ("volumes" in service)
        assert service.get("environment", {}).get("DEVICE", "auto") in DEVICES


def test_only_the_service_of_gpus_asks_for_them() -> None:
    asks = {name for name, service in SERVICES.items() if "nvidia" in str(service)}
    assert asks == {"gpu"} and SERVICES["gpu"]["environment"]["DEVICE"] == "cuda"


def test_the_farm_is_reached_where_its_head_listens() -> None:
    head, worker = (dict(re.findall(r"--([\w-]+)=(\S+)", SERVICES[name]["command"])) for name in ("head", "worker"))
    assert SERVICES["farm"]["environment"]["CLUSTER"] == f"ray://head:{head['ray-client-server-port']}"
    assert worker["address"] == f"head:{head['port']}" and head["num-cpus"] == "0"
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"farm", "head", "worker"}


def test_the_check_names_the_tool_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "buildah" else name)
    with pytest.raises(PipelineError, match="found no buildah; .*apt-get install buildah$"):
        main()
