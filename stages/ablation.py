"""Each downsampling against the first, fusion by fusion: runs/ablation/."""

from pipeline.artifacts import cell_name, run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results.report import ablation, numbers, read_cells


def main() -> None:
    matrix, folder = load().matrix, run_folder("ablation")
    cells = read_cells(matrix.fusion, matrix.downsample)
    flat = {cell_name(fusion, name): metrics for fusion, each in cells.items() for name, metrics in each.items()}
    table = ablation(cells, base=matrix.downsample[0])
    write_text(folder / "ablation.csv", numbers(flat).to_csv(lineterminator="\n"))
    write_text(folder / "ablation.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
