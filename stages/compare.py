"""Compare the fusions on MaxPool nets, as the course asks: runs/compare/."""

from pipeline.artifacts import RUNS, cell_name, read_json, run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results.report import comparison, numbers


def main() -> None:
    matrix = load().matrix
    downsample = matrix.downsample[0]
    cells = {name: read_json(RUNS / "fusion" / cell_name(name, downsample) / "metrics.json") for name in matrix.fusion}
    table = comparison(cells)
    write_text(run_folder("compare") / "fusion.csv", numbers(cells).to_csv(lineterminator="\n"))
    write_text(run_folder("compare") / "fusion.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
