"""Python, packages, wandb and Ray."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.tools.doctor.finding import Finding
from pipeline.tools.doctor.software import PYTHONS, check_packages, check_python, check_ray, check_wandb
from support.commands import ROOT


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 15, 0), (4, 0, 1)])
def test_a_python_that_is_not_supported(version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    found = "found {}.{}.{}, expected 3.11 to 3.14".format(*version)
    assert check_python() == Finding("problem", found, "`make setup PYTHON=python3.14`")


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2)])
def test_a_python_that_is_supported(version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert check_python() == Finding("ok", "{}.{}.{}".format(*version))


def test_the_supported_pythons_are_those_of_the_project() -> None:
    first, last = PYTHONS
    assert f'requires-python = ">=3.{first},<3.{last + 1}"' in (ROOT / "pyproject.toml").read_text()


@pytest.fixture
def requirements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(metadata, "version", {"torch": "2.13.0+cpu", "dvc": "3.66.0"}.__getitem__)
    return tmp_path / "requirements.txt"


def test_packages_as_pinned(requirements: Path) -> None:
    requirements.write_text("# a comment\ntorch==2.13.0\n")
    assert check_packages() == Finding("ok", "1 as pinned in requirements.txt")


def test_a_package_of_another_version(requirements: Path) -> None:
    requirements.write_text("torch==2.13.0\ndvc==3.67.1\n")
    status, found, fix = check_packages()
    assert (status, found) == ("note", "found dvc 3.66.0, not 3.67.1: results may differ")
    assert "pip install -r requirements.txt -c constraints.txt" in fix


def test_an_absent_package(requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    requirements.write_text("scikit-learn==1.9.1\nruamel.yaml==0.19.1\n")
    status, found, fix = check_packages()
    assert status == "problem" and "make setup" in fix
    assert found.startswith("found no scikit-learn==1.9.1, ruamel.yaml==0.19.1, expected all packages")


@pytest.mark.parametrize(
    "value, status, found",
    [
        ("", "ok", "offline, runs go to"),
        ("dryrun", "ok", "offline"),
        ("disabled", "ok", "disabled"),
        ("online", "note", "online: trainings are uploaded"),
        ("of-line", "note", "found WANDB_MODE=of-line, expected offline, online, disabled; trainings are not tracked"),
    ],
)
def test_the_mode_of_tracking(value: str, status: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", value)
    finding = check_wandb()
    assert finding.status == status and finding.found.startswith(found) and bool(finding.fix) == (status == "note")


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.60.0")
    assert check_ray() == Finding("ok", "2.60.0")

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    status, found, fix = check_ray()
    assert status == "note" and found.startswith("not installed") and "requirements-cluster.txt" in fix
