"""Names in params.yaml that a shell would run: DVC, which reads them before any stage can refuse, hands none to it."""

import re
from ast import literal_eval
from pathlib import Path

import pytest
import yaml

from support.commands import ROOT, set_params, shell

CELL = {"fusion": "late", "downsample": "maxpool", "epochs": 1}
NAMES = [
    "$(touch ran)",
    "`touch ran`",
    "x; touch ran",
    "it's",
    'a"b',
    "two words",
    "x\ntouch ran",
    "--help",
    "\x1b[31mred",
]
WRITES_NAME = "import sys; print(repr(sys.argv[1]), file=open('names.txt', 'a'))\n"


STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
COMMANDS = {name: stage.get("do", stage)["cmd"] for name, stage in STAGES.items()}


def test_a_command_takes_names_from_dvc_yaml_alone() -> None:
    for name, command in COMMANDS.items():
        for key in re.findall(r"\${([\w.]+)}", command):
            values = STAGES[name]["matrix"][key.removeprefix("item.")]
            assert values and all(re.fullmatch(r"\w+", value) for value in values), command


@pytest.mark.slow
def test_a_hostile_name_reaches_its_stage_as_it_is_and_runs_nothing(tmp_path: Path) -> None:
    shell(tmp_path, "dvc init -q --no-scm")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "fusion.py").write_text(WRITES_NAME)
    stage = {"foreach": "${matrix}", "do": {"cmd": COMMANDS["fusion"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"fusion": stage}}))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"matrix": dict.fromkeys(NAMES, CELL)}))
    shell(tmp_path, "dvc repro")
    names = [literal_eval(line) for line in (tmp_path / "names.txt").read_text().splitlines()]
    assert sorted(names) == sorted(f"fusion@{name}" for name in NAMES) and not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_run_refuses_a_hostile_name_and_nothing_is_run(project: Path) -> None:
    set_params(project, **{"matrix__$(touch ran)": CELL})
    output = shell(project, "dvc repro", expect=255)
    assert "error: params.yaml: matrix.$(touch ran) is a cell of late with maxpool: call it late-maxpool" in output
    assert shell(project, "git status --porcelain") == " M params.yaml\n"
