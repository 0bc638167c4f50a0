"""Tracker: what a training says while it runs. Files always; Weights & Biases beside them; never in the way.

WANDB_MODE says how: offline (the default: no account, no prompt, no network; `wandb sync` later), online or disabled.
"""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from pipeline import device as machine
from pipeline.artifacts import write_text
from pipeline.training.loop import Row

PATIENCE = 15  # seconds to wait for the server before going offline


class _NoRun:
    """Stands where a wandb run would: takes everything, does nothing."""

    def log(self, *_: Any, **__: Any) -> None:
        pass

    def finish(self, *_: Any, **__: Any) -> None:
        pass

    @property
    def summary(self) -> dict:
        return {}


class Tracker:
    """One training stage (or cell) over all its seeds, as a context.

    `epoch` is called by every seed; once all seeds have an epoch, its row (the means over seeds, then each seed's own
    values) goes to wandb. `history.tsv` in `folder` gets the same rows when the context ends well.
    """

    def __init__(self, folder: Path, seeds: list[int], epochs: int, device: torch.device, config: dict) -> None:
        self.folder = folder
        self.seeds = seeds
        self.device = device
        self.rows: dict[int, dict[int, Row]] = {}  # epoch -> seed -> row
        self.lock = threading.Lock()
        self.name = "/".join(folder.parts[1:])  # runs/fusion/late-maxpool -> fusion/late-maxpool
        self.bar = tqdm(total=epochs * len(seeds), desc=self.name, unit="epoch", disable=None)
        where = {"seeds": seeds, "device": str(device), "precision": str(machine.precision(device))}
        self.run = self._quietly(lambda: _start(self.name, config | where)) or _NoRun()

    def epoch(self, seed: int, row: Row) -> None:
        """Take one epoch of one seed; safe to call from the threads of several seeds."""
        with self.lock:
            self.bar.update()
            seen = self.rows.setdefault(int(row["epoch"]), {})
            seen[seed] = row
            if len(seen) == len(self.seeds):
                memory = {"peak_memory_mb": machine.peak_memory(self.device)}
                self._quietly(lambda: self.run.log(self._merged(seen) | memory))

    def picture(self, name: str, path: Path) -> None:
        """Show one PNG file with the run."""
        self._quietly(lambda: self.run.log({name: _image(path)}))

    def summary(self, metrics: dict) -> None:
        """The final figures of the run, means over seeds; also printed."""
        told = {name: value for name, value in metrics.items() if not name.endswith(("_ci95", "_sd"))}
        figures = [f"{name} {value:.4f}" for name, value in told.items() if isinstance(value, float)]
        print(f"{self.name}: {', '.join(figures)}")
        self._quietly(lambda: self.run.summary.update(metrics))

    def history(self) -> pd.DataFrame:
        """One row an epoch: means over seeds, then `<name>_seed<seed>`."""
        return pd.DataFrame([self._merged(self.rows[epoch]) for epoch in sorted(self.rows)])

    def _merged(self, rows: dict[int, Row]) -> Row:
        names = [name for name in rows[self.seeds[0]] if name not in ("epoch", "lr")]
        first = rows[self.seeds[0]]
        means = {name: sum(rows[seed][name] for seed in self.seeds) / len(rows) for name in names}
        each = {f"{name}_seed{seed}": rows[seed][name] for seed in self.seeds for name in names}
        return {"epoch": first["epoch"], "lr": first["lr"], **means, **each}

    def _quietly(self, call: Callable[[], Any]) -> Any:
        """Tracking must never cost a result: what fails on wandb's side is said once and then left alone."""
        try:
            return call()
        except Exception as error:
            print(f"warning: wandb is off for {self.name}: {_in_short(error)}", file=sys.stderr)
            self.run = _NoRun()
            return None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if kind is None:
            table = self.history().to_csv(sep="\t", index=False, float_format="%.9g", lineterminator="\n")
            write_text(self.folder / "history.tsv", table)
        self._quietly(lambda: self.run.finish(exit_code=0 if kind is None else 1))


def _start(name: str, config: dict) -> Any:
    """A wandb run in the mode asked for; one that cannot go online goes offline instead."""
    mode = os.environ.get("WANDB_MODE") or "offline"
    if mode == "disabled":
        return _NoRun()
    if mode != "online":
        return _open(mode, name, config)
    try:
        return _open(mode, name, config)
    except Exception as error:
        print(f"warning: wandb stays offline for {name}: {_in_short(error)}", file=sys.stderr)
        return _open("offline", name, config)


def _open(mode: str, name: str, config: dict) -> Any:
    import wandb  # a second to import, and only training stages need it

    run = wandb.init(
        mode=mode,
        project=os.environ.get("WANDB_PROJECT", "rgb-lidar-cilp"),
        name=name,
        job_type=name.split("/")[0],
        group=os.environ.get("DVC_EXP_NAME"),
        config=config,
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, init_timeout=PATIENCE),
    )
    run.define_metric("*", step_metric="epoch")
    return run


def _in_short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:200]


def _image(path: Path) -> Any:
    import wandb

    return wandb.Image(str(path))
