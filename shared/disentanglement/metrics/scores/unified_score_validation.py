"""Unified scores on a fixed labelled sample, without the ranks at which factors merge. See `unified_scores`."""

from __future__ import annotations

from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.labelled_points import draw_labelled_points, split_arrays, split_points
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.unified_scores import UnifiedScoresResult, of_parts
from disentanglement.specs.metrics import UnifiedScoreValidation


def evaluate(
    spec: UnifiedScoreValidation, representation: Representation, seed: int, progress: Progress
) -> UnifiedScoresResult:
    """Trained on the first part of the sample, tested on the rest."""
    points = draw_labelled_points(representation, spec.num_labelled_samples, spec.labeller, seed)
    return of_parts(spec, *split_points(points, spec.train_percentage), seed, progress)


def score(spec: UnifiedScoreValidation, arrays: OwnArrays, seed: int, progress: Progress) -> UnifiedScoresResult:
    """Of the given points, whose factors are taken as the labels."""
    return of_parts(spec, *split_arrays(arrays, spec.train_percentage), seed, progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
