"""The fusions beside each other on the nets of the first downsampling, as the course asks: runs/compare/."""

from pipeline.artifacts import run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results import evidence, fusion_tables
from pipeline.results.cells import numbers, test_pairs


def main() -> None:
    params, folder = load(), run_folder("compare")
    study = evidence.comparison(params.matrix, test_pairs())
    table = fusion_tables.comparison(study)
    write_text(folder / "fusion.csv", numbers(study.cells).to_csv(lineterminator="\n"))
    write_text(folder / "fusion.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
