"""Logistic regression whose penalty is chosen by cross-validation, as in the reference.

Shapes: N points, D codes, C classes (1 row of weights where there are two), S strengths, F folds.

The reference's is scikit-learn's `LogisticRegressionCV(Cs=10, cv=KFold(n_splits=5))`: ten strengths, each fold's fit
starts from that of the strength before; the strength of the best mean accuracy, the lowest of equals, is fitted to all
points from the mean over the folds. Its L-BFGS stops after 100 steps, and on codes that depend on each other that is
far from the optimum: there the optimum's accuracies are up to 0.3 above those recorded. So here the same steps are
taken, from the same starts, by the same SciPy routine, until the same stop; only the loss is computed by code of our
own, and two folds at a time. Accuracies differ where rounding, over 100 steps, moves a point across a border.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, check_finite
from disentanglement.metrics.classifiers.log_loss import Blocks, Floats, penalised_loss
from disentanglement.metrics.progress import Progress, silent

Labels = NDArray[np.int64]

NUM_FOLDS = 5
STRENGTHS = np.logspace(-4, 4, 10)
"""scikit-learn's C: the larger, the weaker the penalty."""
MOST_STEPS = 100
LARGEST_GRADIENT = 1e-4
LEAST_DECREASE = 64 * np.finfo(np.float64).eps
MOST_TRIALS = 50
"""Of one step's length."""
NUM_THREADS = 2
"""No number depends on it."""


@dataclass(frozen=True, slots=True)
class LogisticRegressionCv:
    """A fitted classifier."""

    labels: Labels
    """The classes, rising."""
    weights_CP: Floats
    """A row for each class, or one row for the second of two; the intercept last."""
    strength: float
    train_codes_ND: Codes

    def predict(self, codes_ND: Codes) -> Labels:
        """The label [N] of each point."""
        labels_N: Labels = self.labels[_decide(self.weights_CP, codes_ND)]
        return labels_N

    def predict_training_points(self) -> Labels:
        """As `predict` of the codes it was fitted to."""
        return self.predict(self.train_codes_ND)


def fit_logistic_regression_cv(
    codes_ND: Codes, labels_N: Labels, *, num_threads: int = NUM_THREADS, progress: Progress = silent
) -> LogisticRegressionCv:
    """Labels from codes. No number depends on `num_threads`.

    Raises MetricUndefined for a single label, for fewer points than folds and for codes that are not finite.
    """
    check_finite(codes_ND)
    labels, inverse_N = np.unique(labels_N, return_inverse=True)
    if len(labels) < 2:
        raise MetricUndefined(f"logistic regression needs labels that differ; all are {labels[0]}")
    if len(labels_N) < NUM_FOLDS:
        wanted = f"logistic regression with {NUM_FOLDS} folds needs as many points"
        raise MetricUndefined(f"{wanted}; there are {len(labels_N)}")
    class_N, num_rows = inverse_N.astype(np.int32), 1 if len(labels) == 2 else len(labels)
    codes_ND = codes_ND.astype(np.float64)
    path_FSW, accuracy_FS = _cross_validate(codes_ND, class_N, num_rows, num_threads, progress)
    best = int(np.argmax(accuracy_FS.sum(axis=0)))
    whole = Blocks.of(codes_ND, class_N)
    weights_W = _minimise(whole, num_rows, float(STRENGTHS[best]), path_FSW[:, best].mean(axis=0))
    progress(1.0)
    return LogisticRegressionCv(labels, _rows(weights_W, num_rows), float(STRENGTHS[best]), codes_ND)


def _cross_validate(
    codes_ND: Codes, class_N: NDArray[np.int32], num_rows: int, num_threads: int, progress: Progress
) -> tuple[Floats, Floats]:
    """Flat weights of every fold and strength, and the accuracy on the points that the fold leaves out."""
    fold_N = np.sort(np.arange(len(class_N)) % NUM_FOLDS)  # in order, the first folds one point larger

    def follow(fold: int) -> tuple[Floats, Floats]:
        kept_N = fold_N != fold
        path_SW = _path(Blocks.of(codes_ND[kept_N], class_N[kept_N]), num_rows)
        held_out, truth_N = codes_ND[~kept_N], class_N[~kept_N]
        accuracies = [np.mean(_decide(_rows(weights_W, num_rows), held_out) == truth_N) for weights_W in path_SW]
        return path_SW, np.array(accuracies)

    paths, accuracies = [], []
    with ThreadPoolExecutor(num_threads) as pool:
        for done, (path_SW, accuracy_S) in enumerate(pool.map(follow, range(NUM_FOLDS)), start=1):
            paths.append(path_SW)
            accuracies.append(accuracy_S)
            progress(done / (NUM_FOLDS + 1))
    return np.stack(paths), np.stack(accuracies)


def _path(blocks: Blocks, num_rows: int) -> Floats:
    """Flat weights for each strength, each from those before it, the first from 0."""
    weights_W = np.zeros(blocks.inputs_XPB.shape[1] * num_rows)
    path = []
    for strength in STRENGTHS:
        weights_W = _minimise(blocks, num_rows, float(strength), weights_W)
        path.append(weights_W)
    return np.stack(path)


def _minimise(blocks: Blocks, num_rows: int, strength: float, start_W: Floats) -> Floats:
    from scipy.optimize import minimize

    found = minimize(
        penalised_loss,
        start_W,
        args=(blocks, num_rows, 1.0 / (strength * blocks.num_points)),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": MOST_STEPS, "maxls": MOST_TRIALS, "gtol": LARGEST_GRADIENT, "ftol": LEAST_DECREASE},
    )
    weights_W: Floats = found.x
    return weights_W


def _rows(weights_W: Floats, num_rows: int) -> Floats:
    return weights_W.reshape(-1, num_rows).T


def _decide(weights_CP: Floats, codes_ND: Codes) -> Labels:
    """The class [N], counted from 0, of the largest logit, the first of equals; of two, the second above 0."""
    logits_NC = codes_ND @ weights_CP[:, :-1].T + weights_CP[:, -1]
    is_one_row = len(weights_CP) == 1
    decided_N: Labels = (logits_NC[:, 0] > 0).astype(np.int64) if is_one_row else logits_NC.argmax(axis=1)
    return decided_N
