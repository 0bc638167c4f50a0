"""A raw folder in FiftyOne: every pair a group of its RGB, its coloured depth and its returns in space.

FiftyOne is an extra: requirements-explore.txt.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic, atomic_folder
from pipeline.core.runs import RUNS
from pipeline.core.sensors import CLASS_NAMES, CLASSES, IMAGE_SIZE, NO_RETURN
from pipeline.data.splits import SPLITS
from pipeline.raw.format import DataError, Issue, Pair, pair_at, read_angles, read_depth
from pipeline.raw.index import index_folder
from pipeline.raw.scan import scan_rows
from pipeline.render.images import colorize_depth, point_cloud, to_camera_view
from pipeline.tools.importers.pointcloud import write_pcd
from pipeline.tools.importers.source import digest
from pipeline.tools.simulator.writing import create_folder

if TYPE_CHECKING:
    import fiftyone as fo


MEDIA = Path(".explore")  # pictures and clouds that are made for the App, one folder a data set
SLICES = ("rgb", "lidar", "points")
TURNED = "depth_turned"  # in the data set's info: its depth maps lie as the RGB does
Predictions = Mapping[tuple[str, str], tuple[str, float]]  # (cubes or spheres, 0000) -> class named, its probability


class Frame(NamedTuple):
    """A pair and what both sensors saw."""

    pair: Pair
    measures: np.void  # FRAME_STATS


def build_dataset(
    folder: Path, name: str | None, splits: Mapping[tuple[int, int], str], said: Predictions
) -> "fo.Dataset":
    """A grouped FiftyOne data set of a raw folder; with `name` it is kept in FiftyOne's database, else it goes with it.

    `splits`: (label, scene) -> train, val or test; `said`: what a net says of pairs. Raises DataError when the folder
    has errors, PipelineError without FiftyOne, without its database, or when `name` is taken.
    """
    fo = _fiftyone()
    frames, angles = _frames(folder), read_angles(folder, CLASSES[0])
    with _new(fo, name) as dataset:
        media = _media(folder, name).absolute()
        with atomic_folder(media) as part:
            for frame in tqdm(frames, desc="explore", unit="pair", disable=None):
                _write_media(part, frame.pair, angles)
        dataset.add_group_field("group", default=SLICES[0])
        dataset.add_samples(_samples(fo, frames, media, splits, said), progress=False)
        dataset.info = {"azimuth": angles[0].tolist(), "zenith": angles[1].tolist(), TURNED: True}
        dataset.app_config.media_fields = ["filepath"]
        dataset.persistent = name is not None  # last: FiftyOne throws away what a killed run leaves
        dataset.save()
    return dataset


def launch_app(dataset: "fo.Dataset", port: int, address: str) -> None:
    """Open the App on a data set and wait until it is closed or Ctrl-C comes."""
    session = _fiftyone().launch_app(dataset, port=port, address=address)
    print(f"{len(dataset)} groups at http://{address}:{port}; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):  # the usual end, not an interruption
        session.wait(-1)


def export_dataset(dataset: "fo.Dataset", out: Path) -> None:
    """Write a data set as a FiftyOneDataset folder with its media, whole or not at all; `out` must not exist."""
    fo = _fiftyone()
    with create_folder(out) as part:
        part.rmdir()  # FiftyOne makes it, and remarks on one that is there
        dataset.export(export_dir=str(part), dataset_type=fo.types.FiftyOneDataset, export_media=True, progress=False)


def read_scene_splits(path: Path | None, folder: Path) -> dict[tuple[int, int], str]:
    """(label, scene) -> split, from a split.tsv as prepare writes it. Raises PipelineError if it is none.

    Without `path` the one of the last prepare, which is about data/ alone: nothing for other folders.
    """
    from pipeline.core.files import read_tsv

    latest = RUNS / "prepare" / "arrays" / "split.tsv"
    if path is None and (folder.resolve() != Path("data").resolve() or not latest.exists()):
        return {}
    table = read_tsv(path or latest)
    known = {"class": CLASSES, "split": SPLITS}
    if not {*known, "scene"} <= set(table) or not all(table[name].isin(known[name]).all() for name in known):
        expected = f"columns class ({', '.join(CLASSES)}), scene and split ({', '.join(SPLITS)})"
        raise PipelineError(f"{path or latest}: found columns {', '.join(table)}; expected {expected}; name another")
    labels = table["class"].map(CLASSES.index)
    return dict(zip(zip(labels, table["scene"], strict=True), table["split"], strict=True))


def _fiftyone() -> Any:
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")  # nobody is told without having asked for it
    try:
        import fiftyone  # slow, and an extra
    except ImportError:
        raise PipelineError(
            "FiftyOne is not installed; it is an extra: "
            "pip install -r requirements-explore.txt -c constraints.txt -c constraints-explore.txt"
        ) from None
    return fiftyone


@contextmanager
def _new(fo: Any, name: str | None) -> Iterator["fo.Dataset"]:
    """An empty data set, gone again if the block does not end well."""
    try:
        taken = name in fo.list_datasets()
    except Exception as error:  # its service, its driver and its settings each raise their own
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"FiftyOne's database does not start ({reason}); install what it says to miss (on a bare Debian "
            f"libcurl4), or name a MongoDB that runs in FIFTYONE_DATABASE_URI"
        ) from None
    if taken:
        raise PipelineError(f"{name}: FiftyOne has a data set of that name; choose another --name or delete it there")
    try:
        dataset = fo.Dataset(name)
    except ValueError as error:  # `a b` and `a-b` are one name to it, and some are none
        raise PipelineError(f"{name}: FiftyOne takes no such name ({error}); choose another --name") from None
    try:
        yield dataset
    except BaseException:  # Ctrl-C too
        dataset.delete()
        raise


def _media(folder: Path, name: str | None) -> Path:
    """A folder that no other data set has: one a name, or one a raw folder for those without a name."""
    words = re.sub(r"\W+", "-", name or folder.resolve().name)
    return MEDIA / f"{words}-{digest([name, None if name else str(folder.resolve())])[:8]}"


def _frames(folder: Path) -> list[Frame]:
    """Every pair of a folder without errors."""
    listing = index_folder(folder)
    rows, faults, frames = listing.rows(), list(listing.issues), []
    for block in scan_rows(folder, rows):
        faults += block.issues
        for row, measures in enumerate(block.stats, block.start):
            frames.append(Frame(pair_at(folder, int(rows.label[row]), int(rows.scene[row])), measures))
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors or not frames:
        raise DataError(*errors or [Issue("no-pairs", folder, "no pairs", "at least one", "name another folder")])
    return frames


def _stem(pair: Pair) -> str:
    return f"{CLASSES[pair.label]}-{pair.scene:04d}"


def _write_media(folder: Path, pair: Pair, angles: tuple[np.ndarray, np.ndarray]) -> None:
    """What the App shows of a LiDAR frame: a picture, a cloud, and a scene around it."""
    import fiftyone as fo

    depth, stem = read_depth(pair.lidar), _stem(pair)
    with atomic(folder / f"{stem}.png") as part:
        Image.fromarray(colorize_depth(to_camera_view(depth))).save(part, "PNG")
    points, colours = point_cloud(depth, *angles)
    write_pcd(folder / f"{stem}.pcd", points, colours)
    middle = points.mean(axis=0) if len(points) else np.array([0, 25, 0])
    eye = (middle + [5, -9, 4]).tolist()  # a few cube edges off, to the right and above
    scene = fo.Scene(camera=fo.PerspectiveCamera(position=eye, look_at=middle.tolist(), up="Z"))
    material = fo.PointCloudMaterial(shading_mode="rgb", point_size=4)
    scene.add(fo.PointCloud("returns", f"{stem}.pcd", material=material))  # a name beside it: the folder may move
    scene.write(str(folder / f"{stem}.fo3d"))


def _samples(
    fo: Any, frames: Iterable[Frame], media: Path, splits: Mapping[tuple[int, int], str], said: Predictions
) -> Iterator["fo.Sample"]:
    """Three samples a pair, one a slice; what is known of the pair stands on each of them."""
    for frame in frames:
        group, stem = fo.Group(), _stem(frame.pair)
        files = (frame.pair.rgb.absolute(), media / f"{stem}.png", media / f"{stem}.fo3d")
        fields, tags = _fields(fo, frame, splits, said)
        depth = {
            "depth": fo.Heatmap(
                map=np.ascontiguousarray(to_camera_view(read_depth(frame.pair.lidar))), range=[0, NO_RETURN]
            )
        }
        for name, path in zip(SLICES, files, strict=True):
            more = depth if name == "lidar" else {}  # the exact ranges, which a coloured picture does not hold
            if path.suffix == ".png":
                more |= {"metadata": fo.ImageMetadata(width=IMAGE_SIZE, height=IMAGE_SIZE, mime_type="image/png")}
            yield fo.Sample(filepath=str(path), group=group.element(name), tags=tags, **fields, **more)


def _fields(
    fo: Any, frame: Frame, splits: Mapping[tuple[int, int], str], said: Predictions
) -> tuple[dict[str, Any], list[str]]:
    """Fields and tags of a pair. A net's mistakes are tagged, so that one click shows them."""
    pair, measures = frame
    true, hits = CLASS_NAMES[pair.label], int(measures["returns"])
    fields = {"label": fo.Classification(label=true), "scene": pair.scene, "returns": hits}
    fields |= {"lit_pixels": int(measures["lit"]), "brightness": round(float(measures["brightness"]), 2)}
    if hits:
        ranges = (measures["nearest"], measures["range_sum"] / hits, measures["farthest"])
        fields |= dict(zip(("nearest", "mean_range", "farthest"), (round(float(r), 3) for r in ranges), strict=True))
    split = splits.get((pair.label, pair.scene))
    tags = [split] if split else []
    fields |= {"split": split} if split else {}
    answer = said.get((CLASSES[pair.label], pair.rgb.stem))
    if answer:
        name, probability = answer
        fields |= {"prediction": fo.Classification(label=name, confidence=probability), "mistake": name != true}
        tags += ["mistake"] if name != true else []
    return fields, tags
