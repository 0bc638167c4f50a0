"""Links, pictures and paths of the pages lead to something."""

import re
from pathlib import Path

import pytest

from support.commands import ROOT
from support.documents import PAGES, prose

ROOMS = "pipeline|stages|tests|docs|benchmarks|presets|scripts|notebooks|pretrained"


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"https?://", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists() and ROOT in target.parents, link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_spans_exist(page: Path) -> None:
    for span in re.findall(r"`([^`]+)`", prose(page)):
        if re.fullmatch(rf"({ROOMS})/[\w./-]*", span) and not span.startswith("pretrained/lidar"):
            assert (ROOT / span).exists(), span


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", (ROOT / "README.md").read_text()))
    assert linked == {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")}


def test_every_picture_of_docs_stands_on_a_page() -> None:
    used = {Path(link).name for page in PAGES for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())}
    assert used == {picture.name for picture in (ROOT / "docs").glob("*.png")}
