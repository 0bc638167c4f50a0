import shutil
from math import cos, sin
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Arrays, Batches, Examples, load_arrays
from pipeline.raw.format import pair_at, read_angles, read_depth, read_rgb

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(prepared: Path) -> Arrays:
    return load_arrays(prepared, CPU)


def rows(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


def identity(rows: Tensor) -> list[int]:
    return rows.tolist()


# --- what the nets see


@pytest.mark.parametrize("method, channels", [("with_xyza", 4), ("with_depth", 1)])
def test_a_batch_has_the_shapes_and_ranges_that_nets_expect(data: Arrays, method: str, channels: int) -> None:
    batch = getattr(data, method)(rows(0, 6, 3))
    assert batch.rgb.shape == (3, 4, 64, 64) and batch.lidar.shape == (3, channels, 64, 64)
    assert batch.rgb.dtype == batch.lidar.dtype == batch.label.dtype == torch.float32
    assert batch.rgb.is_contiguous(memory_format=torch.channels_last)
    assert batch.lidar.is_contiguous(memory_format=torch.channels_last)
    assert batch.rgb.min() == 0 and batch.rgb.max() == 1  # black background, opaque alpha
    assert batch.label.tolist() == [0, 1, 0]


def test_a_batch_holds_the_raw_files(data: Arrays, raw_folder: Path) -> None:
    pair = pair_at(raw_folder, label=1, scene=2)
    batch = data.with_depth(rows(8))
    np.testing.assert_array_equal(batch.rgb[0].permute(1, 2, 0) * 255, read_rgb(pair.rgb))
    np.testing.assert_array_equal(batch.lidar[0, 0], read_depth(pair.lidar))


def test_points_lie_along_their_rays(data: Arrays, raw_folder: Path) -> None:
    azimuth, zenith = read_angles(raw_folder, "cubes")
    depth, cloud = data.depth[2], data.with_xyza(rows(2)).lidar[0]
    (row, column), *_ = (depth < 50).nonzero().tolist()  # a hit
    for r, c, returned in ((row, column, 1.0), (0, 0, 0.0)):
        right, up, far = -float(azimuth[r]), -float(zenith[c]), depth[r, c].item()
        point = [far * sin(right) * cos(up), far * cos(right) * cos(up), far * sin(up), returned]
        assert cloud[:, r, c].tolist() == pytest.approx(point, abs=1e-4)
    assert depth[0, 0] == 50


def test_scene_pairs_are_a_cube_and_the_sphere_of_its_scene(data: Arrays) -> None:
    for split, scenes in {"train": 3, "val": 1, "test": 2}.items():
        cubes, spheres = data.scene_pairs(split).T
        assert len(cubes) == scenes and (cubes < 6).all() and (spheres == cubes + 6).all()
        assert sorted([*cubes.tolist(), *spheres.tolist()]) == data.splits[split].tolist()


def test_labelled_rows_are_balanced_and_drawn_by_seed(data: Arrays) -> None:
    train = set(data.splits["train"].tolist())
    picked = data.sample_labelled("train", 4, seed=0)
    assert data.label[picked].tolist() == [0, 0, 1, 1] and set(picked.tolist()) <= train
    assert picked.equal(data.sample_labelled("train", 4, seed=0))
    assert len({tuple(data.sample_labelled("train", 4, seed).tolist()) for seed in range(9)}) > 1
    assert sorted(data.sample_labelled("train", 6, seed=0).tolist()) == sorted(train)  # all there are


def test_pictures_come_with_their_labels(data: Arrays) -> None:
    rows_ = data.splits["test"]
    examples, batch = data.with_label(rows_), data.with_depth(rows_)
    assert examples.inputs.equal(batch.rgb) and examples.targets.equal(batch.label)


def test_inputs_are_standardised_by_the_training_split(data: Arrays) -> None:
    training = data.depth[data.splits["train"]].double()
    hits = training[training < 50]
    assert data.depth_stats == pytest.approx(
        {"depth_mean": hits.mean().item(), "depth_std": hits.std().item()}, rel=1e-3
    )
    colors = data.rgb[data.splits["train"]][..., :3].double().flatten(0, 2) / 255
    assert data.input_stats["rgb_mean"] == pytest.approx(colors.mean(0).tolist(), rel=1e-5)
    assert data.input_stats["rgb_std"] == pytest.approx(colors.std(0, correction=0).tolist(), rel=1e-5)
    assert data.input_stats.items() > data.depth_stats.items()
    assert data.all_rows.tolist() == list(range(12))


# --- the files


def test_writing_to_a_tensor_leaves_the_file(prepared: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prepared, tmp_path / "arrays")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    data = load_arrays(folder, CPU)
    data.rgb.fill_(7)
    data.depth.zero_()
    assert data.rgb[5, 1, 2, 3] == 7
    del data
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["rgb", "depth", "label", "azimuth", "zenith", "returns"])
def test_an_absent_or_broken_array_is_named(prepared: Path, tmp_path: Path, name: str) -> None:
    path = shutil.copytree(prepared, tmp_path / "arrays") / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PipelineError, match=f"{name}.npy: not a whole .npy array"):
        load_arrays(path.parent, CPU)
    path.unlink()
    with pytest.raises(PipelineError, match=f"{name}.npy: not found"):
        load_arrays(path.parent, CPU)


