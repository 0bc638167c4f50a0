"""MaxPool against strided convolutions, fusion by fusion: runs/ablation/."""

from pipeline.artifacts import RUNS, cell_name, read_json, run_folder, write_text
from pipeline.config import load
from pipeline.errors import run
from pipeline.results.report import ablation, numbers


def main() -> None:
    matrix = load().matrix
    cells = {
        fusion: {
            name: read_json(RUNS / "fusion" / cell_name(fusion, name) / "metrics.json") for name in matrix.downsample
        }
        for fusion in matrix.fusion
    }
    flat = {cell_name(fusion, name): metrics for fusion, each in cells.items() for name, metrics in each.items()}
    table = ablation(cells, base=matrix.downsample[0])
    write_text(run_folder("ablation") / "ablation.csv", numbers(flat).to_csv(lineterminator="\n"))
    write_text(run_folder("ablation") / "ablation.md", table)
    print(table)


if __name__ == "__main__":
    run(main)
