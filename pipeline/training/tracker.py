"""Tracker: the record of a training. Files always; Weights & Biases beside them; never in the way."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.core.device import device_name, precision_name
from pipeline.core.files import write_text
from pipeline.core.runs import checkpoint_path, require_writable, times_folder
from pipeline.data.arrays import Arrays
from pipeline.tracking.media import cut_predictions
from pipeline.tracking.wandb_run import start_run
from pipeline.training.loop import TIMING_NAMES, EpochMetrics, count_parameters


class Tracker:
    """Record one training stage (or cell) over all its seeds, as a context.

    Every seed calls `epoch`; once all seeds have an epoch, its row (means over seeds, then the values of each seed)
    goes to wandb. When the context ends well, these rows are written: history.tsv in `folder` holds what the next run
    repeats to the byte, epochs.tsv in the times folder of `folder` what the next run measures anew.
    """

    def __init__(
        self,
        folder: Path,
        seeds: list[int],
        epochs: int,
        device: torch.device,
        config: dict[str, Any],
        net: nn.Module | None = None,
    ) -> None:
        require_writable(folder)
        self.folder = folder
        self.seeds = seeds
        self.rows: dict[int, dict[int, EpochMetrics]] = {}  # epoch -> seed -> row
        self.lock = threading.Lock()
        self.name = "/".join(folder.parts[1:])  # runs/fusion/late-maxpool -> fusion/late-maxpool
        self.bar = tqdm(total=epochs * len(seeds), desc=self.name, unit="epoch", disable=None)
        hardware_facts = {"device": str(device), "hardware": device_name(device), "precision": precision_name(device)}
        net_facts = {} if net is None else {"parameters": count_parameters(net), "architecture": str(net)}
        self.run = start_run(self.name, config | {"seeds": seeds} | hardware_facts | net_facts)

    def epoch(self, seed: int, row: EpochMetrics) -> None:
        """Record one epoch of one seed; safe to call from the threads of several seeds."""
        with self.lock:
            self.bar.update()
            by_seed = self.rows.setdefault(int(row["epoch"]), {})
            by_seed[seed] = row
            if len(by_seed) == len(self.seeds):
                self.run.send("log", row=self._merge(by_seed))

    def predictions(self, logits: Sequence[Tensor], data: Arrays, rows: Tensor) -> None:
        """Show predictions of test pairs: logits (N,) of every seed for the (N,) `rows` of `data`."""
        self.run.send("log_predictions", **cut_predictions(logits, data, rows)._asdict())

    def summary(self, metrics: dict[str, Any]) -> None:
        """Record the final metrics over seeds, and print them.

        The checkpoint of the first seed goes along, the one that is deployed: offline, wandb keeps a copy of each.
        """
        means = {name: value for name, value in metrics.items() if not name.endswith(("_ci95", "_sd"))}
        figures = [f"{name} {value:.4f}" for name, value in means.items() if isinstance(value, float)]
        print(f"{self.name}: {', '.join(figures)}")
        self.run.send("update_summary", metrics=metrics)
        checkpoint = checkpoint_path(self.folder, self.seeds[0])
        if checkpoint.exists():
            self.run.send("log_checkpoint", path=checkpoint, metrics=metrics)

    def history(self) -> pd.DataFrame:
        """Return one row an epoch: means over seeds, then `<name>_seed<seed>`; without times and memory."""
        table = self._table()
        return table[[name for name in table if name.split("_seed")[0] not in TIMING_NAMES]]

    def timings(self) -> pd.DataFrame:
        """Return one row an epoch: seconds of computing and samples a second, means over seeds; the largest memory."""
        table = self._table()
        return table[[name for name in table if name.split("_seed")[0] in ("epoch", *TIMING_NAMES)]]

    def _table(self) -> pd.DataFrame:
        return pd.DataFrame([self._merge(self.rows[epoch]) for epoch in sorted(self.rows)])

    def _merge(self, rows: dict[int, EpochMetrics]) -> EpochMetrics:
        """Return one row of all seeds."""
        first = rows[self.seeds[0]]
        names = [name for name in first if name not in ("epoch", "lr")]
        means = {name: sum(rows[seed][name] for seed in self.seeds) / len(rows) for name in names}
        if "peak_memory_mb" in means:
            means["peak_memory_mb"] = max(row["peak_memory_mb"] for row in rows.values())
        each = {f"{name}_seed{seed}": rows[seed][name] for seed in self.seeds for name in names}
        return {"epoch": first["epoch"], "lr": first["lr"], **means, **each}

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if kind is None:
            tables = {
                self.folder / "history.tsv": self.history(),
                times_folder(self.folder) / "epochs.tsv": self.timings(),
            }
            for path, table in tables.items():
                text = table.to_csv(sep="\t", index=False, float_format="%.9g", lineterminator="\n")
                write_text(path, text)
        self.run.finish(0 if kind is None else 1)
