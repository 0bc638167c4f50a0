"""The headline figures from literal metrics."""

from pipeline.report.summary import summary
from support.literal_studies import cell, evaluated


def test_the_leader_is_as_given_and_figures_are_rounded():
    figures = summary("late-strided", cell(0.97512345, val_loss=0.000201), evaluated(tuned=0.98765432))
    assert figures == {
        "leader": "late-strided",
        "val_loss": 0.000201,
        "accuracy": 0.9751,
        "chance": 0.5,
        "top1": 0.8,
        "zero_shot": 0.9,
        "tuned": 0.9877,
    }


def test_the_summary_fits_a_terminal():
    figures = summary("late_frozen-strided_extra", cell(0.9999, val_loss=0.000201), evaluated())
    columns = ["runs/report/summary.json", *(max((name, str(value)), key=len) for name, value in figures.items())]
    assert len(figures) <= 12 and len("    ".join(columns)) <= 120  # as `dvc metrics show` lays it out
