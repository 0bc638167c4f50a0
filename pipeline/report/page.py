"""Markdown -> one HTML file that loads nothing: style and pictures inside, no script. What it says is in report.py."""

import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from itertools import chain, count, pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.core.errors import PipelineError

PNG = b"\x89PNG\r\n\x1a\n"  # how every PNG file begins
READABLE = 0.55  # of a picture's own width; narrower, the labels that figures.py draws are under 9 pixels high

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --soft: #59636e; --line: #cdd4db; --shade: #f0f2f5;
  --link: #0a5cad }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word }
h1, h2, h3 { margin: 1.75rem 0 1rem; line-height: 1.25; text-wrap: balance }
h2 { padding-top: 1rem; border-top: 1px solid var(--line) }
a { color: var(--link) } code { padding: .1em .3em; border-radius: .25rem; background: var(--shade); font-size: .9em }
nav ul { margin: 0; padding: 0; list-style: none; font-size: .9375rem; line-height: 1.3 }
nav a { display: block; padding: .3rem 0; text-decoration: none } nav .h3 { padding-left: 1rem }
.scroll { margin: 1.25rem 0; overflow-x: auto; /* a shade on the right while columns are hidden there */
  background: linear-gradient(to left, var(--paper) 1rem, transparent) right / 2rem 100% no-repeat local,
    linear-gradient(to left, var(--line), transparent) right / .75rem 100% no-repeat }
table { border-spacing: 0; font: .875rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums }
th, td { padding: .3125rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }
th { border-bottom-color: var(--soft); vertical-align: bottom; white-space: normal }
tr > :first-child { position: sticky; left: 0; padding-left: 0;
  border-right: 1px solid var(--line); background: var(--paper) }
figure { margin: 1.5rem 0 } figure, pre { overflow-x: auto }
img { max-width: 100%; height: auto; border-radius: .25rem; background: #fff }
figcaption { position: sticky; left: 0; color: var(--soft); font-size: .9375rem }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e2e6ea; --soft: #9ea8b3; --line: #39414a; --shade: #242a31; --link: #79b8ff }
  img { padding: .5rem; box-sizing: border-box } }
@media screen and (max-width: 40rem) { tr > :first-child { white-space: normal; min-width: 6.5rem } }
@media screen and (min-width: 78rem) { /* contents on the left; tables may use the margin on the right */
  :root { --left: max(1rem, 50vw - 37rem); --text: calc(var(--left) + 14rem) }
  body { margin-left: var(--text) }
  nav { position: fixed; top: 1.5rem; left: var(--left); width: 13rem; max-height: 90vh; overflow-y: auto }
  .scroll { width: max-content; max-width: calc(100vw - var(--text) - 3rem) } }
@media print {
  body { max-width: none; font-size: 10pt } nav { display: none } .scroll, figure { overflow: visible }
  table { font-size: 7pt } th, td { padding: .2em .4em; white-space: normal } img { min-width: 0 !important }
  .scroll { background: none } h2, h3 { break-after: avoid } figure, tr { break-inside: avoid } }
"""

# Void elements are closed, so that the page is well-formed XML too and any XML parser can check it.
PAGE = """<!DOCTYPE html>
<html lang="en"><head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<title>{title}</title>
<style>{style}</style>
</head><body>
{head}<nav aria-label="Contents"><ul>
{contents}</ul></nav>
{body}</body></html>
"""


def html(markdown: str, folder: Path, title: str) -> str:
    """The report as a page, its pictures from `folder`; raises PipelineError if one is absent, elsewhere or no PNG."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    contents = "".join(_contents(tokens))
    for image in (child for token in tokens for child in token.children or [] if child.type == "image"):
        data = _picture(unquote(str(image.attrs["src"])), folder)
        image.attrs["src"] = f"data:image/png;base64,{b64encode(data).decode()}"
        # bytes 16 to 19 of a PNG hold its width; a figure scrolls where the screen is narrower than this
        image.attrs["style"] = f"min-width: {READABLE * int.from_bytes(data[16:20]):.0f}px"
    cut = next((place + 1 for place, token in enumerate(tokens) if token.type == "heading_close"), 0)  # below the h1
    head, body = (parser.renderer.render([*_boxed(part)], parser.options, {}) for part in (tokens[:cut], tokens[cut:]))
    return PAGE.format(title=escape(title), style=STYLE, head=head, contents=contents, body=body)


def _contents(tokens: list[Token]) -> Iterator[str]:
    """Gives each h2 and h3 an id of its own; yields the entries that link to them."""
    taken = set()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag in ("h2", "h3"):
            text = "".join(child.content for child in inline.children)
            name = re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-") or "section"
            name = next(free for free in chain([name], (f"{name}-{n}" for n in count(2))) if free not in taken)
            taken.add(name)
            heading.attrs["id"] = name
            yield f'<li class="{heading.tag}"><a href="#{name}">{escape(text)}</a></li>\n'


def _picture(name: str, folder: Path) -> bytes:
    path = (folder / name).resolve()
    if ":" in name or not path.is_relative_to(folder.resolve()):  # a colon: a URL, and nothing is ever fetched
        raise PipelineError(f"{name}: not a picture below {folder}; name one that is there, or run `dvc repro`")
    if not path.is_file():
        raise PipelineError(f"{folder / name}: not found; run `dvc repro` to make it")
    data = path.read_bytes()
    if not data.startswith(PNG):
        raise PipelineError(f"{folder / name}: not a PNG picture; delete it and run `dvc repro`")
    return data


def _boxed(tokens: list[Token]) -> Iterator[Token]:
    """Tables in boxes that scroll, and paragraphs of nothing but pictures as figures."""
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
    """A picture with its caption; nothing for the line break between two pictures."""
    if image.type == "softbreak":
        return []
    caption = [part for part in image.children if part.type != "image"]
    opened, closed = ([Token(tag, tag, nesting) for tag in ("figure", "figcaption")] for nesting in (1, -1))
    return [opened[0], image, opened[1], *caption, closed[1], closed[0]]
