"""Everything on one page: runs/report/report.md with its figures, and summary.json with the headline numbers."""

from collections.abc import Sequence

import pandas as pd

from pipeline.artifacts import RUNS, cell_name, read_array, read_json, read_table, run_folder, write_json, write_text
from pipeline.config import load
from pipeline.data.raw import CLASSES
from pipeline.data.split import read_split
from pipeline.errors import run
from pipeline.results import figures, report

FOLDER = RUNS / "report"
CHAIN = ("lidar", "cilp", "project", "classify")
SHOWN = 8  # pairs in the picture of predictions


def draw_curves(fusions: Sequence[str], downsamples: Sequence[str]) -> None:
    """Validation accuracy of all cells by epoch, and CILP's retrieval."""

    def history(*run: str) -> pd.DataFrame:
        return read_table(RUNS.joinpath(*run) / "history.tsv")

    cells = {name: {each: history("fusion", cell_name(each, name)) for each in fusions} for name in downsamples}
    figures.curves(cells, "val_accuracy", "validation accuracy", FOLDER / "fusion.png")
    figures.curves({"CILP": {"RGB to LiDAR": history("cilp")}}, "val_top1", "retrieval top-1", FOLDER / "cilp.png")


def draw_predictions(cell: str) -> None:
    """The test pairs that the first seed of `cell` finds hardest, by the probability it gives the true class."""
    folder = RUNS / "prepare" / "arrays"
    test = read_split(folder / "split.tsv")["test"]
    logits, label = read_array(RUNS / "fusion" / cell / "logits.npy")[0], read_array(folder / "label.npy")[test]
    chosen, sure = report.hardest(logits, label, SHOWN)
    rgb, depth = (read_array(folder / f"{name}.npy", mmap_mode="r")[test[chosen]] for name in ("rgb", "depth"))
    names = [kind.removesuffix("s") for kind in CLASSES]
    truth, said = ([names[int(i)] for i in classes[chosen]] for classes in (label, logits > 0))
    figures.predictions(rgb, depth, truth, said, sure, FOLDER / "predictions.png")


def main() -> None:
    params = load()
    matrix = params.matrix
    base = matrix.downsample[0]
    cells = report.read_cells(matrix.fusion, matrix.downsample)
    chain = [read_json(RUNS / stage / "metrics.json") for stage in CHAIN]
    base_cells = {fusion: each[base] for fusion, each in cells.items()}
    run_folder("report")
    draw_curves(matrix.fusion, matrix.downsample)
    draw_predictions(cell_name(report.leading(base_cells), base))
    figures.similarity(read_array(RUNS / "cilp" / "similarity.npy"), FOLDER / "similarity.png")
    write_json(FOLDER / "summary.json", report.summary(cells, *chain))
    tables = {"fusion": report.comparison(base_cells)}
    tables |= {"ablation": report.ablation(cells, base), "chain": report.chain(*chain)}
    data = read_json(RUNS / "prepare" / "metrics.json")
    write_text(FOLDER / "report.md", report.page(data, tables, base_cells, base, len(params.seeds)))
    print(f"report: {FOLDER / 'report.md'}")


if __name__ == "__main__":
    run(main)
