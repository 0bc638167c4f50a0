"""Which pairs a run shows, and how many points of each."""

import numpy as np
import torch

from pipeline.data.arrays import load_arrays
from pipeline.tracking.media import MAX_PAIRS, MAX_POINTS, cut_predictions, most_informative, thin_cloud


def test_confident_errors_come_first_then_correct_predictions_of_little_confidence():
    logit = np.array([4.0, -0.5, 2.0, -3.0, 0.1, -6.0])
    label = np.array([1, 1, 0, 1, 1, 0])  # wrong: 1, 2, 3
    assert most_informative(logit, label, 6).tolist() == [3, 2, 1, 4, 0, 5]
    assert most_informative(logit, label, 2).tolist() == [3, 2]


def test_a_large_cloud_is_thinned_evenly():
    depth = np.linspace(1, 40, 64 * 64).reshape(64, 64)
    points = thin_cloud(depth, np.ones((3, 64, 64)))
    assert points.shape == (MAX_POINTS, 6) and points[0, 0] == 1 and points[-1, 0] == 40
    assert np.diff(points[:, 0]).std() < 0.02


def test_a_frame_without_returns_has_no_points():
    assert thin_cloud(np.full((4, 4), 50.0), np.ones((3, 4, 4))).shape == (0, 6)


def test_predictions_hold_the_first_seed_and_count_all(prepared):
    data = load_arrays(prepared, torch.device("cpu"))
    rows = data.all_rows
    right = data.label[rows] * 8 - 4
    right[3] *= -1
    predictions = cut_predictions([right, torch.ones(len(rows))], data, rows)
    assert predictions.row[0] == 3 and len(predictions.row) == min(MAX_PAIRS, len(rows))
    cubes, spheres = int((data.label == 0).sum()), int((data.label == 1).sum())
    wrong = int(data.label[3])
    expected = np.array([[cubes, cubes], [0, 2 * spheres]])
    expected[wrong, wrong] -= 1
    expected[wrong, 1 - wrong] += 1
    assert predictions.counts.tolist() == expected.tolist()
    assert (predictions.rgb[0] == data.rgb[3].numpy()).all() and (predictions.depth[0] == data.depth[3].numpy()).all()
