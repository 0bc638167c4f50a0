"""Tracker: what a training says while it runs. Files always; Weights & Biases beside them; never in the way."""

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.core.device import device_name, precision
from pipeline.core.files import write_text
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Arrays
from pipeline.tracking import media, wandb_run
from pipeline.training.loop import TIMING_NAMES, EpochMetrics, count_parameters


class Tracker:
    """One training stage (or cell) over all its seeds, as a context.

    `epoch` is called by every seed; once all seeds have an epoch, its row (over seeds, then each seed's own values)
    goes to wandb. When the context ends well, `folder` gets the same rows: history.tsv has what the next run will
    repeat to the byte, timings.tsv what it will measure anew.
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
        self.folder = folder
        self.seeds = seeds
        self.rows: dict[int, dict[int, EpochMetrics]] = {}  # epoch -> seed -> row
        self.lock = threading.Lock()
        self.name = "/".join(folder.parts[1:])  # runs/fusion/late-maxpool -> fusion/late-maxpool
        self.bar = tqdm(total=epochs * len(seeds), desc=self.name, unit="epoch", disable=None)
        where = {"device": str(device), "hardware": device_name(device)}
        where["precision"] = str(precision(device)).removeprefix("torch.")
        what = {} if net is None else {"parameters": count_parameters(net), "architecture": str(net)}
        self.run = wandb_run.start_run(self.name, config | {"seeds": seeds} | where | what)

    def epoch(self, seed: int, row: EpochMetrics) -> None:
        """Take one epoch of one seed; safe to call from the threads of several seeds."""
        with self.lock:
            self.bar.update()
            seen = self.rows.setdefault(int(row["epoch"]), {})
            seen[seed] = row
            if len(seen) == len(self.seeds):
                merged = self._merged(seen)
                self.run.put(lambda run: run.log(merged))

    def picture(self, name: str, path: Path) -> None:
        """Show one PNG file with the run."""
        self.run.put(lambda run: run.log({name: media.picture(path)}))

    def predictions(self, logits: Sequence[Tensor], data: Arrays, rows: Tensor) -> None:
        """Show what was said of test pairs: (N,) logits of every seed, the (N,) `rows` of `data` they are of."""
        shown = media.predictions(logits, data, rows)
        self.run.put(lambda run: run.log(media.as_wandb(shown)))

    def summary(self, metrics: dict[str, Any]) -> None:
        """The final figures of the run, over seeds; also printed.

        The checkpoint of the first seed goes along, the one that is shipped: offline, wandb keeps a copy of each.
        """
        told = {name: value for name, value in metrics.items() if not name.endswith(("_ci95", "_sd"))}
        figures = [f"{name} {value:.4f}" for name, value in told.items() if isinstance(value, float)]
        print(f"{self.name}: {', '.join(figures)}")
        self.run.put(lambda run: run.summary.update(metrics))
        file, name = checkpoint_path(self.folder, self.seeds[0]), re.sub(r"[^\w.-]", "-", self.name)
        if file.exists():
            self.run.put(lambda run: media.send_model(run, name, file, metrics))

    def history(self) -> pd.DataFrame:
        """One row an epoch: means over seeds, then `<name>_seed<seed>`; what was timed is left out."""
        table = self._table()
        return table[[name for name in table if name.split("_seed")[0] not in TIMING_NAMES]]

    def timings(self) -> pd.DataFrame:
        """One row an epoch: seconds of computing and samples a second, means over seeds; the largest peak memory."""
        table = self._table()
        return table[[name for name in table if name.split("_seed")[0] in ("epoch", *TIMING_NAMES)]]

    def _table(self) -> pd.DataFrame:
        return pd.DataFrame([self._merged(self.rows[epoch]) for epoch in sorted(self.rows)])

    def _merged(self, rows: dict[int, EpochMetrics]) -> EpochMetrics:
        first = rows[self.seeds[0]]
        names = [name for name in first if name not in ("epoch", "lr")]
        over = {name: sum(rows[seed][name] for seed in self.seeds) / len(rows) for name in names}
        if "peak_memory_mb" in over:
            over["peak_memory_mb"] = max(row["peak_memory_mb"] for row in rows.values())
        each = {f"{name}_seed{seed}": rows[seed][name] for seed in self.seeds for name in names}
        return {"epoch": first["epoch"], "lr": first["lr"], **over, **each}

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if kind is None:
            for name, table in (("history", self.history()), ("timings", self.timings())):
                text = table.to_csv(sep="\t", index=False, float_format="%.9g", lineterminator="\n")
                write_text(self.folder / f"{name}.tsv", text)
        self.run.finish(0 if kind is None else 1)
