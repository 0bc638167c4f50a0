"""Everything on one page: runs/report/report.md with its figures, and summary.json with the headline numbers."""

from collections.abc import Sequence

import pandas as pd

from pipeline.artifacts import (
    RUNS,
    cell_name,
    checkpoint_path,
    read_array,
    read_json,
    read_table,
    run_folder,
    write_json,
    write_text,
)
from pipeline.config import load
from pipeline.data.raw import CLASSES
from pipeline.data.split import read_split
from pipeline.errors import run
from pipeline.results import cards, chain_tables, figures, report
from pipeline.results.assessment import MARKS

FOLDER = RUNS / "report"
SHOWN = 8  # pairs in the picture of predictions


def draw_curves(fusions: Sequence[str], downsamples: Sequence[str]) -> None:
    """Validation accuracy of all cells by epoch."""

    def history(*run: str) -> pd.DataFrame:
        return read_table(RUNS.joinpath(*run) / "history.tsv")

    cells = {name: {each: history("fusion", cell_name(each, name)) for each in fusions} for name in downsamples}
    figures.curves(cells, "val_accuracy", "validation accuracy", FOLDER / "fusion.png")


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


def draw_chain(cilp: dict, labels: dict, zero_shot: float) -> None:
    """CILP's epochs, its similarities, and what labels add."""
    history = read_table(RUNS / "cilp" / "history.tsv")
    levels = {name: cilp[name] for name in ("chance_top1", "course_chance_loss", "course_floor_loss")}
    figures.pretraining(history, levels | MARKS, FOLDER / "cilp.png")
    figures.similarity(read_array(RUNS / "cilp" / "similarity.npy"), FOLDER / "similarity.png")
    figures.labels(chain_tables.label_curves(labels), zero_shot, labels["chance"], FOLDER / "labels.png")


def model_cards(cell: str, seed: int, data: dict, accuracies: dict[str, list[float]]) -> str:
    """Of the nets that may be shipped: the fusion cell of the lowest validation loss, LiDAR's, the RGB classifiers."""
    nets = {
        f"fusion/{cell}": (f"RGB + LiDAR classifier, {cell}", "RGBA picture and LiDAR ranges"),
        "lidar": ("LiDAR classifier", "LiDAR ranges"),
        "classify/projector": ("RGB classifier in LiDAR space, projector tuned", "RGBA picture"),
        "classify/everything": ("RGB classifier in LiDAR space, everything tuned", "RGBA picture"),
    }

    def card(name: str) -> str:
        file, told = checkpoint_path(RUNS / name, seed), read_json(RUNS / name / "metrics.json")
        return cards.card(*nets[name], file, told, accuracies[name], data)

    return "# Model cards\n\n" + "".join(map(card, nets)) + cards.limits(data)


def main() -> None:
    params = load()
    matrix, base = params.matrix, params.matrix.downsample[0]
    cells = report.read_cells(matrix.fusion, matrix.downsample)
    base_cells = {fusion: each[base] for fusion, each in cells.items()}
    data, labels, evaluated = (read_json(RUNS / stage / "metrics.json") for stage in ("prepare", "labels", "evaluate"))
    chance = read_json(RUNS / "lidar" / "metrics.json")["chance"]
    best = cell_name(report.leading(base_cells), base)
    run_folder("report")
    draw_curves(matrix.fusion, matrix.downsample)
    draw_predictions(best)
    summary = report.summary(cells, evaluated, chance)
    draw_chain(evaluated["trained"]["cilp"], labels, summary["zero_shot_accuracy"])
    write_json(FOLDER / "summary.json", summary)
    tables = {"fusion": report.comparison(base_cells), "ablation": report.ablation(cells, base)}
    tables |= {"chain": chain_tables.steps(evaluated, chance), "assessment": chain_tables.assessment(evaluated)}
    tables |= {"labels": chain_tables.labels(labels), "train_loss": chain_tables.worst_train_loss(labels)} | MARKS
    tables |= {"zero_shot": report.with_interval(evaluated["trained"]["classify/projector"], "zero_shot_accuracy", 3)}
    write_text(FOLDER / "report.md", report.page(data, tables, base_cells, base, len(params.seeds)))
    write_text(FOLDER / "model_card.md", model_cards(best, params.seeds[0], data, evaluated["accuracies"]))
    print(f"report: {FOLDER / 'report.md'}")


if __name__ == "__main__":
    run(main)
