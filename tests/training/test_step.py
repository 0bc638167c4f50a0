"""The step of the loop: on a CPU its bits are those of a loop without any, on a GPU a graph does what the step does."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.core.device import autocast, build_seeded, make_generator, setup_device, to_device
from pipeline.data.arrays import Batches, Examples
from pipeline.metrics.classification import classification_metrics
from pipeline.models.blocks import conv_trunk, freeze, mlp
from pipeline.training.loop import Task, fit, lr_at_step
from pipeline.training.objectives import label_objective
from pipeline.training.step import EAGER_STEPS, GraphStep, Outcome, Step, make_step

CPU = torch.device("cpu")
EPOCHS, SIZE = 3, 4
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs a GPU")


def recipe(clip: float | None = None) -> Recipe:
    return Recipe(lr=0.01, batch_size=SIZE, warmup_fraction=0.2, schedule="cosine", grad_clip_norm=clip)


class Net(nn.Module):
    """Classify pictures (B, 2, 8, 8) by convolutions of which the first is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = conv_trunk([2, 4, 8], "maxpool", "batch")
        self.head = mlp([32, 8, 1])
        freeze(self.trunk[0])

    def forward(self, pictures):
        return self.head(self.trunk(pictures).flatten(1)).squeeze(1)


def examples(device: torch.device) -> Examples:
    """Return ten pictures, so that the last of three batches holds two."""
    generator = make_generator(1)
    pictures = torch.randn(10, 2, 8, 8, generator=generator).to(memory_format=torch.channels_last)
    return Examples(pictures.to(device), torch.tensor([0.0, 1.0] * 5, device=device))


def task(device: torch.device) -> Task:
    data = examples(device)
    batches = Batches(data.rows, torch.arange(10, device=device), SIZE)
    validate = iter(range(100, 0, -1))  # each epoch is better than the one before, so that the last weights stay
    return Task(
        build_seeded(0, Net),
        label_objective,
        batches,
        lambda net: {"val_loss": float(next(validate))},
        classification_metrics,
    )


def plain_loop(clip: float | None) -> tuple[nn.Module, list[float], list[float]]:
    """Train as a textbook does: return the net, its loss and the mean norm of its gradients by epoch."""
    model, data, generator = to_device(build_seeded(0, Net), CPU), examples(CPU), make_generator(0)
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=0.01, fused=True)
    losses, norms = [], []
    model.train()
    for epoch in range(EPOCHS):
        loss_sum, norm_sum = torch.zeros(()), torch.zeros(())
        for step, rows in enumerate(torch.randperm(10, generator=generator).split(SIZE)):
            optimizer.param_groups[0]["lr"] = lr_at_step(recipe(clip), 3 * epoch + step, 3 * EPOCHS)
            optimizer.zero_grad()
            with autocast(CPU):
                logits = model(data.inputs[rows]).float()
                loss = nn.functional.binary_cross_entropy_with_logits(logits, data.targets[rows])
            loss.backward()
            norm_sum = norm_sum + nn.utils.clip_grad_norm_(weights, float("inf") if clip is None else clip)
            optimizer.step()
            loss_sum = loss_sum + loss.detach() * len(rows)
        losses.append(float(loss_sum) / 10)
        norms.append(float(norm_sum) / 3)
    return model, losses, norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_training_has_the_bits_of_a_plain_loop(monkeypatch, clip: float | None, dtype: torch.dtype) -> None:
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: dtype)
    expected, losses, norms = plain_loop(clip)
    trained = task(CPU)
    history = fit(trained, recipe(clip), EPOCHS, 0, lambda seed, metrics: None).history
    for name, value in expected.state_dict().items():
        assert trained.model.state_dict()[name].equal(value), name
    assert [epoch["train_loss"] for epoch in history] == losses
    assert [epoch["gradient_norm"] for epoch in history] == norms


