"""MIG on a fixed labelled sample, all of it. See `mig` and `labelled_points`."""

from __future__ import annotations

from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.labelled_points import draw_labelled_points
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.mig import MigResult, mig
from disentanglement.specs.metrics import MigValidation


def evaluate(spec: MigValidation, representation: Representation, seed: int, progress: Progress) -> MigResult:
    """MIG of the sample."""
    points = draw_labelled_points(representation, spec.num_labelled_samples, spec.labeller, seed)
    return mig(points.codes_ND, points.factors_NK, num_bins=spec.num_bins)


def score(spec: MigValidation, arrays: OwnArrays, seed: int, progress: Progress) -> MigResult:
    """MIG of the given points, whose factors are taken as the labels."""
    return mig(arrays.given.codes_ND, arrays.given.factors_NK, num_bins=spec.num_bins)


METRIC = Metric(Needs.POINTS, evaluate, score)
