"""A raw folder in FiftyOne: every pair is a group of its RGB, its coloured depth map and its returns in space.

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
from pipeline.tools.importers.formats.pointcloud import write_pcd
from pipeline.tools.importers.source import compute_fingerprint
from pipeline.tools.simulator.writing import create_folder

if TYPE_CHECKING:
    import fiftyone as fo


MEDIA = Path(".explore")  # pictures and clouds for the App, one folder a data set
SLICES = ("rgb", "lidar", "points")
CAMERA_VIEW_KEY = "depth_turned"  # in the data set's info: its depth maps are oriented as the RGB is
SceneSplits = Mapping[tuple[int, int], str]  # (label, scene) -> train, val or test
Predictions = Mapping[tuple[str, str], tuple[str, float]]  # (cubes or spheres, 0000) -> (class, its probability)


class Frame(NamedTuple):
    """A pair and the statistics of its two frames."""

    pair: Pair
    stats: np.void  # one row of FRAME_STATS


def build_dataset(folder: Path, name: str | None, splits: SceneSplits, predictions: Predictions) -> "fo.Dataset":
    """Return a grouped FiftyOne data set of a raw folder.

    With a name FiftyOne's database stores the data set; without one it ends with the process. Raises DataError when the
    folder has errors, PipelineError without FiftyOne, without its database, or when a data set of that name exists.
    """
    fo = _fiftyone()
    frames, angles = _frames(folder), read_angles(folder, CLASSES[0])
    rays = _rays(*angles)
    with _new_dataset(fo, name) as dataset:
        media = _media_folder(folder, name).absolute()
        with atomic_folder(media) as part:
            for frame in tqdm(frames, desc="explore", unit="pair", disable=None):
                _write_media(part, frame.pair, rays)
        dataset.add_group_field("group", default=SLICES[0])
        dataset.add_samples(_samples(fo, frames, media, splits, predictions), progress=False)
        dataset.info = {"azimuth": angles[0].tolist(), "zenith": angles[1].tolist(), CAMERA_VIEW_KEY: True}
        dataset.app_config.media_fields = ["filepath"]
        dataset.persistent = name is not None  # last: FiftyOne deletes what a killed run leaves
        dataset.save()
    return dataset


def launch_app(dataset: "fo.Dataset", port: int, address: str) -> None:
    """Open the App on a data set; return when it is closed or on Ctrl-C."""
    session = _fiftyone().launch_app(dataset, port=port, address=address)
    print(f"{len(dataset)} groups at http://{address}:{port}; Ctrl-C ends it", flush=True)
    with suppress(KeyboardInterrupt):  # the usual end, not an interruption
        session.wait(-1)


def export_dataset(dataset: "fo.Dataset", out: Path) -> None:
    """Write a data set with its media as a FiftyOneDataset folder, whole or not at all; `out` must not exist."""
    fo = _fiftyone()
    with create_folder(out) as part:
        part.rmdir()  # FiftyOne creates it, and warns of one that exists
        dataset.export(export_dir=str(part), dataset_type=fo.types.FiftyOneDataset, export_media=True, progress=False)


def read_scene_splits(path: Path | None, folder: Path) -> dict[tuple[int, int], str]:
    """Return (label, scene) -> split from a split.tsv of the stage prepare. Raises PipelineError for another table.

    Without a path the table of the last prepare is read, which holds the scenes of data/ alone: the result is empty
    for other folders.
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
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")  # usage is reported only where the user wants it
    try:
        import fiftyone  # slow, and an extra
    except ImportError:
        raise PipelineError(
            "FiftyOne is not installed; it is an extra: "
            "pip install -r requirements-explore.txt -c constraints.txt -c constraints-explore.txt"
        ) from None
    return fiftyone


@contextmanager
def _new_dataset(fo: Any, name: str | None) -> Iterator["fo.Dataset"]:
    """Yield an empty data set; delete it if the block raises."""
    try:
        exists = name in fo.list_datasets()
    except Exception as error:  # its service, its driver and its settings each raise their own
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(
            f"FiftyOne's database does not start ({reason}); install what is missing (on a bare Debian "
            f"libcurl4), or name a MongoDB that runs in FIFTYONE_DATABASE_URI"
        ) from None
    if exists:
        raise PipelineError(f"{name}: FiftyOne has a data set of that name; choose another --name or delete it there")
    try:
        dataset = fo.Dataset(name)
    except ValueError as error:  # to FiftyOne `a b` and `a-b` are one name, and `!` is none
        raise PipelineError(f"{name}: FiftyOne accepts no such name ({error}); choose another --name") from None
    try:
        yield dataset
    except BaseException:  # Ctrl-C too
        dataset.delete()
        raise


