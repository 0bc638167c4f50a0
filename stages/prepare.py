"""Raw pairs -> arrays, split and data metrics in runs/prepare/."""

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
    left = metrics["left_out"]["pairs"]
    print(f"prepare: {metrics['pairs']} pairs" + (f", {left} left out: see {folder}/metrics.json" if left else ""))


if __name__ == "__main__":
    run_command(main)
