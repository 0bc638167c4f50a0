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
from pipeline.evaluation.scores import score_chain, score_classifier, score_course, score_lidar
from pipeline.metrics.classification import Metrics
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.transfer.chain import Chain, build_untrained_chain, load_chain, load_classifier, read_descriptions
from pipeline.transfer.tuning import TUNINGS

Scores = dict[str, Metrics]  # of one seed, by run; `classify` is the zero-shot classifier


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    trained_stages = ["lidar", "cilp", "project", *(f"classify/{tuning}" for tuning in TUNINGS)]
    assert_precision(trained_stages, device)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    seeds, batch_size = params.seeds, params.cilp.batch_size
    nets = {stage: about["net"] for stage, about in read_descriptions(seeds[0]).items()}
    bar = tqdm(total=len(seeds), desc="evaluate", unit="seed", disable=None)

    def score_trained(seed: int) -> tuple[Scores, dict[str, Assessment]]:
        """Score every checkpoint of a seed."""
        chain = load_chain(seed, device)
        scores: Scores = score_chain(chain, data, batch_size)
        loss = scores["cilp"]["course_loss"]
        marks = {"zero-shot": score_course(loss, chain.classifier(), data)}
        for tuning in TUNINGS:
            tuned = load_classifier(tuning, seed, device)
            scores[f"classify/{tuning}"] = scores["classify"] | score_classifier(tuned, data)
            marks[tuning] = score_course(loss, tuned, data)
        bar.update()
        return scores, marks

    def score_untrained(seed: int) -> tuple[Scores, dict[str, Assessment]]:
        """Score untrained nets. Of the chain, the LiDAR net is the trained one: the course provides it."""
        untrained = build_untrained_chain(nets, seed, device)
        chain = untrained._replace(lidar=load_chain(seed, device).lidar)
        scores: Scores = score_chain(chain, data, batch_size) | {"lidar": score_lidar(untrained.lidar, data)}
        return scores, {"untrained": score_course(scores["cilp"]["course_loss"], chain.classifier(), data)}

    with bar:
        trained, marks = zip(*map_seeds(score_trained, seeds, device), strict=True)
        untrained, untrained_marks = zip(*map_seeds(score_untrained, seeds, device), strict=True)
    runs = [name for name in trained[0] if name != "classify"]
    metrics = {name: aggregate_seeds([scores[name] for scores in trained]) for name in runs}
    for name in runs:
        assert_reproduced(name, metrics[name], TOLERANCE[device.type])
    assessments = {name: [each[name] for each in untrained_marks] for name in untrained_marks[0]}
    assessments |= {name: [each[name] for each in marks] for name in marks[0]}
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
