"""The report as a reader sees it, from literal studies: what comes first, and which sentence each outcome bears."""

import re
from itertools import product
from xml.etree.ElementTree import fromstring

import pytest
from PIL import Image

from pipeline.report.build import TITLE
from pipeline.report.fusion.comparisons import Ablation, Comparison
from pipeline.report.page import html
from support.literal_studies import LEVEL, ablation, cell, comparison, evaluated, labels, stress, verdict
from support.report_texts import answer_list, report, section

LONE = Comparison({"add-maxpool": cell(0.95)}, "add-maxpool", {})


def test_the_report_says_how_many_seeds_a_cell_and_a_chain_have():
    assert "Means over 10 seeds a cell, 5 elsewhere, ± the half-width" in report(seeds=5, cell_seeds=10)
    assert "Means over 5 seeds ± the half-width" in report(seeds=5)


def test_answers_come_first_and_methods_last():
    headings = re.findall(r"^## (.*)$", report(), re.M)
    assert headings[:3] == ["Answers", "Written analysis", "Fusion"] and headings[-2:] == ["Methods", "Files"]
    assert [line[0] for line in answer_list(report())] == list("123456")


def test_every_answer_leads_to_a_section_of_the_page(tmp_path):
    text = report()
    (tmp_path / "pictures").mkdir()
    for name in set(re.findall(r"\((pictures/.*?\.png)\)", text)):
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    page = fromstring(html(text, tmp_path, TITLE))
    anchors = {tag.get("id") for tag in page.iter() if tag.tag in ("h2", "h3")}
    links = [link.get("href") for item in page.findall("body/ol/li") for link in item.iter("a")]
    assert len(links) == 6 and {link.removeprefix("#") for link in links} <= anchors
    lone = answer_list(report(LONE, Ablation({}, {}, {})))
    assert {re.search(r"\(#(.*?)\)", line)[1] for line in lone} <= anchors and "(#the-courses-marks)" in lone[-1]
    assert all(image.get("alt") for image in page.iter("img"))


def test_every_answer_has_its_number_its_chance_and_its_verdict():
    for line in answer_list(report()):
        sentence = line.split("** ", 1)[1]
        assert re.search(r"\d\.\d{4}", sentence) and "chance 0." in sentence, line
        assert re.search(r"\*\*(better|worse|above chance|not distinguishable)", sentence), line
    assert all("±" in line for line in answer_list(report()))


@pytest.mark.parametrize(
    ("study", "sentence", "advice"),
    [
        (comparison("worse"), "is **better** than the other cell (smallest p = 0.0031)", "For accuracy take `late-max"),
        (comparison("better"), "but `rgb-maxpool` did **better** on the test", "For accuracy take `rgb-maxpool`."),
        (
            comparison(LEVEL, 0.4, gap=-0.001, width=0.008),
            "The other cell cannot be told from `late-maxpool`",
            "Choose by cost within the margin of 0.01: `rgb-maxpool` is both",
        ),
        (comparison(LEVEL, None, None), "**no test** against 1 other cell is possible", "Train more seeds before"),
        (LONE, "it is the only cell, so that there is nothing to compare", "Add a cell to the matrix"),
        (Comparison({"add-maxpool": cell(0.5)}, "add-maxpool", {}), "so that no order among the", "Train longer"),
    ],
)
def test_which_fusion(study, sentence, advice):
    text = report(study)
    assert sentence in answer_list(text)[0] and f"- {advice}" in section(text, "Written analysis")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("worse", "A second sensor helps: `late-maxpool` against RGB alone"),
        ("better", "A second sensor costs accuracy"),
        (LEVEL, "No gain by a second sensor is measurable on clean data"),
    ],
)
def test_a_second_sensor(outcome, sentence):
    line = answer_list(report(comparison(outcome)))[1]
    assert sentence in line and "gains +0.0400 ± 0.0150 in accuracy" in line and "(p = 0.0031)" in line


