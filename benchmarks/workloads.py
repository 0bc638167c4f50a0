"""What the sides compute: steps, and trainings until a target, by the course's recipe and by this project's own fit().

Every function loads the prepared arrays by their folder, so that it runs in any process. Seconds are those of the
thread that computes. An evaluation after an epoch is not counted on either side.
"""

from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.course import (
    BATCH_SIZE,
    COSINE,
    CourseRecipe,
    DepthPairs,
    PointPairs,
    Sensors,
    build_net,
    classification_loss,
    contrastive_loss,
    train,
)
from pipeline.config.params import Params, parse_params
from pipeline.core.device import build_seeded
from pipeline.data.arrays import Arrays, Batches, load_arrays, to_image_tensor
from pipeline.metrics.classification import classification_metrics
from pipeline.metrics.inference import pair_embeddings, pair_logits
from pipeline.models.cilp import CILP, LidarClassifier
from pipeline.models.fusion import build_fusion
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import make_splitter
from pipeline.tools.presets import default_params, merge_preset
from pipeline.tools.simulator.simulate import simulate
from pipeline.training.loop import EpochMetrics, Task, fit
from pipeline.training.objectives import contrastive_objective, lidar_objective, pair_objective
from pipeline.training.seeds import make_validate
from pipeline.transfer.metrics import retrieval_metrics

CPU = torch.device("cpu")
DEFAULT = ""  # the name of the preset that changes nothing


class Outcome(NamedTuple):
    """How a training went."""

    seconds: float  # until the target, or in all
    reached: bool
    epochs: int
    best: float  # the best value of an epoch until then


class Net(NamedTuple):
    """One net on both sides: its name in course.PARAMETERS, and the preset and the fusion that are its equal here."""

    course: str
    preset: str
    fusion: str
    downsample: str = "maxpool"


def make_data(folder: Path, scenes: int) -> None:
    """Simulate `scenes` in folder/raw, those of the default data set, and prepare them in folder/arrays."""
    simulate(folder / "raw", scenes, seed=0)
    prepare(folder / "raw", folder / "arrays", make_splitter(read_params(DEFAULT).prepare))


@cache
def read_params(preset: str) -> Params:
    """Return the default parameters with a preset merged in."""
    text = default_params()
    return parse_params(merge_preset(text, preset, "") if preset else text, preset or "params.yaml")


@cache
def _arrays(folder: Path) -> Arrays:
    return load_arrays(folder, CPU)


@cache
def _sensors(folder: Path, split: str) -> Sensors:
    data = _arrays(folder)
    rows = data.splits[split]
    images = to_image_tensor(data.rgb[rows]).contiguous()
    angles = (torch.tensor(data.angles[name]) for name in ("azimuth", "zenith"))
    return Sensors(list(images), list(data.depth[rows].clone()), data.label[rows].tolist(), *angles)


