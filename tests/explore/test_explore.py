"""The grouped data set, its export, and the way back, in real FiftyOne."""

import json
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.raw.format import DataError, pair_at, read_depth
from pipeline.render.images import to_camera_view
from pipeline.tools.explore.fiftyone_view import SLICES, build_dataset, export_dataset
from pipeline.tools.importers.formats.pointcloud import read_pcd
from pipeline.tools.importers.import_dataset import import_dataset
from pipeline.tools.simulator.simulate import simulate

SPLITS = {(label, scene): ("train", "val", "test")[scene % 3] for label in (0, 1) for scene in range(5)}
PREDICTIONS = {("cubes", "0001"): ("cube", 0.75), ("spheres", "0001"): ("cube", 0.625)}


@pytest.fixture
def dataset(raw_folder: Path, here: Path) -> fo.Dataset:
    return build_dataset(raw_folder, None, SPLITS, PREDICTIONS)


def pair(dataset: fo.Dataset, label: str, scene: int) -> dict[str, fo.Sample]:
    """Return the samples of one group by slice."""
    groups = list(dataset.iter_groups())
    return next(each for each in groups if (each["rgb"].label.label, each["rgb"].scene) == (label, scene))


def test_every_pair_is_a_group_of_three_slices(dataset: fo.Dataset, raw_folder: Path) -> None:
    assert len(dataset) == 12 and sorted(dataset.group_slices) == sorted(SLICES)
    assert dataset.group_media_types == {"rgb": "image", "lidar": "image", "points": "3d"}
    assert dataset.default_group_slice == "rgb" and not dataset.persistent
    for label, name in enumerate(("cube", "sphere")):
        for scene in range(6):
            found = pair(dataset, name, scene)
            assert set(found) == set(SLICES)
            assert found["rgb"].filepath == str(pair_at(raw_folder, label, scene).rgb)
            assert all(Path(sample.filepath).is_file() for sample in found.values())


def test_fields_describe_the_frames(dataset: fo.Dataset, raw_folder: Path) -> None:
    depth = read_depth(pair_at(raw_folder, 1, 4).lidar)
    hits = depth[depth < 50]
    rgb = np.array(Image.open(pair_at(raw_folder, 1, 4).rgb))[..., :3].max(axis=2)
    for sample in pair(dataset, "sphere", 4).values():
        assert sample.returns == hits.size and sample.lit_pixels == (rgb > 0).sum()
        values = [sample.nearest, sample.mean_range, sample.farthest, sample.brightness]
        assert values == pytest.approx([hits.min(), hits.mean(), hits.max(), rgb[rgb > 0].mean()], abs=0.01)


def test_tags_and_fields_name_the_split_and_the_mistakes(dataset: fo.Dataset) -> None:
    right, wrong, unsplit = (pair(dataset, *at)["rgb"] for at in (("cube", 1), ("sphere", 1), ("cube", 5)))
    assert (right.tags, right.split, right.mistake) == (["val"], "val", False)
    assert (wrong.tags, wrong.split, wrong.mistake) == (["val", "mistake"], "val", True)
    assert (wrong.prediction.label, wrong.prediction.confidence) == ("cube", 0.625)
    assert (unsplit.tags, unsplit.split, unsplit.prediction) == ([], None, None)
    assert dataset.count_sample_tags() == {"train": 4, "val": 4, "test": 2, "mistake": 1}
    assert len(dataset.match_tags("mistake")) == 1


def test_the_depth_map_is_exact_and_lies_as_the_picture_does(dataset: fo.Dataset, raw_folder: Path) -> None:
    lidar = pair(dataset, "cube", 2)["lidar"]
    depth = read_depth(pair_at(raw_folder, 0, 2).lidar)
    assert lidar.depth.map.dtype == np.float32 and (lidar.depth.map == to_camera_view(depth)).all()
    picture = np.array(Image.open(lidar.filepath))
    assert ((picture > 0).any(axis=2) == (to_camera_view(depth) < 50)).all()


