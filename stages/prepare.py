"""Raw pairs -> arrays, split and data metrics in runs/prepare/."""

from pathlib import Path

from pipeline.artifacts import run_folder, write_json
from pipeline.config import load
from pipeline.data.prepare import prepare
from pipeline.data.split import chosen
from pipeline.errors import run


def main() -> None:
    params = load().prepare
    folder = run_folder("prepare")
    metrics = prepare(Path("data"), folder / "arrays", chosen(params), params.on_error)
    write_json(folder / "metrics.json", metrics)
    left = metrics["left_out"]["pairs"]
    print(f"prepare: {metrics['pairs']} pairs" + (f", {left} left out: see {folder}/metrics.json" if left else ""))


if __name__ == "__main__":
    run(main)
