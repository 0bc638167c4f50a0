"""Where each run keeps its files."""

from pathlib import Path

RUNS = Path("runs")


def run_folder(stage: str, cell: str | None = None) -> Path:
    """`runs/<stage>` or `runs/<stage>/<cell>`, created when absent."""
    folder = RUNS / stage / cell if cell else RUNS / stage
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checkpoint_path(folder: Path, seed: int) -> Path:
    """The weights of one seed, below the run folder of their stage or cell."""
    return folder / "models" / f"seed{seed}.safetensors"
