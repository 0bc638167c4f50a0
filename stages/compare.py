"""The fusions beside each other on the nets of the first downsampling, as the course asks: runs/compare/."""

from pipeline.artifacts import run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results.report import comparison, numbers, read_cells


def main() -> None:
    matrix, folder = load().matrix, run_folder("compare")
    base = matrix.downsample[0]
    cells = {fusion: each[base] for fusion, each in read_cells(matrix.fusion, [base]).items()}
    table = comparison(cells)
    write_text(folder / "fusion.csv", numbers(cells).to_csv(lineterminator="\n"))
    write_text(folder / "fusion.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