def _media_folder(folder: Path, name: str | None) -> Path:
    """Return a folder of the data set's own: one for each name, or one for each raw folder where there is no name."""
    readable = re.sub(r"\W+", "-", name or folder.resolve().name)
    return MEDIA / f"{readable}-{compute_fingerprint([name, None if name else str(folder.resolve())])[:8]}"


def _frames(folder: Path) -> list[Frame]:
    """Return every pair of a raw folder; raises DataError with all its errors."""
    index = index_folder(folder)
    rows, issues, frames = index.rows(), list(index.issues), []
    for block in scan_rows(folder, rows):
        issues += block.issues
        for row, stats in enumerate(block.stats, block.start):
            frames.append(Frame(pair_at(folder, int(rows.label[row]), int(rows.scene[row])), stats))
    errors = [issue for issue in issues if issue.severity == "error"]
    if errors or not frames:
        raise DataError(*errors or [Issue("no-pairs", folder, "no pairs", "at least one", "name another folder")])
    return frames


def _stem(pair: Pair) -> str:
    return f"{CLASSES[pair.label]}-{pair.scene:04d}"


def _rays(azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    """Return the unit vectors (3, H, W) of the sensor's angles (H,) and (W,) in radians."""
    import torch  # slow to import

    from pipeline.data.geometry import ray_directions

    return ray_directions(torch.tensor(azimuth), torch.tensor(zenith)).numpy()


def _write_media(folder: Path, pair: Pair, rays: np.ndarray) -> None:
    """Write the media that show a LiDAR frame in the App: a picture, a point cloud, and a 3D scene around it."""
    import fiftyone as fo

    depth, stem = read_depth(pair.lidar), _stem(pair)
    with atomic(folder / f"{stem}.png") as part:
        Image.fromarray(colorize_depth(to_camera_view(depth))).save(part, "PNG")
    points, colors = point_cloud(depth, rays)
    write_pcd(folder / f"{stem}.pcd", points, colors)
    center = points.mean(axis=0) if len(points) else np.array([0, 25, 0])
    position = (center + [5, -9, 4]).tolist()  # a few cube edges away, to the right and above
    scene = fo.Scene(camera=fo.PerspectiveCamera(position=position, look_at=center.tolist(), up="Z"))
    material = fo.PointCloudMaterial(shading_mode="rgb", point_size=4)
    scene.add(fo.PointCloud("returns", f"{stem}.pcd", material=material))  # a relative path: the folder may move
    scene.write(str(folder / f"{stem}.fo3d"))


def _samples(
    fo: Any, frames: Iterable[Frame], media: Path, splits: SceneSplits, predictions: Predictions
) -> Iterator["fo.Sample"]:
    """Yield three samples a pair, one a slice; the fields of the pair are on each of them."""
    for frame in frames:
        group, stem = fo.Group(), _stem(frame.pair)
        paths = (frame.pair.rgb.absolute(), media / f"{stem}.png", media / f"{stem}.fo3d")
        fields, tags = _fields(fo, frame, splits, predictions)
        depth = np.ascontiguousarray(to_camera_view(read_depth(frame.pair.lidar)))
        for name, path in zip(SLICES, paths, strict=True):
            own = {}
            if name == "lidar":  # the exact ranges, which a coloured picture does not hold
                own["depth"] = fo.Heatmap(map=depth, range=[0, NO_RETURN])
            if path.suffix == ".png":
                own["metadata"] = fo.ImageMetadata(width=IMAGE_SIZE, height=IMAGE_SIZE, mime_type="image/png")
            yield fo.Sample(filepath=str(path), group=group.element(name), tags=tags, **fields, **own)


def _fields(fo: Any, frame: Frame, splits: SceneSplits, predictions: Predictions) -> tuple[dict[str, Any], list[str]]:
    """Return the fields and tags of a pair. A net's mistakes are tagged, so that one click shows them."""
    pair, stats = frame
    class_name, returns = CLASS_NAMES[pair.label], int(stats["returns"])
    fields = {"label": fo.Classification(label=class_name), "scene": pair.scene, "returns": returns}
    fields |= {"lit_pixels": int(stats["lit"]), "brightness": round(float(stats["brightness"]), 2)}
    if returns:
        fields["nearest"] = round(float(stats["nearest"]), 3)
        fields["mean_range"] = round(float(stats["range_sum"] / returns), 3)
        fields["farthest"] = round(float(stats["farthest"]), 3)
    tags = []
    if split := splits.get((pair.label, pair.scene)):
        fields["split"] = split
        tags.append(split)
    if prediction := predictions.get((CLASSES[pair.label], pair.rgb.stem)):
        predicted, probability = prediction
        fields["prediction"] = fo.Classification(label=predicted, confidence=probability)
        fields["mistake"] = predicted != class_name
        tags += ["mistake"] if fields["mistake"] else []
    return fields, tags
