"""DCI on a fixed labelled sample. See `dci` and `labelled_points`."""

from __future__ import annotations

from numpy.random import RandomState

from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.labelled_points import draw_labelled_points, split_arrays, split_points
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.dci import DciResult, dci
from disentanglement.specs.metrics import DciValidation


def evaluate(spec: DciValidation, representation: Representation, seed: int, progress: Progress) -> DciResult:
    """Trained on the first part of the sample, tested on the rest."""
    points = draw_labelled_points(representation, spec.num_labelled_samples, spec.labeller, seed)
    parts = split_points(points, spec.train_percentage)
    return dci(*parts, random_state=RandomState(seed), progress=progress)


def score(spec: DciValidation, arrays: OwnArrays, seed: int, progress: Progress) -> DciResult:
    """Of the given points, whose factors are taken as the labels."""
    parts = split_arrays(arrays, spec.train_percentage)
    return dci(*parts, random_state=RandomState(seed), progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
