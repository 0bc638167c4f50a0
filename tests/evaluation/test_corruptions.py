import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.core.sensors import NO_RETURN
from pipeline.data.arrays import load_arrays
from pipeline.evaluation.corruptions import CORRUPTIONS, MISSING_SENSORS, Frames

NO_FAULT = {
    "lidar_noise": (0, 0.0),
    "lidar_dropout": (0, 0.0),
    "lidar_beams": (1, 1.0),
    "lidar_range": (50, 60.0, math.inf),
    "rgb_dark": (1, 1.0),
    "rgb_noise": (0, 0.0),
    "rgb_blur": (0, 0.0),
    "rgb_colour": (0, 360.0, -720.0),
}
RISING = {  # mild to strong
    "lidar_noise": (0.05, 0.2, 0.8),
    "lidar_dropout": (0.1, 0.5, 0.9),
    "lidar_beams": (2.0, 4.0, 8.0),
    "lidar_range": (26.0, 23.0, 18.0),
    "rgb_dark": (0.7, 0.3, 0.05),
    "rgb_noise": (0.02, 0.1, 0.4),
    "rgb_blur": (0.5, 1.5, 3.0),
    "rgb_colour": (15.0, 60.0, 180.0),
}
BAD = {
    "lidar_noise": (-0.1, math.inf, math.nan),
    "lidar_dropout": (-0.1, 1.1, math.nan),
    "lidar_beams": (0, -2, 0.5, 2.5, math.inf, math.nan),
    "lidar_range": (-1, math.nan),
    "rgb_dark": (-0.1, 1.1, math.nan),
    "rgb_noise": (-0.1, math.inf, math.nan),
    "rgb_blur": (-0.1, math.inf, math.nan),
    "rgb_colour": (math.inf, -math.inf, math.nan),
}
DRAWN = ["lidar_noise", "lidar_dropout", "rgb_noise"]


def each(table: dict[str, tuple[float, ...]]) -> list[tuple[str, float]]:
    return [(fault, severity) for fault, severities in table.items() for severity in severities]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corrupt(fault: str, frames: Frames, severity: float, seed: int = 0) -> Frames:
    return CORRUPTIONS[fault](frames, severity, generator(seed))


def random_frames() -> Frames:
    """Return two pairs of 6 x 9 pixels, every value drawn, half of the rays without return."""
    draw = generator(7)
    depth = 15 + 20 * torch.rand(2, 6, 9, generator=draw)
    lost = torch.rand(2, 6, 9, generator=draw) < 0.5
    rgb = torch.randint(256, (2, 6, 9, 4), generator=draw, dtype=torch.uint8)
    return Frames(rgb, depth.masked_fill(lost, NO_RETURN))


def depth_row(*depth: float) -> Frames:
    """Return a row of rays; the picture beside it is black."""
    return Frames(torch.zeros(1, 1, len(depth), 4, dtype=torch.uint8), torch.tensor([[depth]]))


def rgb_pixel(*colour: int) -> Frames:
    return Frames(torch.tensor([[[[*colour, 255]]]], dtype=torch.uint8), torch.full((1, 1, 1), NO_RETURN))


def uniform_frames(level: int, size: int = 100) -> Frames:
    """Return a picture of one grey, with every return at range 25."""
    return Frames(torch.full((1, size, size, 4), level, dtype=torch.uint8), torch.full((1, size, size), 25.0))


def colour_of(fault: str, frames: Frames, severity: float) -> list[int]:
    return corrupt(fault, frames, severity).rgb[0, 0, 0, :3].tolist()


def ranges_of(fault: str, frames: Frames, severity: float) -> list[float]:
    return corrupt(fault, frames, severity).depth[0, 0].tolist()


# --- what holds for every fault


def test_the_order_of_the_tables() -> None:
    assert list(CORRUPTIONS) == list(NO_FAULT) == list(RISING) == list(BAD)
    assert list(MISSING_SENSORS) == ["rgb_missing", "lidar_missing"]


@pytest.mark.parametrize("fault, severity", [*each(RISING), *((fault, None) for fault in MISSING_SENSORS)])
def test_a_fault_changes_one_sensor_and_never_its_input(fault: str, severity: float | None) -> None:
    clean, before = random_frames(), random_frames()
    corrupted = MISSING_SENSORS[fault](clean) if severity is None else corrupt(fault, clean, severity)
    hit, spared = ("rgb", "depth") if fault.startswith("rgb") else ("depth", "rgb")
    assert clean.rgb.equal(before.rgb) and clean.depth.equal(before.depth)
    assert getattr(corrupted, spared) is getattr(clean, spared)  # which spares a net the second look
    changed, original = getattr(corrupted, hit), getattr(before, hit)
    assert not changed.equal(original)
    assert changed.shape == original.shape and changed.dtype == original.dtype


