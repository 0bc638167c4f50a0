"""Model cards of the nets that are fit for use: what each net is, what it was measured to do, and its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.files import read_json
from pipeline.core.runs import RUNS, checkpoint_path
from pipeline.core.sensors import CLASSES
from pipeline.report.significance import wilson_interval
from pipeline.report.text import Metrics, render_markdown, with_interval
from pipeline.report.transfer.nets import FULL, NETS, PROJECTOR_ONLY

RGB_INPUT, LIDAR_INPUT = "RGBA picture", "LiDAR ranges"


def model_cards(cell: str, cell_seed: int, seed: int, data: Metrics, accuracies: Mapping[str, Sequence[float]]) -> str:
    """Write the cards of the leading fusion `cell`, of `cell_seed`, the LiDAR net and the RGB classifiers, of `seed`.

    `data` are the metrics of prepare; `accuracies` holds the accuracy of every seed by net.
    """
    nets = {
        f"fusion/{cell}": (f"RGB + LiDAR classifier, {cell}", f"{RGB_INPUT} and {LIDAR_INPUT}"),
        "lidar": ("LiDAR classifier", LIDAR_INPUT),
    } | {
        f"classify/{name}": (f"RGB classifier in LiDAR space, {NETS[name]}", RGB_INPUT)
        for name in (PROJECTOR_ONLY, FULL)
    }
    seeds = {f"fusion/{cell}": cell_seed}
    values = [
        {"title": title, "input": inputs, "file": checkpoint_path(RUNS / name, seeds.get(name, seed))}
        | card_values(read_json(RUNS / name / "metrics.json"), accuracies[name], data)
        for name, (title, inputs) in nets.items()
    ]
    return render_markdown("model_card.md.j2", nets=values, limits=limits(data))


def card_values(metrics: Metrics, accuracies: Sequence[float], data: Metrics) -> dict[str, Any]:
    """Return the values of one card; `accuracies` are those of all seeds, the first is the file's."""
    test = sum(data["test"].values())
    hits = round(accuracies[0] * test)
    low, high = wilson_interval(hits, test)
    return {
        "source": training_source(metrics, data),
        "parameters": metrics["parameters"],
        "precision": metrics["precision"],
        "test": test,
        "hits": hits,
        "accuracy": accuracies[0],
        "low": low,
        "high": high,
        "seeds": len(accuracies),
        "mean": with_interval(metrics, "accuracy"),
        "chance": metrics["chance"],
    }


def training_source(metrics: Metrics, data: Metrics) -> str:
    """Return where the weights come from; metrics of weights trained outside this project may be too high."""
    train, val = (sum(data[split].values()) for split in ("train", "val"))
    here = f"{train:,} pairs of the training split; the epoch was chosen on {val:,} others"
    if "weights_sha256" not in metrics:
        return here
    elsewhere = (
        f"LiDAR weights with SHA-256 {metrics['weights_sha256']}, trained elsewhere, perhaps on these very test pairs"
    )
    return f"{here}; {elsewhere}" if metrics["epochs"] else elsewhere


def limits(data: Metrics) -> dict[str, float]:
    """Return the range of the objects in the data; the metrics hold for no object outside it."""
    classes = [data[name] for name in CLASSES]
    ends = {"returns_min": min, "depth_min": min, "returns_max": max, "depth_max": max}
    return {name: pick(each[name] for each in classes) for name, pick in ends.items()}
