"""Raw pairs -> arrays, split and data metrics in runs/prepare/."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.artifacts import run_folder, write_json
from pipeline.config import load
from pipeline.data.prepare import prepare
from pipeline.data.split import by_scene, course
from pipeline.errors import run


def main() -> None:
    params = load().prepare

    def split(scenes: Sequence[int]) -> dict[int, str]:
        if params.split == "course":
            return course(scenes, params.course_scenes)
        return by_scene(scenes, asdict(params.fractions), params.seed)

    folder = run_folder("prepare")
    metrics = prepare(Path("data"), folder / "arrays", split)
    write_json(folder / "metrics.json", metrics)
    print(f"prepare: {metrics['pairs']} pairs")


if __name__ == "__main__":
    run(main)
