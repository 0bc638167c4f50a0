"""Values as text."""

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from pipeline.report.text import (
    code,
    compact,
    counted,
    escaped,
    joined,
    markdown,
    one_line,
    precision_note,
    render_markdown,
    signed,
    value_range,
    verbatim,
    with_interval,
)

CELL = {"accuracy": 0.99, "accuracy_ci95": 0.004}


def test_with_interval():
    assert with_interval(CELL, "accuracy") == "0.9900 ± 0.0040"
    assert with_interval(CELL, "accuracy", 2) == "0.99 ± 0.00"
    assert with_interval(CELL | {"accuracy_ci95": None}, "accuracy") == "0.9900"


def test_a_table_is_the_same_without_its_padding():
    table = markdown([{"cell": "late", "accuracy": "0.9900 ± 0.0040"}, {"cell": "add", "accuracy": ""}])
    assert compact(table) == "|cell|accuracy|\n|:---|:---|\n|late|0.9900 ± 0.0040|\n|add||\n"
    parser = MarkdownIt("commonmark").enable("table")
    assert parser.render(compact(table)) == parser.render(table)


@pytest.mark.parametrize(
    ("items", "text"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_joined(items, text):
    assert joined(items) == text
    assert code(["a", "b"]) == "`a` and `b`"


def test_numbers():
    assert value_range([0.5, 0.25]) == "0.2500 to 0.5000" and value_range([0.5, 0.50001]) == "0.5000"
    assert signed(-0.00001) == "+0.0000" and signed(-0.0001) == "-0.0001" and signed(0.5) == "+0.5000"
    assert counted(1, "pair") == "1 pair" and counted(1_000, "pair") == "1,000 pairs"


def test_one_line():
    assert one_line(" a\n  b ;\nc , 0.5 .\n") == "a b; c, 0.5."
    assert one_line("a :b .5") == "a :b .5"  # only before what ends a phrase


def test_names_and_contents_of_files_cannot_mark_up_the_page():
    path, content = "data/`<b>\nx`|.png", "*a* <script>\n# b | [c](d) `e`"
    text = f"- {verbatim(path)}, found {escaped(content)}"
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    [item] = [token for token in tokens if token.type == "inline"]
    assert {child.type for child in item.children} <= {"text", "code_inline"}
    found = "".join(child.content for child in item.children)
    assert found == "data/`<b> x`|.png, found *a* <script> # b | [c](d) `e`"


def test_a_template_without_a_value_fails():
    with pytest.raises(UndefinedError):
        render_markdown("model_card.md.j2", nets=[])


def test_a_note_names_what_was_computed_in_unlike_precision():
    full, half = {"precision": "float32"}, {"precision": "bfloat16"}
    assert precision_note({"late": full, "add": full}) == precision_note({"late": {}, "add": {}}) == ""
    assert precision_note({"late": full, "add": half, "rgb": full}) == (
        "\nUnlike precision. bfloat16: `add`; float32: `late` and `rgb`. "
        "A difference between these may come from the rounding alone.\n"
    )
    assert "float32: `late`; not recorded: `add`." in precision_note({"late": full, "add": {}})
