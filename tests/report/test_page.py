"""The page from literal Markdown, read back by an XML parser: what is in it, and that nothing is fetched."""

import re
from base64 import b64decode
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.report.page import html

MARKDOWN = """# All & sundry

Text with `a < b`, a [card](card.md) and <script>alert("1")</script>.

## Same
| net  | loss |
|:-----|-----:|
| late | 0.25 |

![One `net` <b>](one.png)
![Two](more/two%20words.png)

### Same
Beside text ![Three](one.png) stays in its line.

## Same-2
## ±
## Sound & light
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report" / "more").mkdir(parents=True)
    Image.new("RGB", (200, 10), "red").save(tmp_path / "report" / "one.png")
    Image.new("RGB", (20, 10), "blue").save(tmp_path / "report" / "more" / "two words.png")
    Image.new("RGB", (20, 10), "lime").save(tmp_path / "outside.png")
    return tmp_path / "report"


def parsed(folder: Path, markdown: str = MARKDOWN) -> Element:
    """Parse the page; raise if a tag stays open or an attribute unquoted."""
    return fromstring(html(markdown, folder, "Fusion & <CILP>"))


def test_the_page_names_itself_once(folder):
    page = parsed(folder)
    assert html(MARKDOWN, folder, "x").startswith("<!DOCTYPE html>\n") and page.get("lang") == "en"
    assert page.findtext("head/title") == "Fusion & <CILP>"
    assert [title.text for title in page.iter("h1")] == ["All & sundry"]
    first = page.find("head")[0]
    assert first.tag == "meta" and first.get("charset") == "utf-8"
    assert page.find("head/meta[@name='viewport']").get("content") == "width=device-width, initial-scale=1"


def test_the_contents_lead_to_headings_of_their_own(folder):
    page = parsed(folder)
    ids = [element.get("id") for element in page.iter() if "id" in element.attrib]
    headings = [(tag.tag, tag.text, "#" + tag.get("id")) for tag in page.iter() if tag.tag in ("h2", "h3")]
    links = [(item.get("class"), item[0].text, item[0].get("href")) for item in page.findall("body/nav/ul/li")]
    assert links == headings and len(set(ids)) == len(ids) == 5
    assert [link[2] for link in links] == ["#same", "#same-2", "#same-2-2", "#section", "#sound--light"]


def test_pictures_are_inside_byte_for_byte(folder):
    page = parsed(folder)
    one, two = ((folder / name).read_bytes() for name in ("one.png", "more/two words.png"))
    found = [image.get("src").partition("data:image/png;base64,") for image in page.iter("img")]
    assert [(before, b64decode(data)) for before, _, data in found] == [("", one), ("", two), ("", one)]
    figures = page.findall("body/figure")
    assert [figure.find("img").get("alt") for figure in figures] == ["One net <b>", "Two"]
    assert ["".join(figure.find("figcaption").itertext()) for figure in figures] == ["One net <b>", "Two"]
    assert page.find("body/p/img").get("alt") == "Three"


def test_a_wide_picture_scrolls_before_its_labels_are_too_small(folder):
    page = parsed(folder)
    assert [image.get("style") for image in page.iter("img")][:2] == ["min-width: 110px", "min-width: 11px"]


def test_nothing_is_loaded_or_run(folder):
    page = parsed(folder)
    assert {tag.tag for tag in page.iter()} & {"script", "link", "iframe", "object", "embed", "b", "base"} == set()
    for tag in page.iter():
        assert not any(name.startswith("on") for name in tag.attrib)
        assert tag.get("src", "data:").startswith("data:")
    assert [tag.get("href") for tag in page.iter("a") if not tag.get("href").startswith("#")] == ["card.md"]
    assert 'and <script>alert("1")</script>.' in "".join(page.find("body").itertext())
    assert not re.search(r"url\(|@import|expression", page.findtext("head/style"))
    policy = page.find("head/meta[@http-equiv='Content-Security-Policy']").get("content")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_a_picture_within_a_caption_is_left_out(folder):
    figure = parsed(folder, "![One ![inner](https://example.org/a.png)](one.png)").find("body/figure")
    assert len(list(figure.iter("img"))) == 1 and figure.findtext("figcaption") == "One "


def test_tables_scroll_and_keep_the_alignment_they_are_given(folder):
    page = parsed(folder)
    assert len(page.findall(".//table")) == len(page.findall("body/div[@class='scroll']/table")) == 1
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", page.findtext("head/style"))
    cells = [(cell.text, cell.get("style")) for cell in page.iter("td")]
    assert cells == [("late", "text-align:left"), ("0.25", "text-align:right")]


@pytest.mark.parametrize(
    "name",
    [
        "absent.png",
        "more",
        "../outside.png",
        "more/../../outside.png",
        "%2e%2e/outside.png",
        "/etc/hostname",
        "https://example.org/one.png",
        "//example.org/one.png",
        "data:image/png;base64,AAAA",
        "link.png",
        "text.png",
    ],
)
def test_other_pictures_are_refused_by_name(name, folder):
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "text.png").write_text("<svg/>")
    path = name.replace("%2e", ".")
    with pytest.raises(PipelineError, match=rf"{re.escape(path)}: not .*`dvc repro`"):
        html(f"# A\n\nBeside ![text]({name}) too\n", folder, "A")


def test_equal_reports_give_equal_pages_wherever_they_lie(folder, tmp_path):
    first = html(MARKDOWN, folder, "A")
    folder.rename(tmp_path / "moved")
    assert html(MARKDOWN, tmp_path / "moved", "A") == first
