"""Simulate a raw folder from a seed, byte for byte repeatable."""

from pathlib import Path

from tqdm import tqdm

from pipeline.core.sensors import CLASSES
from pipeline.raw.format import DataError, Issue, pair_at
from pipeline.tools.simulator.rendering import ray_angles, render
from pipeline.tools.simulator.world import World, draw_scene
from pipeline.tools.simulator.writing import create_folder, write_angles, write_pair


def simulate(folder: Path, scenes: int, seed: int, world: World | None = None) -> None:
    """Write `scenes` cubes and as many spheres as a raw folder that appears whole or not at all.

    Scene i depends on (seed, i, world) alone, so that a longer run starts with a shorter one. Raises DataError if
    the folder exists (nothing is ever overwritten), for no scenes and for a negative seed.
    """
    if scenes < 1 or seed < 0:
        found = f"{scenes} scenes from seed {seed} asked for"
        raise DataError(Issue("request", folder, found, "at least 1 scene and a seed from 0 up", "ask for those"))
    world = world or World()
    with create_folder(folder) as partial:
        for name in CLASSES:
            (partial / name / "rgb").mkdir(parents=True)
            (partial / name / "lidar").mkdir()
        for index in tqdm(range(scenes), desc=f"simulate {folder.name}", unit="scene", disable=None):
            scene = draw_scene(seed, index, world)
            for label in range(len(CLASSES)):
                write_pair(pair_at(partial, label, index), *render(scene, label, world))
        for name in CLASSES:  # last: without angles the remains of a killed run fail every check
            write_angles(partial / name, ray_angles(world.sensor), ray_angles(world.sensor))
