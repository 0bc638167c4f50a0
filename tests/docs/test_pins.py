"""What several files have to agree on: the version, the Python range, the pins."""

import re
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from pipeline.version import __version__
from support.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_takes_version_and_pins_from_their_files() -> None:
    dynamic = PROJECT["tool"]["setuptools"]["dynamic"]
    assert dynamic["version"] == {"attr": "pipeline.version.__version__"} and "version" not in PROJECT["project"]
    extras = dynamic["optional-dependencies"]
    assert set(extras) == {"hub", "cluster", "explore", "dev"}
    for name in [*dynamic["dependencies"]["file"], *(name for extra in extras.values() for name in extra["file"])]:
        lines = (ROOT / name).read_text().splitlines()
        assert all(re.match(r"#|[\w.-]+==[^=;]+(;.*)?$", line) for line in lines), name  # setuptools refuses `-r`


def test_the_changelog_has_the_version() -> None:
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_hook_is_the_ruff_of_the_requirements() -> None:
    ruff = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["rev"].removeprefix("v")
    assert f"\nruff=={ruff}\n" in (ROOT / "requirements-dev.txt").read_text()


def test_the_workflow_takes_the_oldest_and_the_newest_python() -> None:
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    known = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in supported]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["check"]["strategy"]["matrix"]["python"] == [known[0], known[-1]]
