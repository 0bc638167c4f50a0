"""Recompute the chain's test metrics from the checkpoints; refuse any that differs from its stage's: runs/evaluate/."""

from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.device import map_seeds, precision_name, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import load_arrays
from pipeline.evaluation.assessment import Assessment, summarize_assessments
from pipeline.evaluation.reproduce import TOLERANCE, assert_precision, assert_reproduced
from pipeline.evaluation.scores import rgb_logits, score_chain, score_course, score_lidar, score_logits
from pipeline.metrics.classification import Metrics
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.transfer.chain import Chain, build_untrained_chain, load_chain, load_classifier, read_descriptions
from pipeline.transfer.scores import lidar_features
from pipeline.transfer.tuning import TUNINGS

Scores = dict[str, Metrics]  # of one seed, by run; `classify` is the zero-shot classifier
Marks = dict[str, Assessment]  # of one seed, by classifier


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    runs = ["lidar", "cilp", "project", *(f"classify/{tuning}" for tuning in TUNINGS)]
    assert_precision(runs, device)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    seeds, batch_size = params.seeds, params.cilp.batch_size
    nets = {stage: about["net"] for stage, about in read_descriptions(seeds[0]).items()}
    bar = tqdm(total=len(seeds), desc="evaluate", unit="seed", disable=None)

    def score_seed(seed: int) -> tuple[Scores, Scores, Marks]:
        """Score every checkpoint of a seed, and untrained nets; return the scores of both and all marks.

        Of the untrained chain, the LiDAR net is the trained one: the course provides it.
        """
        chain, untrained = load_chain(seed, device), build_untrained_chain(nets, seed, device)
        targets = lidar_features(chain.lidar, data)
        scores, zero_shot = score_chain(chain, targets, data, batch_size)
        baseline, untrained_marks = score_chain(untrained._replace(lidar=chain.lidar), targets, data, batch_size)
        scores["lidar"], baseline["lidar"] = score_lidar(chain.lidar, data), score_lidar(untrained.lidar, data)
        marks = {"untrained": untrained_marks, "zero-shot": zero_shot}
        for tuning in TUNINGS:
            logits = rgb_logits(load_classifier(tuning, seed, device), data)
            scores[f"classify/{tuning}"] = scores["classify"] | score_logits(logits, data)
            marks[tuning] = score_course(scores["cilp"]["course_loss"], logits, data)
        bar.update()
        return scores, baseline, marks

    with bar:
        trained, untrained, marks = zip(*map_seeds(score_seed, seeds, device), strict=True)
    metrics = {name: aggregate_seeds([scores[name] for scores in trained]) for name in runs}
    for name in runs:
        assert_reproduced(name, metrics[name], TOLERANCE[device.type])
    assessments = {name: [each[name] for each in marks] for name in marks[0]}
    classifiers = [name for name in runs if "accuracy" in trained[0][name]]
    result = {
        "precision": precision_name(device),
        "trained": metrics,
        "untrained": {
            part: aggregate_seeds([scores[part] for scores in untrained]) for part in (*Chain._fields, "classify")
        },
        "assessment": summarize_assessments(assessments),
        "accuracies": {name: [scores[name]["accuracy"] for scores in trained] for name in classifiers},
    }
    write_json(run_folder("evaluate") / "metrics.json", result)
    print(f"evaluate: {len(runs) * len(seeds)} checkpoints give the figures of their stages")


if __name__ == "__main__":
    run_command(main)
