"""The fusions beside each other on the nets of the first downsampling, as the course asks: runs/compare/."""

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.core.files import write_text
from pipeline.core.runs import run_folder
from pipeline.report.cells import load_test_set, metrics_frame
from pipeline.report.fusion import comparisons as evidence
from pipeline.report.fusion import tables as fusion_tables


def main() -> None:
    params, folder = load_params(), run_folder("compare")
    study = evidence.comparison(params.matrix, load_test_set())
    table = fusion_tables.comparison(study)
    write_text(folder / "fusion.csv", metrics_frame(study.cells).to_csv(lineterminator="\n"))
    write_text(folder / "fusion.md", table)
    print(table)


if __name__ == "__main__":
    run_command(main)
