"""The report as one HTML file that loads nothing: style and pictures inside, no script. The text is Markdown."""

import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import chain, count, pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from pipeline.core.errors import PipelineError
from pipeline.report.text import render

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MIN_SCALE = 0.55  # of a picture's own width; if narrower, the labels of the figures are under 9 pixels high


class Heading(NamedTuple):
    """An entry of the table of contents."""

    tag: str  # h2 | h3
    anchor: str
    text: str


def html(markdown: str, folder: Path, title: str) -> str:
    """Convert Markdown to a page with its pictures from `folder`; raises PipelineError for a picture it can't embed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(re.sub(r"(?m)^[^|].* ± .*$", _keep_intervals_whole, markdown))
    headings = list(_number_headings(tokens))
    for image in (child for token in tokens for child in token.children or [] if child.type == "image"):
        data = _read_picture(unquote(str(image.attrs["src"])), folder)
        image.attrs["src"] = f"data:image/png;base64,{b64encode(data).decode()}"
        # bytes 16 to 19 of a PNG hold its width; a figure scrolls where the screen is narrower than this
        image.attrs["style"] = f"min-width: {MIN_SCALE * int.from_bytes(data[16:20]):.0f}px"
    below_title = next((place + 1 for place, token in enumerate(tokens) if token.type == "heading_close"), 0)
    head, body = (
        Markup(parser.renderer.render([*_boxed(part)], parser.options, {}))  # raw HTML is off, so this is safe
        for part in (tokens[:below_title], tokens[below_title:])
    )
    return render("page.html.j2", title=title, head=head, headings=headings, body=body)


def _keep_intervals_whole(line: re.Match[str]) -> str:
    """Put no-break spaces around ± in a line of text; the cells of tables do not wrap anyway."""
    return line[0].replace(" ± ", "\u00a0±\u00a0")


def _number_headings(tokens: list[Token]) -> Iterator[Heading]:
    """Give each h2 and h3 an id of its own and yield it."""
    used = set()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag in ("h2", "h3"):
            text = "".join(child.content for child in inline.children or [])
            name = re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-") or "section"
            anchor = next(free for free in chain([name], (f"{name}-{n}" for n in count(2))) if free not in used)
            used.add(anchor)
            heading.attrs["id"] = anchor
            yield Heading(heading.tag, anchor, text)


def _read_picture(name: str, folder: Path) -> bytes:
    path = (folder / name).resolve()
    if ":" in name or not path.is_relative_to(folder.resolve()):  # a colon: a URL, and nothing is ever fetched
        raise PipelineError(f"{name}: not a picture below {folder}; name one that is there, or run `dvc repro`")
    if not path.is_file():
        raise PipelineError(f"{folder / name}: not found; run `dvc repro` to make it")
    data = path.read_bytes()
    if not data.startswith(PNG_MAGIC):
        raise PipelineError(f"{folder / name}: not a PNG picture; delete it and run `dvc repro`")
    return data


def _boxed(tokens: list[Token]) -> Iterator[Token]:
    """Put tables into boxes that scroll, and turn paragraphs of nothing but pictures into figures."""
    for place, token in enumerate(tokens):
        parts = tokens[place + 1].children if token.type == "paragraph_open" else []
        if parts and all(part.type in ("image", "softbreak") for part in parts):
            token.hidden = tokens[place + 2].hidden = True
            tokens[place + 1].children = [piece for part in parts for piece in _figure(part)]
        if token.type == "table_open":
            yield Token("box_open", "div", 1, {"class": "scroll", "tabindex": "0"}, block=True)
        yield token
        if token.type == "table_close":
            yield Token("box_close", "div", -1, block=True)


def _figure(image: Token) -> list[Token]:
    """Return a picture with its caption; nothing for the line break between two pictures."""
    if image.type == "softbreak":
        return []
    caption = [part for part in image.children or [] if part.type != "image"]
    opened, closed = ([Token(tag, tag, nesting) for tag in ("figure", "figcaption")] for nesting in (1, -1))
    return [opened[0], image, opened[1], *caption, closed[1], closed[0]]
