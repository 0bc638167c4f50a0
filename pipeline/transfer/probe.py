"""A linear probe: a linear classifier on a frozen embedding."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from pipeline.data.arrays import Examples
from pipeline.metrics.classification import Metrics, classification_metrics


def probe_metrics(train: Examples, test: Examples) -> Metrics:
    """Fit a logistic regression to embeddings (N, D) and labels (N,), and return its metrics on `test`.

    The fit goes to the optimum, in double precision: what an early stop finds depends on how a library adds.
    """
    linear = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=10_000))
    linear.fit(_numpy(train.inputs), _numpy(train.targets))
    logits = linear.decision_function(_numpy(test.inputs))
    return classification_metrics(torch.from_numpy(logits).float(), test.targets)


def _numpy(values: Tensor) -> np.ndarray:
    return values.cpu().double().numpy()
