"""The part of `make cluster-check` that makes DVC forget trainings."""

from pathlib import Path
from random import Random

import yaml

from scripts.cluster import make_trainings_stale


def test_only_trainings_are_forgotten(tmp_path: Path) -> None:
    stages = {name: {"outs": [{"path": f"runs/{name}"}]} for name in ("prepare", "report")}
    for name in ("a", "b", "c", "d"):
        stages[name] = {"outs": [{"path": f"runs/{name}.npy"}, {"path": f"runs/times/{name}"}]}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    for name in ("times/a", "times/b", "times/c", "times/d", "prepare", "report"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs/a.npy").touch()
    assert make_trainings_stale(tmp_path, Random(0)) == ["a", "b", "c", "d"]
    assert set(yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]) == {"prepare", "report"}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["prepare", "report", "times"]
    assert not list((tmp_path / "runs/times").iterdir())