@pytest.mark.parametrize("fault, severity", each(RISING))
def test_alpha_lost_rays_and_ranges_stay(fault: str, severity: float) -> None:
    clean = random_frames()
    corrupted = corrupt(fault, clean, severity)
    assert corrupted.rgb[..., 3].equal(clean.rgb[..., 3])
    assert (corrupted.depth[clean.depth == NO_RETURN] == NO_RETURN).all()
    assert corrupted.depth.min() > 0 and corrupted.depth.max() <= NO_RETURN


@pytest.mark.parametrize("fault, severity", each(NO_FAULT))
def test_no_fault_leaves_every_bit(fault: str, severity: float) -> None:
    corrupted = corrupt(fault, random_frames(), severity)
    assert corrupted.rgb.equal(random_frames().rgb) and corrupted.depth.equal(random_frames().depth)


@pytest.mark.parametrize("fault, severity", each(BAD))
def test_a_severity_without_meaning_is_refused(fault: str, severity: float) -> None:
    with pytest.raises(ValueError, match=f"{fault}: found severity {severity}; expected "):
        corrupt(fault, random_frames(), severity)


@pytest.mark.parametrize("fault", CORRUPTIONS)
def test_the_seed_decides_what_is_drawn(fault: str) -> None:
    draws = [corrupt(fault, random_frames(), RISING[fault][1], seed) for seed in (5, 5, 6)]
    same, other = (a.rgb.equal(b.rgb) and a.depth.equal(b.depth) for a, b in zip(draws, draws[1:], strict=False))
    assert same and other == (fault not in DRAWN)


@pytest.mark.parametrize("fault", DRAWN)
def test_every_pair_draws_its_own(fault: str) -> None:
    twice = Frames(*(torch.cat([sensor, sensor]) for sensor in uniform_frames(128, size=9)))
    corrupted = corrupt(fault, twice, RISING[fault][1])
    assert not (corrupted.rgb[0].equal(corrupted.rgb[1]) and corrupted.depth[0].equal(corrupted.depth[1]))


@pytest.mark.parametrize("fault", CORRUPTIONS)
def test_a_stronger_fault_changes_more_of_simulated_pairs(fault: str, prepared: Path) -> None:
    data = load_arrays(prepared, torch.device("cpu"))
    clean = Frames(data.rgb, data.depth)

    def change(corrupted: Frames) -> float:
        return sum((a.double() - b.double()).abs().mean().item() for a, b in zip(corrupted, clean, strict=True))

    mild, middle, strong = (change(corrupt(fault, clean, severity)) for severity in RISING[fault])
    assert 0 < mild < middle < strong


# --- LiDAR


def test_noise_of_ranges_is_gaussian_and_grows_with_the_severity() -> None:
    noise = corrupt("lidar_noise", uniform_frames(0), 0.5).depth - 25
    assert abs(noise.mean().item()) < 0.02 and noise.std().item() == pytest.approx(0.5, abs=0.015)  # 4 deviations
    assert (noise.abs() < 0.5).float().mean().item() == pytest.approx(0.683, abs=0.02)
    torch.testing.assert_close(corrupt("lidar_noise", uniform_frames(0), 1.0).depth - 25, 2 * noise, rtol=0, atol=1e-5)


def test_a_noisy_return_stays_a_return() -> None:
    corrupted = corrupt("lidar_noise", uniform_frames(0), 1000.0).depth
    assert corrupted.min() == torch.finfo(torch.float32).tiny
    assert corrupted.max() == np.nextafter(np.float32(NO_RETURN), np.float32(0))


def test_dropout_loses_its_share_and_a_higher_one_the_same_rays_and_more() -> None:
    few, many = (corrupt("lidar_dropout", uniform_frames(0), share).depth == NO_RETURN for share in (0.3, 0.6))
    assert few.float().mean().item() == pytest.approx(0.3, abs=0.02)  # 4 deviations
    assert many.float().mean().item() == pytest.approx(0.6, abs=0.02) and many[few].all()
    rows, columns = few.float().mean(2), few.float().mean(1)
    assert 0 < rows.min() and rows.max() < 1 and 0 < columns.min() and columns.max() < 1  # rays, not lines
    assert (corrupt("lidar_dropout", uniform_frames(0), 0.3).depth[~few] == 25).all()
    assert (corrupt("lidar_dropout", uniform_frames(0), 1).depth == NO_RETURN).all()


@pytest.mark.parametrize(
    "step, left",
    [
        (2, [50, 11, 50, 13, 50, 15, 50]),
        (3, [50, 11, 50, 50, 14, 50, 50]),
        (4.0, [50, 50, 12, 50, 50, 50, 16]),
        (9, [50, 50, 50, 50, 14, 50, 50]),
        (20, [50, 50, 50, 50, 50, 50, 50]),
    ],
)
def test_beams_left(step: float, left: list[float]) -> None:
    assert ranges_of("lidar_beams", depth_row(10, 11, 12, 13, 14, 15, 16), step) == left