def test_the_cloud_is_the_returns_in_space(dataset: fo.Dataset, raw_folder: Path) -> None:
    points = pair(dataset, "sphere", 0)["points"]
    scene = json.loads(Path(points.filepath).read_text())
    cloud = Path(points.filepath).with_name(scene["children"][0]["pcdPath"])
    depth = read_depth(pair_at(raw_folder, 1, 0).lidar)
    reach = np.linalg.norm(read_pcd(cloud, cloud.read_bytes()), axis=1)
    assert np.sort(reach) == pytest.approx(np.sort(depth[depth < 50]), abs=1e-4)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_raw_to_export_to_import_to_raw_are_the_same_bytes(dataset: fo.Dataset, raw_folder: Path, here: Path) -> None:
    export_dataset(dataset, here / "exported")
    import_dataset(str(here / "exported"), here / "back", None, 0, False)
    assert contents(here / "back") == contents(raw_folder)


def test_the_export_needs_nothing_outside_and_fiftyone_reads_it(
    dataset: fo.Dataset, raw_folder: Path, here: Path
) -> None:
    export_dataset(dataset, here / "exported")
    dataset.delete()
    (here / ".explore").rename(here / "gone")
    (here / "exported").rename(here / "moved")  # no absolute path in it
    loaded = fo.Dataset.from_dir(dataset_dir=str(here / "moved"), dataset_type=fo.types.FiftyOneDataset, progress=False)
    assert len(loaded) == 12 and loaded.info["azimuth"] == dataset_angles(raw_folder)
    points = pair(loaded, "cube", 3)["points"]
    scene = json.loads(Path(points.filepath).read_text())
    cloud = Path(points.filepath).parent / scene["children"][0]["pcdPath"]
    assert Path(points.filepath).is_relative_to(here / "moved") and cloud.is_file()
    assert not [path for path in here.iterdir() if "partial" in path.name]
    loaded.delete()


def dataset_angles(raw_folder: Path) -> list[float]:
    return np.load(raw_folder / "cubes/azimuth.npy").tolist()


def test_an_export_overwrites_nothing(dataset: fo.Dataset, here: Path) -> None:
    (here / "exported").mkdir()
    with pytest.raises(DataError, match="exported: found something there already"):
        export_dataset(dataset, here / "exported")
    assert not list((here / "exported").iterdir())


def test_a_named_data_set_persists_and_not_replaced(raw_folder: Path, here: Path) -> None:
    named = build_dataset(raw_folder, "cubes and spheres", {}, {})
    try:
        assert named.persistent and "cubes and spheres" in fo.list_datasets()
        with pytest.raises(PipelineError, match="cubes and spheres: FiftyOne has a data set of that name"):
            build_dataset(raw_folder, "cubes and spheres", {}, {})
        assert len(fo.load_dataset("cubes and spheres")) == 12
    finally:
        named.delete()


def test_an_interrupted_build_leaves_no_data_set_of_that_name(
    raw_folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.tools.explore.fiftyone_view.write_pcd", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(raw_folder, "later", {}, {})
    assert "later" not in fo.list_datasets() and not list(here.rglob("*.png"))
    build_dataset(raw_folder, "later", {}, {}).delete()


def test_no_data_set_takes_the_pictures_of_another(raw_folder: Path, here: Path) -> None:
    other = here / "other" / raw_folder.name
    simulate(other, scenes=2, seed=7)
    built = [
        build_dataset(*each, {}, {}) for each in ((raw_folder, raw_folder.name), (raw_folder, None), (other, None))
    ]
    homes = {Path(dataset.first().filepath) for dataset in built}  # of RGB: the raw files
    for dataset in built:
        dataset.group_slice = "points"
        homes.add(Path(dataset.first().filepath).parent)
        dataset.delete()
    assert len(homes) == 2 + len(built)


@pytest.mark.parametrize("name", ["a-b", "!"])
def test_a_name_that_fiftyone_does_not_accept_is_no_fault_of_the_database(
    raw_folder: Path, here: Path, name: str
) -> None:
    named = build_dataset(raw_folder, "a b", {}, {})
    with pytest.raises(PipelineError, match="FiftyOne accepts no such name"):
        build_dataset(raw_folder, name, {}, {})
    named.delete()


def test_a_folder_with_errors_is_refused_before_anything_is_made(raw_folder: Path, here: Path) -> None:
    with pytest.raises(DataError, match="nowhere: found nothing; expected a folder"):
        build_dataset(here / "nowhere", None, {}, {})
    assert not list(here.iterdir())
