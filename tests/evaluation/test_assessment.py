"""The course's marks, literally."""

import torch

from pipeline.evaluation.assessment import assess, summarize_assessments

TURNS = torch.tensor([0.0, 1.0] * 100)  # cube, sphere, cube, ...
RIGHT = TURNS * 2 - 1  # logits


def test_an_untrained_net_has_the_points_of_the_loss_and_no_others():
    marks = assess(3.4657, torch.full((200,), -0.1), TURNS)  # ln 32, and every pair called a cube
    assert marks.accuracies == [0.5] * 5 and marks.points == 5


def test_a_perfect_chain_has_ten():
    assert assess(3.0, RIGHT, TURNS).points == 10


def test_a_batch_counts_only_above_the_mark_and_only_the_first_160_pairs_count():
    logits = RIGHT.clone()
    logits[:2] *= -1  # 30 of 32 right: 0.9375
    logits[32:33] *= -1  # 31 of 32: 0.96875
    logits[160:] *= -1  # beyond the fifth batch
    marks = assess(3.5, logits, TURNS)  # the loss has to lie below
    assert marks.accuracies == [0.9375, 0.96875, 1.0, 1.0, 1.0] and marks.points == 4


def test_fewer_pairs_are_cut_into_fifths():
    assert assess(3.0, RIGHT[:20], TURNS[:20]).points == 10
    assert assess(3.0, RIGHT[:16], TURNS[:16]).points == 10  # fifths of 4, 3, 3, 3 and 3


def test_table_lists_the_seeds():
    seeds = [assess(3.0, RIGHT, TURNS), assess(3.2, -RIGHT, TURNS)]
    assert summarize_assessments({"chain": seeds}) == {
        "chain": {"loss": 3.1, "batches_above": [5, 0], "points": [10, 5], "passed": 1},
    }