def test_a_beam_is_a_column() -> None:
    corrupted = corrupt("lidar_beams", uniform_frames(0, size=4), 2).depth[0]
    assert corrupted.tolist() == [[50, 25, 50, 25]] * 4


def test_returns_beyond_the_range_are_lost() -> None:
    assert ranges_of("lidar_range", depth_row(10, 20, 20.5, 49, 50), 20) == [10, 20, 50, 50, 50]
    assert ranges_of("lidar_range", depth_row(10, 20), 0) == [50, 50]


def test_a_missing_lidar_has_no_returns() -> None:
    assert MISSING_SENSORS["lidar_missing"](depth_row(10, 20, 50)).depth.tolist() == [[[50, 50, 50]]]


# --- RGB


def test_darkness_literal() -> None:
    assert colour_of("rgb_dark", rgb_pixel(255, 101, 7), 0.25) == [64, 25, 2]  # 63.75, 25.25, 1.75
    assert colour_of("rgb_dark", rgb_pixel(255, 101, 7), 0) == [0, 0, 0]


def test_noise_of_colours_is_gaussian_and_the_channels_do_not_share_it() -> None:
    noise = corrupt("rgb_noise", uniform_frames(128), 0.1).rgb[0, ..., :3].double() - 128  # (H, W, 3)
    red, green, blue = noise.reshape(-1, 3).T
    for channel in (red, green, blue):
        assert abs(channel.mean().item()) < 1 and channel.std().item() == pytest.approx(25.5, abs=0.8)  # 4 deviations
        assert (channel.abs() < 25.5).double().mean().item() == pytest.approx(0.683, abs=0.02)
    mixed = torch.corrcoef(noise.reshape(-1, 3).T) - torch.eye(3)
    assert mixed.abs().max() < 0.05


def test_noisy_colours_are_rounded_and_end_at_black_and_white() -> None:
    assert corrupt("rgb_noise", uniform_frames(128), 1e-4).rgb.eq(128).all()  # at most 0.1 levels: none is reached
    black, white = (corrupt("rgb_noise", uniform_frames(level), 0.1).rgb[..., :3] for level in (0, 255))
    assert black.eq(0).double().mean() > 0.4 and black.max() < 160  # half would be below 0
    assert white.eq(255).double().mean() > 0.4 and white.min() > 95


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.1, 2.3, 6, 40])
def test_blur_is_scipys(sigma: float) -> None:
    clean, radius = random_frames(), math.ceil(3 * sigma)
    expected = np.stack([
        gaussian_filter(clean.rgb[frame, ..., channel].double(), sigma, radius=radius, mode="nearest")
        for frame in range(2) for channel in range(3)
    ])  # fmt: skip
    corrupted = corrupt("rgb_blur", clean, sigma).rgb[..., :3].permute(0, 3, 1, 2).flatten(0, 1)  # (2 * 3, H, W)
    np.testing.assert_array_equal(corrupted, expected.round())


def test_a_blurred_point_literal() -> None:
    rgb = torch.zeros(1, 5, 7, 4, dtype=torch.uint8)
    rgb[0, 2, 3, 0] = 255
    corrupted = corrupt("rgb_blur", Frames(rgb, torch.full((1, 5, 7), NO_RETURN)), 1).rgb[0]
    assert corrupted[..., 0].tolist() == [
        [0, 1, 3, 5, 3, 1, 0],
        [0, 3, 15, 25, 15, 3, 0],
        [0, 5, 25, 41, 25, 5, 0],
        [0, 3, 15, 25, 15, 3, 0],
        [0, 1, 3, 5, 3, 1, 0],
    ]
    assert corrupted[..., 1:].eq(0).all()


def test_an_even_picture_stays_even_up_to_its_edge() -> None:
    assert corrupt("rgb_blur", uniform_frames(200, size=9), 2).rgb.eq(200).all()


@pytest.mark.parametrize(
    "degrees, colour, turned",
    [
        (120, (255, 0, 0), [0, 255, 0]),
        (120, (0, 255, 0), [0, 0, 255]),
        (120, (10, 20, 30), [30, 10, 20]),
        (-120, (10, 20, 30), [20, 30, 10]),
        (240, (255, 0, 0), [0, 0, 255]),
        (60, (255, 0, 0), [170, 170, 0]),  # blue would be -85
        (180, (255, 0, 0), [0, 170, 170]),
        (180, (255, 255, 0), [85, 85, 255]),  # blue would be 340
        (77, (90, 90, 90), [90, 90, 90]),
    ],
)
def test_hue_turns_around_the_grey_axis(degrees: float, colour: tuple[int, ...], turned: list[int]) -> None:
    assert colour_of("rgb_colour", rgb_pixel(*colour), degrees) == turned


def test_a_missing_picture_is_all_zeros() -> None:
    assert MISSING_SENSORS["rgb_missing"](rgb_pixel(1, 2, 3)).rgb.tolist() == [[[[0, 0, 0, 0]]]]
