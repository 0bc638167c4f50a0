"""Angle files for a set that has none: the course recorded all its sets with one LiDAR, whose angles are known."""

from dataclasses import replace

from pipeline.core.sensors import ANGLES, CLASSES
from pipeline.tools.importers.source import Source, compute_fingerprint, npy_bytes
from pipeline.tools.simulator.rendering import ray_angles
from pipeline.tools.simulator.world import Sensor

MEMBER = "the course's LiDAR"


def add_known_angles(source: Source) -> Source:
    """Return a source whose absent angle files are those of the course's LiDAR, with a note that names them."""
    raw_paths = [f"{name}/{angle}.npy" for name in CLASSES for angle in ANGLES]
    absent = [raw_path for raw_path in raw_paths if raw_path not in source.files]
    if not absent:
        return source
    content = npy_bytes(ray_angles(Sensor()))  # its rows and its columns have equal angles

    def read(member: str) -> bytes:
        return content if member == MEMBER else source.read(member)

    return replace(
        source,
        files={**source.files, **dict.fromkeys(absent, MEMBER)},
        read=read,
        fingerprint=compute_fingerprint([source.fingerprint, *absent]),
        notes=(*source.notes, f"absent from the source, and assumed as those of {MEMBER}: {', '.join(absent)}"),
    )
