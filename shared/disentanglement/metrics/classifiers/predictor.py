"""The classifiers that predict factors from codes, by the words of their specs. Shapes: N points, D codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.progress import Progress
from disentanglement.specs.base import Plugin
from disentanglement.specs.metrics import PredictorSpec
from disentanglement.specs.sources import make

Labels = NDArray[np.int64]

FIELD = "predictor.plugin"


class Predictor(Protocol):
    """A fitted classifier."""

    def predict(self, codes_ND: Codes) -> Labels:
        """The label [N] of each point, one of those that it was fitted to."""
        ...

    def predict_training_points(self) -> Labels:
        """As `predict` of the codes it was fitted to."""
        ...


Fit = Callable[[Labels, Progress], Predictor]
"""Fits a classifier of these labels to codes that it was prepared for; labels are at least two."""


def prepare(spec: PredictorSpec, codes_ND: Codes, random_state: RandomState) -> Fit:
    """What fits one classifier after another to the same codes: what they have in common is computed once.

    `random_state` is drawn from as the reference draws from NumPy's global generator: by trees, for each fit.
    """
    if spec.plugin is not None:
        return _own(spec.plugin, codes_ND)
    return PREDICTORS[spec.word](codes_ND, random_state)


def _exact_trees(codes_ND: Codes, random_state: RandomState) -> Fit:
    from disentanglement.metrics.classifiers.boosted_trees import fit_boosted_trees, sort_codes  # a second to load

    codes = sort_codes(codes_ND)
    return lambda labels_N, progress: fit_boosted_trees(codes, labels_N, random_state=random_state, progress=progress)


def _histogram_trees(codes_ND: Codes, random_state: RandomState) -> Fit:
    from disentanglement.metrics.classifiers.histogram_trees import fit_histogram_trees

    return lambda labels_N, progress: fit_histogram_trees(codes_ND, labels_N, random_state, progress)


def _logistic_regression(codes_ND: Codes, random_state: RandomState) -> Fit:
    from disentanglement.metrics.classifiers.logistic_regression_cv import fit_logistic_regression_cv

    return lambda labels_N, progress: fit_logistic_regression_cv(codes_ND, labels_N, progress=progress)


PREDICTORS: dict[str, Callable[[Codes, RandomState], Fit]] = {
    "gradient_boosting_classifier": _exact_trees,
    "histogram_gradient_boosting_classifier": _histogram_trees,
    "logistic_regression_cv": _logistic_regression,
}
"""Those that are built, by the word of the spec."""


class OwnPredictor(Protocol):
    """What a plugin makes, anew for each fit: a classifier as scikit-learn's are."""

    def fit(self, codes_ND: Codes, labels_N: Labels) -> object:
        """Learns labels from codes."""
        ...

    def predict(self, codes_ND: Codes) -> Labels:
        """The label of each point."""
        ...


class _Fitted:
    def __init__(self, predictor: OwnPredictor, codes_ND: Codes) -> None:
        self.predict = predictor.predict
        self._codes_ND = codes_ND

    def predict_training_points(self) -> Labels:
        return self.predict(self._codes_ND)


def _own(plugin: Plugin, codes_ND: Codes) -> Fit:
    def fit(labels_N: Labels, progress: Progress) -> Predictor:
        predictor: OwnPredictor = make(plugin, FIELD, OwnPredictor)  # type: ignore[type-abstract]
        predictor.fit(codes_ND, labels_N)
        progress(1.0)
        return _Fitted(predictor, codes_ND)

    return fit