def test_an_outcome_is_that_of_the_weights_before_the_step() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    data = Examples(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0.0, 1.0, 0.0]))

    def objective(net: nn.Module, batch: Examples):
        outputs = batch.inputs * net.weight
        return outputs.square().mean(), outputs

    outcome = Step(model, objective, data.rows, recipe(), CPU)(torch.tensor([1, 0]), 0.5)
    assert outcome.loss.item() == (36 + 4) / 2 and outcome.outputs.tolist() == [[6.0], [2.0]]
    assert outcome.targets.tolist() == [1.0, 0.0] and not outcome.outputs.requires_grad
    assert outcome.norm.item() == (9 * 2 * 2 + 1 * 2 * 2) / 2
    assert model.weight.item() == pytest.approx(2 - 0.5)  # Adam's first step is as long as the rate


def test_a_cpu_takes_plain_steps() -> None:
    assert type(make_step(Net(), label_objective, examples(CPU).rows, recipe(), CPU)) is Step


class FakeGraph:
    """A CUDA graph on a CPU: in a recording nothing is computed, and a replay writes to the tensors recorded."""

    def __init__(self) -> None:
        self.work = lambda: None
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        self.work()


class RecordableStep(Step):
    """A step that FakeGraph can record."""

    recording: FakeGraph | None = None

    def compute(self, rows: torch.Tensor) -> Outcome:
        if self.recording is None:
            return super().compute(rows)
        recorded = Outcome(torch.empty(()), torch.empty(()), torch.empty(len(rows)), torch.empty(len(rows)))

        def work() -> None:
            for target, value in zip(recorded, Step.compute(self, rows), strict=True):
                target.copy_(value)

        self.recording.work = work
        return recorded


def test_recorded_steps_and_eager_ones_follow_each_other(monkeypatch) -> None:
    plain_net, net = build_seeded(0, Net), build_seeded(0, Net)
    data = examples(CPU)
    step = RecordableStep(net, label_objective, data.rows, recipe(0.1), CPU)

    @contextmanager
    def record(graph: FakeGraph, stream: object):
        step.recording = graph
        yield
        step.recording = None

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: SimpleNamespace(wait_stream=lambda other: None))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(wait_stream=lambda other: None))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    plain, graph = Step(plain_net, label_objective, data.rows, recipe(0.1), CPU), GraphStep(step)
    for turn, size in enumerate([4, 4, 2, 4, 4, 2, 4]):
        rows, lr = torch.arange(10).roll(turn)[:size], 0.01 / (turn + 1)
        for found, expected in zip(graph(rows, lr), plain(rows, lr), strict=True):
            assert found.equal(expected), turn
    assert graph.graph is not None and graph.graph.replays == 3  # the first three and the second of two rows are eager
    for name, value in plain_net.state_dict().items():
        assert net.state_dict()[name].equal(value), name


@ON_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_graph_does_what_the_step_does(monkeypatch, clip: float | None, dtype: torch.dtype) -> None:
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: dtype)
    device, (eager, graph) = setup_device(), (to_device(build_seeded(0, Net), torch.device("cuda")) for _ in range(2))
    data = examples(device)
    steps = [Step(eager, label_objective, data.rows, recipe(clip), device)]
    steps.append(GraphStep(Step(graph, label_objective, data.rows, recipe(clip), device)))
    order = torch.arange(10, device=device)
    for turn in range(EAGER_STEPS + 6):
        rows = order.roll(turn)[: 2 if turn % 3 == 2 else SIZE]  # every third batch is ragged
        plain, replayed = (step(rows, 0.01 / (turn + 1)) for step in steps)
        torch.testing.assert_close(replayed.loss, plain.loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(replayed.norm, plain.norm, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(replayed.outputs, plain.outputs, rtol=1e-4, atol=1e-5)
        assert replayed.targets.equal(plain.targets)
    assert steps[1].graph is not None
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(graph.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


@ON_GPU
def test_a_training_on_a_gpu_repeats_its_bits() -> None:
    device, trained = setup_device(), [task(torch.device("cuda")) for _ in range(2)]
    histories = [fit(each, recipe(0.1), EPOCHS, 0, lambda seed, metrics: None).history for each in trained]
    assert device.type == "cuda"
    assert [epoch["train_loss"] for epoch in histories[0]] == [epoch["train_loss"] for epoch in histories[1]]
    for first, second in zip(*(each.model.state_dict().values() for each in trained), strict=True):
        assert first.equal(second)
