"""The Markdown pages of the project, and what stands in them."""

import re
from pathlib import Path
from typing import NamedTuple

from support.commands import ROOT

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]
    + [ROOT / "benchmarks" / "README.md", ROOT / "pretrained" / "README.md"]
)


class Command(NamedTuple):
    """One line of a `sh` block."""

    page: str
    text: str
    comment: str  # without the #

    @property
    def marked(self) -> bool:
        """Return whether the line gives the reason why no test runs it."""
        return bool(re.match(r"(needs|takes) ", self.comment))


def commands(page: Path) -> list[Command]:
    """Return the lines of all `sh` blocks of a page."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]
    parts = [line.partition(" # ") for line in lines]
    return [Command(page.name, text.strip(), comment.strip()) for text, _, comment in parts]


def prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)


def rows(page: Path, first: str) -> list[list[str]]:
    """Return the cells of the table whose first column is headed `first`, without its head."""
    _, _, table = page.read_text().partition(f"\n| {first} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