def time_course_step(folder: Path, net: Net, steps: int) -> float:
    """Return milliseconds a sample of the course's step: of the second of two epochs of `steps` batches."""
    pair_type = DepthPairs if net.course in ("cilp", "lidar_classifier") else PointPairs
    pairs = pair_type(_sensors(folder, "train"))
    loss = contrastive_loss if net.course == "cilp" else classification_loss
    model = build_seeded(0, lambda: build_net(net.course, net.downsample))
    *_, seconds = islice(train(model, pairs, loss, COSINE, steps), 2)
    return 1000 * seconds / (min(steps, len(pairs) // BATCH_SIZE) * BATCH_SIZE)


def time_our_step(folder: Path, net: Net, steps: int) -> float:
    """Return milliseconds a sample of fit(): of the second of two epochs of `steps` batches."""
    recipe, build, objective, batch_fn = our_training(folder, net)
    data, size = _arrays(folder), recipe.batch_size * steps
    rows = data.scene_pairs("train")[: size // 2] if net.course == "cilp" else data.splits["train"][:size]
    task = Task(
        build_seeded(0, build), objective, Batches(batch_fn, rows, recipe.batch_size), lambda _: {"val_loss": 0.0}
    )
    return 1000 * fit(task, recipe, 2, 0, _log_nothing).history[-1]["seconds"] / rows.numel()


def our_training(folder: Path, net: Net) -> tuple[Any, Callable[[], nn.Module], Any, Any]:
    """Return recipe, builder, objective and batches of a net, as its stage has them."""
    params, data = read_params(net.preset), _arrays(folder)
    if net.course == "lidar_classifier":
        dims, depth = (params.lidar.channels, params.lidar.head_dims), (data.depth_mean, data.depth_std)
        return params.lidar, lambda: LidarClassifier(*dims, *depth), lidar_objective, data.with_depth
    if net.course == "cilp":
        names = ("channels", "hidden_dims", "embed_dim", "temperature", "norm")
        arguments: dict[str, Any] = {name: getattr(params.cilp, name) for name in names} | data.depth_stats
        return params.cilp, lambda: CILP(**arguments), contrastive_objective, data.with_depth
    widths = dict(params.fusion.nets[net.fusion])
    build = lambda: build_fusion(net.fusion, net.downsample, widths, **data.input_stats)  # noqa: E731
    return params.fusion, build, pair_objective, data.with_xyza


def our_epochs(net: Net) -> int:
    """Return the epochs of a net in the parameters of its preset."""
    params = read_params(net.preset)
    if net.course in ("cilp", "lidar_classifier"):
        return {"cilp": params.cilp, "lidar_classifier": params.lidar}[net.course].epochs
    return params.matrix[f"{net.fusion}-{net.downsample}"].epochs


def train_course(folder: Path, net: Net, recipe: CourseRecipe, cap: int, target: float, seed: int) -> Outcome:
    """Train by the course's recipe until the validation value reaches `target`, at most `cap` epochs."""
    contrastive = net.course == "cilp"
    pairs, loss = (DepthPairs, contrastive_loss) if contrastive else (PointPairs, classification_loss)
    torch.manual_seed(seed)
    model, held_out = build_net(net.course, net.downsample), pairs(_sensors(folder, "val"))
    evaluate = course_top1 if contrastive else course_accuracy
    costs, best = [], 0.0
    for seconds in islice(train(model, pairs(_sensors(folder, "train")), loss, recipe, None), cap):
        costs.append(seconds)
        best = max(best, evaluate(model, held_out))
        if best >= target:
            break
    return Outcome(sum(costs), best >= target, len(costs), best)


def train_ours(folder: Path, net: Net, target: float, seed: int) -> Outcome:
    """Train by fit() as the net's stage does, and count until the validation value reaches `target`."""
    recipe, build, objective, batch_fn = our_training(folder, net)
    data, contrastive = _arrays(folder), net.course == "cilp"
    rows = [data.scene_pairs(name) if contrastive else data.splits[name] for name in ("train", "val")]
    batches, val = Batches(batch_fn, rows[0], recipe.batch_size), Batches(batch_fn, rows[1])
    if contrastive:
        task = Task(build_seeded(seed, build), objective, batches, lambda model: _top1(model, val))
    else:
        validate = make_validate(pair_logits, val, data.label[val.rows])
        task = Task(build_seeded(seed, build), objective, batches, validate, classification_metrics)
    name, history = "val_top1" if contrastive else "val_accuracy", []
    for epoch in fit(task, recipe, our_epochs(net), seed, _log_nothing).history:
        history.append(epoch)
        if epoch[name] >= target:
            break
    best = max(epoch[name] for epoch in history)
    return Outcome(sum(epoch["seconds"] for epoch in history), best >= target, len(history), best)


def course_accuracy(model: nn.Module, pairs: PointPairs) -> float:
    """Return the share of pairs that a classifier has right."""
    model.eval()
    with torch.no_grad():
        right = [(model(rgb, lidar) > 0) == (label > 0.5) for rgb, lidar, label in DataLoader(pairs, BATCH_SIZE)]
    return float(torch.cat(right).double().mean())


def course_top1(model: nn.Module, pairs: PointPairs) -> float:
    """Return top-1 retrieval of LiDAR by RGB among all pairs."""
    model.eval()
    with torch.no_grad():
        both = [model(rgb, lidar) for rgb, lidar, _ in DataLoader(pairs, BATCH_SIZE)]
    rgb, lidar = (torch.cat(each) for each in zip(*both, strict=True))
    return retrieval_metrics(rgb, lidar)["top1"]


def _top1(model: nn.Module, batches: Batches) -> EpochMetrics:
    top1 = retrieval_metrics(*pair_embeddings(model, batches))["top1"]
    return {"val_loss": 1 - top1, "val_top1": top1}


def _log_nothing(seed: int, metrics: dict[str, float]) -> None:
    """Log nothing: the benchmark reads the history that fit() returns."""
