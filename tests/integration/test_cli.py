import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path

import pytest

from pipeline.models.fusion import FUSIONS
from pipeline.tools.presets import default_params
from pipeline.tools.simulator.simulate import simulate
from pipeline.version import __version__
from support.commands import ROOT
from support.presets import preset_params


@cache
def default_project() -> Path:
    """Return a folder that holds the default parameters: those of the repository may hold a preset."""
    folder = Path(tempfile.mkdtemp(prefix="default-"))
    with chdir(ROOT):
        (folder / "params.yaml").write_text(default_params())
    return folder


def pipeline(*arguments: str | Path, cwd: Path | None = None, **variables: str) -> tuple[int, str, str]:
    """Return (exit code, stdout, stderr) of `python -m pipeline`."""
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    ended = subprocess.run(
        command, cwd=cwd or default_project(), env=environment, capture_output=True, text=True, timeout=60
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_simulate_writes_a_set_that_check_accepts(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    assert pipeline("simulate", folder, "--scenes", "6", "--seed", "3") == (
        0,
        f"{folder}: 6 scenes, 12 pairs, seed 3\n",
        "",
    )
    assert pipeline("check", folder) == (0, f"{folder}: 12 pairs, no issues found\n", "")


def test_a_console_that_lacks_a_sign_shows_its_code(tmp_path: Path) -> None:
    code, out, err = pipeline("simulate", "±–", "--scenes", "1", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (code, out, err) == (0, "\\xb1\\u2013: 1 scenes, 2 pairs, seed 0\n", "") and (tmp_path / "±–").is_dir()


def test_simulate_overwrites_nothing(tmp_path: Path) -> None:
    code, out, err = pipeline("simulate", tmp_path, "--scenes", "1")
    assert (code, out) == (1, "") and not list(tmp_path.iterdir())
    assert err == (
        f"error: {tmp_path}: found something there already; expected a new name; choose another or remove it\n"
    )


@pytest.fixture(scope="module")
def some_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate enough scenes that with one less every split has some."""
    folder = tmp_path_factory.mktemp("some") / "set"
    simulate(folder, scenes=20, seed=0)
    return folder


def test_check_reports_its_result_by_exit_code(some_scenes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(some_scenes, tmp_path / "set"))
    (folder / "notes.txt").touch()
    code, out, err = pipeline("check", folder)
    assert (code, err) == (3, "") and "40 pairs, 0 errors, 1 warning" in out
    (folder / "cubes/rgb/0001.png").unlink()
    code, out, err = pipeline("check", folder, "--json")
    report = json.loads(out)
    assert (code, err) == (1, "") and report["pairs"] == 39
    assert [issue["code"] for issue in report["errors"]] == ["unpaired"]
    assert sorted(issue["code"] for issue in report["warnings"]) == ["imbalance", "stray"]


def test_check_names_every_fault_on_a_line_of_its_own(some_scenes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(some_scenes, tmp_path / "set"))
    depth, picture = folder / "cubes/lidar/0001.npy", folder / "spheres/rgb/0004.png"
    depth.write_bytes(depth.read_bytes()[:-1])
    picture.write_bytes(b"no picture")
    code, out, err = pipeline("check", folder)
    assert (code, err) == (1, "") and out.startswith(f"{folder}: 40 pairs, 2 errors, 0 warnings\n")
    first, second = sorted(line for line in out.splitlines() if ": found " in line)
    assert first.startswith(f"  {depth}: found ") and second.startswith(f"  {picture}: found ")


def test_check_of_an_absent_folder_is_one_line(tmp_path: Path) -> None:
    code, out, err = pipeline("check", tmp_path / "nowhere")
    assert (code, err) == (1, "") and "0 pairs, 1 error, 0 warnings" in out
    line = f"  {tmp_path / 'nowhere'}: found nothing; expected a folder; restore it or simulate a set"
    assert [each for each in out.splitlines() if ": found " in each] == [line]


def test_explore_without_fiftyone_names_the_extra(raw_folder: Path, tmp_path: Path) -> None:
    code, out, err = pipeline("explore", raw_folder, cwd=tmp_path)
    assert (code, out) == (1, "") and "pip install -r requirements-explore.txt" in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_senseless_option_is_refused_before_any_work(tmp_path: Path) -> None:
    code, _, err = pipeline("simulate", tmp_path / "set", "--scenes", "0")
    assert code == 2 and "scenes" in err and "Traceback" not in err and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_params_prints_what_will_run_and_refuses_an_unknown_fusion(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(preset_params("smoke"))
    code, out, _ = pipeline("params", cwd=tmp_path)
    assert code == 0 and "4 cells of 2 seeds: late-maxpool, concat-maxpool, rgb-maxpool, late-strided" in out
    assert re.search(r"^device: .*, b?float(32|16)$", out, re.M)
    for precision in ("float32", "bfloat16"):
        (tmp_path / "params.yaml").write_text(
            preset_params("smoke").replace("precision: auto", f"precision: {precision}")
        )
        assert f", {precision}\n" in pipeline("params", cwd=tmp_path)[1]
    (tmp_path / "params.yaml").write_text(preset_params("smoke").replace("fusion: rgb,", "fusion: middle,"))
    code, _, err = pipeline("params", cwd=tmp_path)
    assert code == 1 and err.startswith("error: params.yaml: matrix.rgb-maxpool.fusion is 'middle'")
    assert all(f" {name}" in err for name in FUSIONS) and "Traceback" not in err


def test_params_refuses_widths_that_a_fusion_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(preset_params("smoke").replace("embed_dim: 64", "num_heads: 2", 1))
    code, out, err = pipeline("params", cwd=tmp_path)
    assert (code, out) == (1, "") and err == (
        "error: params.yaml: fusion.nets.rgb.embed_dim is missing: add it; "
        "fusion.nets.rgb.num_heads is not a width of rgb, which "
        "takes channels, embed_dim, head_dims: remove it\n"
    )


def test_preset_writes_params_with_the_way_back(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    (tmp_path / "params.yaml").write_text(preset_params("full"))
    code, out, err = pipeline("preset", "smoke", "--out", "new.yaml", cwd=tmp_path)
    assert (code, out) == (1, "") and err.startswith("error: params.yaml: found the preset full, and neither Git nor")
    default = preset_params("full").split("\n", 1)[1]
    (tmp_path / "params.yaml").write_text(default)
    assert pipeline("preset", "smoke", "--out", "new.yaml", cwd=tmp_path) == (0, "new.yaml: preset smoke\n", "")
    assert (tmp_path / "params.yaml").read_text() == default
    code, out, err = pipeline("preset", "course", cwd=tmp_path)
    assert (code, err) == (0, "") and out == "params.yaml: preset course; back: mv params.default.yaml params.yaml\n"
    code, out, err = pipeline("preset", "nope", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == "error: presets/nope.yaml: found no such preset, expected one of course, full, published, smoke\n"


def test_the_version_is_printed() -> None:
    assert pipeline("--version") == (0, f"{__version__}\n", "")


def test_help_is_plain_and_imports_nothing_heavy() -> None:
    code, out, err = pipeline("--help")
    names = "simulate import check explore params preset data predict export results best".split()
    assert (code, err) == (0, "") and all(f" {name} " in out for name in names)
    heavy = "{'torch', 'numpy', 'pandas', 'dvc', 'wandb', 'pydantic', 'PIL'}"
    script = f"import sys, pipeline.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
