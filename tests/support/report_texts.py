"""The text of a report on literal studies, and parts of it."""

import re

from pipeline.report.build import report_markdown
from pipeline.report.fusion.findings import best_fusion, downsampling, second_sensor, sensor_failure
from pipeline.report.transfer.findings import SCHEME, course_mark, few_labels, rgb_alone
from support.literal_studies import ablation, comparison, evaluated, labels, stress

DATA = {
    "pairs": 2000,
    "counts": {"train": 1400, "val": 200, "test": 400},
    "balanced": True,
    "by_class": {},
    "chance": 0.5,
    "left_out": 0,
    "not_asked_for": 0,
    "faults": [],
    "more_faults": 0,
    "warnings": {},
    "duplicates": 0,
    "near_duplicates": 0,
    "best_baseline": {"accuracy": 0.91, "above_chance": True},
    "table": "",
    "baseline_table": "",
}
FUSION = {
    "base": "maxpool",
    "table": "",
    "ablation_table": "",
    "curve_table": "",
    "curve_points": {25: 3, 700: 0},
    "curve_reference": "late",
    "stress_table": "",
    "choice_table": "",
    "stress_pairs": 100,
    "stress_separated": 5,
}
TRANSFER = {
    "table": "",
    "assessment_table": "",
    "label_table": "",
    "train_loss": 0.05,
    "zero_shot": "0.9",
    "marks": SCHEME,
}


def report(fusions=None, samplings=None, faults=None, chain=None, label_study=None, seeds=2, cell_seeds=None) -> str:
    fusions, samplings = fusions or comparison(), samplings or ablation()
    chain, label_study = chain or evaluated(), label_study or labels()
    fusion = FUSION | {
        "findings": (
            best_fusion(fusions),
            second_sensor(fusions),
            downsampling(samplings),
            sensor_failure(faults or stress(cells=tuple(fusions.cells)), fusions),
        )
    }
    transfer = TRANSFER | {"findings": (rgb_alone(chain, 0.5), few_labels(label_study), course_mark(chain))}
    return report_markdown(
        DATA,
        fusion,
        transfer,
        {"fusion": cell_seeds or seeds, "transfer": seeds},
        {"evaluate": chain, "labels": label_study},
    )


def section(text: str, name: str) -> str:
    return text.split(f"## {name}\n")[1].split("\n## ")[0]


def answer_list(text: str) -> list[str]:
    return [line for line in section(text, "Answers").splitlines() if re.match(r"\d\. ", line)]
