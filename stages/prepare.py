"""Check raw pairs and write arrays, split and data metrics: runs/prepare/."""

from pathlib import Path

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import make_splitter


def main() -> None:
    params = load_params().prepare
    folder = run_folder("prepare")
    metrics = prepare(Path("data"), folder / "arrays", make_splitter(params), params.on_error)
    write_json(folder / "metrics.json", metrics)
    left_out = metrics["left_out"]["pairs"]
    note = f", {left_out} left out: see {folder}/metrics.json" if left_out else ""
    warnings = sum(metrics["warnings"].values())
    note += f", {warnings} warnings: see `python -m pipeline check data`" if warnings else ""
    print(f"prepare: {metrics['pairs']} pairs{note}")


if __name__ == "__main__":
    run_command(main)
