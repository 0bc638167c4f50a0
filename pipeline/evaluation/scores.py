"""Every metric of the test split from the nets themselves, as `evaluate` computes them."""

from torch import Tensor

from pipeline.data.arrays import Arrays, Batches
from pipeline.evaluation.assessment import Assessment, assess
from pipeline.metrics.classification import Metrics, add_prefix, classification_metrics
from pipeline.metrics.inference import input_logits, lidar_logits
from pipeline.models.cilp import CrossModalClassifier, LidarClassifier
from pipeline.transfer.chain import Chain
from pipeline.transfer.scores import cilp_metrics, projector_examples, projector_metrics


def score_lidar(model: LidarClassifier, data: Arrays) -> Metrics:
    """Return the test metrics of a LiDAR classifier."""
    return _test_metrics(lidar_logits(model, Batches(data.with_depth, data.splits["test"])), data)


def score_classifier(model: CrossModalClassifier, data: Arrays) -> Metrics:
    """Return the test metrics of an RGB classifier."""
    return _test_metrics(input_logits(model, Batches(data.with_label, data.splits["test"])), data)


def score_chain(chain: Chain, data: Arrays, batch_size: int) -> dict[str, Metrics]:
    """Return the test metrics of every net of a chain, by stage; `batch_size` is that of the contrastive loss."""
    examples = projector_examples(chain.lidar, chain.cilp, Batches(data.with_depth, data.all_rows))
    train_mean = examples.targets[data.splits["train"]].mean(dim=0).cpu()
    return {
        "lidar": score_lidar(chain.lidar, data),
        "cilp": cilp_metrics(chain.cilp, Batches(data.with_depth, data.scene_pairs("test")), batch_size),
        "project": projector_metrics(chain.project, Batches(examples.rows, data.splits["test"]), train_mean),
        "classify": add_prefix("zero_shot", score_classifier(chain.classifier(), data)),
    }


def score_course(loss: float, model: CrossModalClassifier, data: Arrays) -> Assessment:
    """Assess a contrastive loss and an RGB classifier by the course's marks, on cubes and spheres in turn."""
    batches = Batches(data.with_label, data.scene_pairs("test"))
    return assess(loss, input_logits(model, batches), data.label[batches.rows])


def _test_metrics(logits: Tensor, data: Arrays) -> Metrics:
    return classification_metrics(logits, data.label[data.splits["test"]])
