"""Everything on one page: runs/report/report.md with its figures, and summary.json with the headline numbers."""

import numpy as np
import pandas as pd

from pipeline.artifacts import RUNS, cell_name, read_array, read_json, run_folder, write_json, write_text
from pipeline.config import load
from pipeline.data.raw import CLASSES
from pipeline.data.split import read_split
from pipeline.errors import run
from pipeline.results import figures, report

CHAIN = ("lidar", "cilp", "project", "classify")
SHOWN = 8


def draw_predictions(cell: str) -> None:
    """The pairs on which the first seed of `cell` errs most, then those it finds hardest."""
    arrays = RUNS / "prepare" / "arrays"
    test = read_split(arrays / "split.tsv")["test"]
    logits, label = read_array(RUNS / "fusion" / cell / "logits.npy")[0], read_array(arrays / "label.npy")[test]
    margin = np.where(label == 1, logits, -logits)
    chosen = np.argsort(margin, kind="stable")[:SHOWN]
    rgb, depth = (read_array(arrays / f"{name}.npy", mmap_mode="r")[test[chosen]] for name in ("rgb", "depth"))
    names = [kind.removesuffix("s") for kind in CLASSES]
    truth, said = ([names[int(i)] for i in each[chosen]] for each in (label, logits > 0))
    sure = 1 / (1 + np.exp(-np.abs(logits[chosen])))
    figures.predictions(rgb, depth, truth, said, sure, run_folder("report") / "predictions.png")


def main() -> None:
    matrix, folder = load().matrix, run_folder("report")
    cells = {
        fusion: {
            name: read_json(RUNS / "fusion" / cell_name(fusion, name) / "metrics.json") for name in matrix.downsample
        }
        for fusion in matrix.fusion
    }
    histories = {
        name: {
            fusion: pd.read_csv(RUNS / "fusion" / cell_name(fusion, name) / "history.tsv", sep="\t")
            for fusion in matrix.fusion
        }
        for name in matrix.downsample
    }
    chain = [read_json(RUNS / stage / "metrics.json") for stage in CHAIN]
    figures.curves(histories, "val_accuracy", "validation accuracy", folder / "fusion.png")
    retrieval = {"CILP": {"top-1": pd.read_csv(RUNS / "cilp" / "history.tsv", sep="\t")}}
    figures.curves(retrieval, "val_top1", "retrieval top-1", folder / "cilp.png")
    figures.similarity(read_array(RUNS / "cilp" / "similarity.npy"), folder / "similarity.png")
    best = min(matrix.fusion, key=lambda fusion: cells[fusion][matrix.downsample[0]]["val_loss"])
    draw_predictions(cell_name(best, matrix.downsample[0]))
    write_json(folder / "summary.json", report.summary(cells, *chain))
    tables = {
        name: (RUNS / path).read_text()
        for name, path in (("fusion", "compare/fusion.md"), ("ablation", "ablation/ablation.md"))
    }
    write_text(
        folder / "report.md",
        report.page(
            read_json(RUNS / "prepare" / "metrics.json"),
            tables,
            report.chain(*chain),
            cell_name(best, matrix.downsample[0]),
            len(load().seeds),
        ),
    )
    print(f"report: {folder}/report.md")


if __name__ == "__main__":
    run(main)
