"""The report's section on the data: its figures, tables and values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.files import read_npy, read_tsv
from pipeline.core.sensors import CLASSES
from pipeline.data.splits import SPLITS
from pipeline.report.cells import ARRAYS
from pipeline.report.dataset.figures import (
    plot_contact_sheet,
    plot_overview,
    read_scene,
    return_ranges,
    select_scenes,
)
from pipeline.report.dataset.tables import baseline_table, contents_table
from pipeline.report.dataset.trivial_baselines import Baseline, majority_share, trivial_baselines
from pipeline.report.significance import wilson_interval

MAX_LISTED = 10  # faults in the report; the others are counted
COPIES = {"duplicate", "near-duplicate"}  # warnings with sentences of their own


def data_section(data: Mapping[str, Any], pictures: Path) -> dict[str, Any]:
    """Draw the figures of the data into `pictures` and return the values of its text; `data` are prepare's metrics."""
    frames = read_tsv(ARRAYS / "frames.tsv")
    rgb, depth = (read_npy(ARRAYS / f"{name}.npy", mmap_mode="r") for name in ("rgb", "depth"))
    angles = (read_npy(ARRAYS / "azimuth.npy"), read_npy(ARRAYS / "zenith.npy"))
    plot_overview(data, frames, return_ranges(frames, depth), pictures / "data.png")
    scenes = [read_scene(scene, rows, rgb, depth, angles) for scene, *rows in select_scenes(frames).itertuples()]
    plot_contact_sheet(scenes, pictures / "contact.png")
    baselines, chance = trivial_baselines(frames), majority_share(frames)
    return data_values(data, baselines, chance) | {
        "table": contents_table(data),
        "baseline_table": baseline_table(baselines, chance),
    }


def data_values(data: Mapping[str, Any], baselines: Mapping[str, Baseline], chance: float) -> dict[str, Any]:
    """Return the values of the text on the data: balance, pairs left out, leaks, and the best trivial baseline.

    The best baseline is chosen by the training split; it counts where its Wilson interval on the test split lies
    above chance.
    """
    counts = {split: sum(data[split].values()) for split in SPLITS}
    best = max(baselines, key=lambda name: baselines[name].train)
    low, _ = wilson_interval(round(baselines[best].test * counts["test"]), counts["test"])
    faults = data["left_out"]["faults"]
    return {
        "pairs": data["pairs"],
        "counts": counts,
        "balanced": all(data[split][CLASSES[0]] == data[split][CLASSES[1]] for split in SPLITS),
        "by_class": {split: [data[split][name] for name in CLASSES] for split in SPLITS},
        "chance": chance,
        "left_out": data["left_out"]["pairs"],
        "not_asked_for": data["not_asked_for"],
        "faults": faults[:MAX_LISTED],
        "more_faults": max(0, len(faults) - MAX_LISTED),
        "warnings": {kind: count for kind, count in data["warnings"].items() if kind not in COPIES},
        "duplicates": data["duplicates"],
        "near_duplicates": data["near_duplicates"],
        "best_baseline": {"accuracy": baselines[best].test, "above_chance": low > chance},
    }
