"""SAP on a fixed labelled sample. See `sap_score` and `labelled_points`."""

from __future__ import annotations

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.labelled_points import draw_labelled_points, split_arrays, split_points
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.sap_score import SapResult, sap_score_continuous, sap_score_discrete
from disentanglement.specs.metrics import SapScoreValidation


def evaluate(spec: SapScoreValidation, representation: Representation, seed: int, progress: Progress) -> SapResult:
    """Trained on the first part of the sample, tested on the rest."""
    points = draw_labelled_points(representation, spec.num_labelled_samples, spec.labeller, seed)
    return _of_parts(spec, *split_points(points, spec.train_percentage), progress)


def score(spec: SapScoreValidation, arrays: OwnArrays, seed: int, progress: Progress) -> SapResult:
    """Of the given points, whose factors are taken as the labels."""
    return _of_parts(spec, *split_arrays(arrays, spec.train_percentage), progress)


def _of_parts(spec: SapScoreValidation, train: Points, test: Points, progress: Progress) -> SapResult:
    """Continuous factors are correlated in the part that trains alone, as in the reference."""
    if spec.continuous_factors:
        return sap_score_continuous(train.codes_ND, train.factors_NK)
    return sap_score_discrete(train, test, progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
