"""What the image starts with, whatever folder is mounted and whichever system cloned it. Nothing is built."""

import json
import re
import shutil
from pathlib import Path

from support.commands import ROOT, shell

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_entry_point_is_the_images_own_and_needs_no_permission() -> None:
    shell_name, script = json.loads(re.search("^ENTRYPOINT (.*)$", DOCKERFILE, re.M)[1])
    assert shell_name == "sh" and script == "/opt/docker-entrypoint.sh"  # not in /workspace
    assert "\nCOPY docker-entrypoint.sh /opt/\n" in DOCKERFILE


def test_dvc_writes_where_a_read_only_image_lets_it() -> None:
    assert "\nENV DVC_SITE_CACHE_DIR=/tmp/dvc\n" in DOCKERFILE and "HOME=/tmp " in DOCKERFILE


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
    assert shell(clone, "./docker-entrypoint.sh echo started") == "started\n"