# --- batches


def test_batches_come_in_order_and_the_last_may_be_smaller() -> None:
    batches = Batches(identity, rows(9, 8, 7, 6, 5, 4, 3), size=3)
    assert list(batches) == [[9, 8, 7], [6, 5, 4], [3]] and len(batches) == 3
    assert batches.rows.tolist() == [9, 8, 7, 6, 5, 4, 3]


@pytest.mark.parametrize("size, count", [(1, 6), (2, 3), (5, 2), (6, 1), (100, 1)])
def test_the_number_of_batches(size: int, count: int) -> None:
    batches = Batches(identity, torch.arange(6), size)
    assert len(batches) == len(list(batches)) == len(list(batches.shuffled(torch.Generator()))) == count


def test_groups_share_a_batch() -> None:
    scene_pairs = torch.tensor([[0, 5], [1, 6], [2, 7]])
    assert list(Batches(identity, scene_pairs, size=4)) == [[0, 5, 1, 6], [2, 7]]
    assert list(Batches(identity, scene_pairs, size=5)) == [[0, 5, 1, 6], [2, 7]]  # never more than asked for
    assert list(Batches(identity, scene_pairs, size=1)) == [[0, 5], [1, 6], [2, 7]]  # but a whole group at least
    assert Batches(identity, scene_pairs, size=4).rows.tolist() == [0, 5, 1, 6, 2, 7]


def test_shuffled_groups_stay_together() -> None:
    scene_pairs = torch.stack([torch.arange(50), torch.arange(50) + 50], dim=1)
    for batch in Batches(identity, scene_pairs, size=8).shuffled(torch.Generator().manual_seed(0)):
        cubes, spheres = batch.reshape(-1, 2).T
        assert (spheres - cubes).tolist() == [50] * len(cubes)


def test_a_shuffled_epoch_sees_every_row_once_and_repeats_with_its_seed() -> None:
    batches = Batches(identity, torch.arange(100, 200), size=32)
    generator = torch.Generator().manual_seed(3)
    first, second = (torch.cat(list(batches.shuffled(generator))).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(100, 200))
    assert first != second and first != list(range(100, 200))
    again = torch.cat(list(batches.shuffled(torch.Generator().manual_seed(3)))).tolist()
    assert again == first and [len(batch) for batch in batches.shuffled(generator)] == [32, 32, 32, 4]


def test_examples_are_cut_by_rows() -> None:
    examples = Examples(torch.arange(6).reshape(3, 2), torch.tensor([7, 8, 9]))
    inputs, target = examples.rows(rows(2, 0))
    assert inputs.tolist() == [[4, 5], [0, 1]] and target.tolist() == [9, 7]