@pytest.mark.parametrize(
    ("outcome", "gap", "width", "verdict_text", "advice"),
    [
        (
            "worse",
            -0.02,
            0.015,
            "**worse** for `late-strided` (smallest p = 0.0031)",
            "Do not use `strided` for `late-s",
        ),
        (
            "better",
            0.02,
            0.015,
            "**better** for `late-strided` (smallest p = 0.0031)",
            "Where training time counts, use",
        ),
        (
            LEVEL,
            -0.001,
            0.008,
            "**not distinguishable**, smallest p = 0.0031",
            "Where training time counts, use `strided`:",
        ),
        (
            LEVEL,
            -0.0075,
            0.0323,
            "**not distinguishable**, smallest p = 0.0031",
            "Train more seeds before using `strided`:",
        ),
    ],
)
def test_downsampling(outcome, gap, width, verdict_text, advice):
    text = report(samplings=ablation(outcome, gap=gap, width=width))
    line = answer_list(text)[2]
    assert f"changes accuracy by {gap:+.4f} (± {width:.4f} at most, chance 0.5000) in 1 fusion: {verdict_text}." in line
    assert "Its training takes 0.60 times the computing. `strided_extra` changes accuracy by +0.0100" in line
    analysis = section(text, "Written analysis")
    assert f"- {advice}" in analysis and "se `strided_extra`" not in analysis  # it takes 1.30 times
    assert (
        "0.40 times the computing of an epoch, 0.60 times that of a whole training (1.50 times the epochs)" in analysis
    )


def test_without_seconds_the_text_says_so_and_advises_by_size_alone():
    fusions, samplings = comparison(LEVEL, gap=-0.001, width=0.008), ablation(LEVEL, gap=-0.001, width=0.008)
    cells = {name: metrics | {"seconds_per_epoch": None} for name, metrics in fusions.cells.items()}
    shared = samplings.cells | {"late-strided": samplings.cells["late-strided"] | {"seconds_per_epoch": None}}
    text = report(
        fusions=Comparison(cells, fusions.leader, fusions.verdicts),
        samplings=Ablation(samplings.groups, shared, samplings.verdicts),
    )
    first, second = answer_list(text)[2].split("`strided_extra`")
    assert first.endswith(" Its seconds are not measured: trainings shared a GPU. ")
    assert "Its training takes 1.30 times the computing." in second
    analysis = section(text, "Written analysis")
    assert "(700 parameters, 0.35 times the leader's); seconds are not measured: trainings shared a GPU.\n" in analysis
    assert "`strided` takes 1.50 times the epochs and 1.00 times the parameters; a loss over 0.01" in analysis
    assert "margin of 0.01: `rgb-maxpool` where size counts.\n" in analysis and "training time" not in analysis


def test_a_downsampling_is_recommended_for_the_cells_that_exclude_a_loss():
    study = ablation(LEVEL, gap=0.0, width=0.004)
    cells = study.cells | {"add-maxpool": cell(0.95), "add-strided": cell(0.94, seconds_per_epoch=0.8, epochs=6)}
    groups = study.groups | {"add": ["add-maxpool", "add-strided"]}
    verdicts = study.verdicts | {"add-strided": verdict(-0.0075, LEVEL, 1.0, 0.0323)}
    analysis = section(report(samplings=Ablation(groups, cells, verdicts)), "Written analysis")
    assert "- Where training time counts, use `late-strided`: every training is shorter" in analysis
    assert "which it is not for `add-strided`." in analysis
    assert "a loss of up to 0.0398 of accuracy is not excluded" in analysis


@pytest.mark.parametrize(
    ("lidar", "verdict_text"),
    [
        (0.52, "**above chance** without RGB, **not distinguishable from chance** without LiDAR;"),
        (0.6, "in both cases;"),
    ],
)
def test_a_failing_sensor(lidar, verdict_text):
    text = report(faults=stress(lidar_missing=lidar))
    line = answer_list(text)[3]
    assert f"goes from 0.9500 ± 0.0500 to 0.9000 ± 0.0500 without RGB, {lidar:.4f} ± 0.0500 without LiDAR" in line
    assert verdict_text in line and ("If a sensor may fail" in text) == (lidar == 0.52)


