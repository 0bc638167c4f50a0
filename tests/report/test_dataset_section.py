"""The text and the tables of the data, from literal metrics."""

from pipeline.report.dataset.section import data_values
from pipeline.report.dataset.tables import contents_table
from pipeline.report.dataset.trivial_baselines import Baseline, Rule
from pipeline.report.text import one_line, render

CLASS = {
    "rgb_files": 1001,
    "lidar_files": 1000,
    "pairs_found": 999,
    "returns_min": 149,
    "returns_mean": 286.13,
    "returns_max": 490,
    "depth_min": 17.8,
    "depth_mean": 23.714,
    "depth_max": 32.0,
    "lit_mean": 113.45,
    "brightness_mean": 125.69,
}
SPLITS = {name: {"cubes": pairs, "spheres": pairs} for name, pairs in {"train": 697, "val": 100, "test": 200}.items()}
DATA = SPLITS | {
    "pairs": 1994,
    "cubes": CLASS,
    "spheres": CLASS | {"returns_min": 1, "rgb_files": 999},
    "warnings": {},
    "left_out": {"pairs": 0, "faults": []},
    "not_asked_for": 0,
    "duplicates": 0,
    "near_duplicates": 0,
}
FAULT = {"kind": "unpaired", "path": "data/cubes/rgb/0007.png", "found": "nothing", "scenes": "0007"}
BASELINES = {
    "returns": Baseline(Rule(207.5, 0), 0.9, 0.91),
    "lit": Baseline(Rule(float("inf"), 0), 0.5, 0.5),
    "brightness": Baseline(Rule(1.04, 1), 0.65, 0.6625),
}


def rows(table: str) -> dict[str, list[str]]:
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:])
    return {first: others for first, *others in cells}


def text(chance: float = 0.5, **changes) -> str:
    values = data_values(DATA | changes, BASELINES, chance)
    return render("data.md.j2", data=values | {"table": "", "baseline_table": ""})


def test_the_table_of_contents():
    table = rows(contents_table(DATA))
    assert table["RGB files"] == ["1,001", "999", "2,000"]
    assert table["LiDAR files"] == ["1,000", "1,000", "2,000"]
    assert table["pairs in the folder"] == ["999", "999", "1,998"]
    assert table["pairs in the splits"] == ["997", "997", "1,994"]
    assert table["train: pairs to train on"] == ["697", "697", "1,394"]
    assert table["test: pairs to report on"] == ["200", "200", "400"]
    assert table["returns of a frame: least / mean / most"] == ["149 / 286.1 / 490", "1 / 286.1 / 490", ""]
    assert table["range of a return: nearest / mean / farthest"] == ["17.80 / 23.71 / 32.00"] * 2 + [""]
    assert table["lit pixels of a picture, mean"] == ["113.5", "113.5", ""]
    assert table["their brightness, mean"] == ["125.7", "125.7", ""]


def test_a_clean_set():
    assert "Every split holds as many cubes as spheres." in text()
    for sentence in ("test split, is 0.5000.", "No pair was left out.", "No frame occurs twice."):
        assert sentence in text()
    assert "No pair looks nearly like one of another split." in text() and "Warnings" not in text()


def test_classes_that_are_not_balanced():
    shares = text(0.75, test={"cubes": 150, "spheres": 50})
    assert "not balanced: 697 to 697 (train), 100 to 100 (val), 150 to 50 (test)." in shares
    assert "the larger class of the test split, is 0.7500." in shares


def test_what_was_left_out_is_named():
    left_out = text(left_out={"pairs": 2, "faults": [FAULT, FAULT | {"kind": "name", "scenes": ""}]})
    assert "2 pairs, whole or half, had to be left out:\n\n- unpaired" in left_out
    assert "- unpaired: `data/cubes/rgb/0007.png`, found nothing (scene 0007)\n" in left_out
    assert "- name: `data/cubes/rgb/0007.png`, found nothing\n" in left_out and "more, in" not in left_out


def test_many_faults_are_cut_and_counted():
    left_out = text(left_out={"pairs": 5012, "faults": [FAULT] * 5012})
    assert left_out.count("- unpaired") == 10 and "- and 5,002 more, in `../prepare/metrics.json`" in left_out
    assert "5,012 pairs, whole or half" in left_out


def test_fewer_requested_scenes_are_no_fault():
    assert "12 pairs lie in no split, since fewer scenes were asked for.\nNo pair was left out." in text(
        not_asked_for=12
    )


def test_names_and_contents_of_files_cannot_mark_up_the_page():
    hostile = {"path": "data/`<b>\nx`.png", "found": "*a* <script>\n# b", "kind": "name", "scenes": ""}
    left_out = text(left_out={"pairs": 1, "faults": [hostile]})
    assert "- name: `` data/`<b> x`.png ``, found \\*a\\* \\<script\\> \\# b\n" in left_out


def test_warnings_are_counted_and_copies_have_sentences_of_their_own():
    warned = text(warnings={"black": 1, "no-return": 1_500, "duplicate": 4}, duplicates=4, near_duplicates=3)
    assert "Warnings of the check, left as they are: black 1, no-return 1,500." in warned
    assert "Frames that repeat another of their class, bit for bit: 4." in warned
    assert "Pairs that look nearly like one of another split, and may flatter test figures: 3." in warned
    assert "Warnings" not in text(warnings={"near-duplicate": 3}, near_duplicates=3)


def test_what_a_net_has_to_beat():
    assert data_values(DATA, BASELINES, 0.5)["best_baseline"] == {
        "accuracy": 0.91,
        "above_chance": True,
    }
    assert "Accuracy up to 0.9100 needs no knowledge of the shape." in text()


def test_few_test_pairs_show_nothing():
    few = one_line(text(test={"cubes": 1, "spheres": 1}))
    assert "On 2 test pairs this is not distinguishable from chance." in few and "needs no knowledge" not in few
