"""The report's Markdown, from the values of its sections."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.report.findings import Finding, answers
from pipeline.report.text import Metrics, precision_note, render_markdown

OPTIONAL = ("second_sensor", "downsampling", "sensor_failure")  # questions that not every matrix answers
TITLE = "RGB + LiDAR fusion and CILP: results"


def report_markdown(
    data: dict[str, Any],
    fusion: dict[str, Any],
    transfer: dict[str, Any],
    seeds: Mapping[str, int],
    stages: Mapping[str, Metrics],
) -> str:
    """Write the report from the values of its sections.

    `seeds` are the numbers of seeds of `fusion` and `transfer`; `stages` are metrics that record a precision, by stage.
    """
    findings: Iterable[Finding | None] = (*fusion["findings"], *transfer["findings"])
    by_name = dict.fromkeys(OPTIONAL) | {finding.name: finding for finding in findings if finding}
    return render_markdown(
        "report.md.j2",
        title=TITLE,
        seeds=seeds,
        answers=answers(findings),
        findings=by_name,
        data=data,
        fusion=fusion,
        transfer=transfer,
        precisions=sorted({metrics["precision"] for metrics in stages.values()}),
        precision_note=precision_note(stages).replace("\n", " ").rstrip(),
    )