def test_tuning_is_recommended_only_where_it_is_apart_from_zero_shot():
    assert "; once there are labels, tune it." in report()
    assert "; tuned on all labels, it was not distinguishable from that." in report(chain=evaluated(tuned=0.91))
    assert "Where only RGB is at hand and none of it is labelled, start from CILP's zero-shot" in report()
    assert "Get CILP to learn before judging" in report(chain=evaluated(top1=0.003, zero_shot=0.5))


def test_few_labels():
    assert "pretraining is **better**, and not distinguishable from 100 labels on" in answer_list(report())[5]
    assert "; from 100 on, it is not distinguishable from training from scratch, which does not mean equal." in report()
    assert "and is still so with all 1,400" in answer_list(report(label_study=labels(most=0.9)))[5]
    assert "**worse**" in answer_list(report(label_study=labels(scratch=0.97)))[5]
    assert "**not distinguishable**" in answer_list(report(label_study=labels(scratch=0.925)))[5]


def test_the_mark_that_untrained_nets_pass():
    assert "and so 5 of its 10 points: **the mark says nothing**" in section(report(), "CILP")
    learns = report(chain=evaluated(untrained_loss=3.6))
    assert "**the mark asks for learning**" in section(learns, "CILP") and "untrained nets pass" not in learns


def test_one_seed_claims_nothing():
    half = {"half": None}
    text = report(
        comparison(LEVEL, None, None), ablation(LEVEL, None, None), stress(**half), evaluated(**half), labels(**half), 1
    )
    assert "excludes a loss" not in text
    first = section(text, "Answers")
    assert "One seed: no intervals and no tests" in first and "±" not in first
    assert not re.search(r"\*\*(better|worse|above chance|not distinguishable)", first)


RGB, LIDAR, DEAD = cell(0.9), cell(0.9), cell(0.5)
STUDIES = [
    [
        comparison("worse"),
        comparison("better"),
        comparison(LEVEL, None, None),
        LONE,
        Comparison({"rgb-maxpool": RGB}, "rgb-maxpool", {}),
        Comparison({"add-maxpool": DEAD}, "add-maxpool", {}),
        Comparison(
            {"rgb-maxpool": RGB, "lidar-maxpool": LIDAR}, "rgb-maxpool", {"lidar-maxpool": verdict(0.0, LEVEL, 1.0)}
        ),
    ],
    [ablation("worse"), ablation(LEVEL, gap=-0.0075, width=0.0323), ablation(LEVEL, None, None), Ablation({}, {}, {})],
    [evaluated(), evaluated(0.003, 0.5, 0.5), evaluated(half=None)],
    [labels(), labels(half=None), labels(0.5, pretrained=(0.5, 0.5, 0.5))],
]


def test_whatever_the_run_the_text_is_whole():
    for fusions, samplings, chain, label_study in product(*STUDIES):
        text = report(fusions, samplings, None, chain, label_study)
        analysis = section(text, "Written analysis")
        prose = "\n".join(line for line in text.splitlines() if "../" not in line)
        assert not re.search(r"\bnan\b|\binf\b|None\b(?! (of|yet))|  |\.\.| [,.;:]|\(\)|\{|\}", prose), text
        assert all(re.search(r"[.!]$", line) for line in answer_list(text)) and len(answer_list(text)) <= 6
        assert "**Recommendations.**\n\n- " in analysis and len(analysis.split()) <= 400
        assert not re.search(r"\*\*Trade-offs\.\*\*\s*\*\*", analysis)


def test_methods_name_the_precision_and_stages_that_differ_in_it():
    assert "Nets multiply in float32.\n" in section(report(), "Methods")
    methods = section(report(label_study=labels() | {"precision": "bfloat16"}), "Methods")
    assert (
        "Nets multiply in bfloat16 and float32. Unlike precision. bfloat16: `labels`; float32: `evaluate`." in methods
    )
