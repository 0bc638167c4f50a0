"""Simulate nets without any difference, and count the families of comparisons in which a test finds one by mistake.

    python -m benchmarks.significance

Ten nets are compared with an eleventh on 200 scenes. All have the same expected score. A score is the share of two
pairs that a net classifies correctly. Its log-odds are a constant plus normal effects of the scene, of the net's
weaknesses among scenes, and of the seed of the net's training.
"""

import numpy as np

from pipeline.core.errors import run_command
from pipeline.metrics.seeds import CONFIDENCE
from pipeline.report.significance import LEVELLED, compare_to_reference

NETS, SCENES, PAIRS = 11, 200, 2
LOG_ODDS = 3.5  # before the effects: accuracies lie near 0.93
SCENE_SD, NET_SCENE_SD = 1.5, 0.5  # in log-odds
SIMILAR_SD, DIFFERENT_SD = 0.1, 1.0  # of the effect of a seed, in log-odds
CASES = ((3, SIMILAR_SD), (3, DIFFERENT_SD), (5, SIMILAR_SD), (5, DIFFERENT_SD))


def draw_scores(rng: np.random.Generator, seeds: int, seed_sd: float) -> np.ndarray:
    """Draw the scores of equally good nets: (NETS, seeds, SCENES), between 0 and 1."""
    scene = rng.normal(0, SCENE_SD, (1, 1, SCENES))
    net_scene = rng.normal(0, NET_SCENE_SD, (NETS, 1, SCENES))
    seed = rng.normal(0, seed_sd, (NETS, seeds, 1))
    probability = 1 / (1 + np.exp(-(LOG_ODDS + scene + net_scene + seed)))
    return rng.binomial(PAIRS, probability) / PAIRS


def false_findings(families: int, seeds: int, seed_sd: float) -> tuple[float, float]:
    """Return the shares of families with a false finding, with Holm's correction and without."""
    rng = np.random.default_rng(0)
    corrected = uncorrected = 0
    for _ in range(families):
        scores = {str(net): score for net, score in enumerate(draw_scores(rng, seeds, seed_sd))}
        verdicts = compare_to_reference(scores, "0").values()
        corrected += any(verdict.outcome != LEVELLED for verdict in verdicts)
        uncorrected += any((verdict.difference.p or 0.0) < 1 - CONFIDENCE for verdict in verdicts)
    return corrected / families, uncorrected / families


def main(families: int = 10_000) -> None:
    """Print the false findings in 100 families by number of seeds and by how much seeds differ."""
    print("| seeds | standard deviation over seeds, log-odds | false findings in 100 | without correction |")
    print("|---|---|---|---|")
    for seeds, seed_sd in CASES:
        corrected, uncorrected = false_findings(families, seeds, seed_sd)
        print(f"| {seeds} | {seed_sd} | {100 * corrected:.1f} | {100 * uncorrected:.1f} |")


if __name__ == "__main__":
    run_command(main)
