"""Downstream accuracy: how well classifiers predict factors from codes, for several training sizes.

Locatello et al., 2019, arXiv:1811.12359, section 5.5. Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np
from numpy.random import RandomState

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers import Accuracies, accuracies, check_predictable
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.specs.metrics import BOOSTED_TREES, DownstreamTask, PredictorSpec, ReducedDownstreamTask

Split = tuple[Points, Points]
"""Training and test points."""


@dataclass(frozen=True, slots=True)
class DownstreamTaskResult:
    """Accuracies by the number of training points."""

    by_size: Mapping[int, Accuracies]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys, which start with the training size."""
        scores: dict[str, float] = {}
        for size, of_size in self.by_size.items():
            for split, accuracy_K in (("train", of_size.train_K), ("test", of_size.test_K)):
                scores[f"{size}:mean_{split}_accuracy"] = float(accuracy_K.mean())
                scores[f"{size}:min_{split}_accuracy"] = float(accuracy_K.min())
                for factor, accuracy in enumerate(accuracy_K):
                    scores[f"{size}:{split}_accuracy_factor_{factor}"] = float(accuracy)
        return scores


def downstream_task(
    splits: Iterable[Split],
    *,
    random_state: RandomState,
    predictor: PredictorSpec = BOOSTED_TREES,
    parts: Sequence[Progress] | None = None,
) -> DownstreamTaskResult:
    """Accuracies on each split; `parts` are the progress of each.

    `random_state` is drawn from by boosted trees, size after size and factor after factor. Raises MetricUndefined
    for a factor that has a single value among the training points (the reference fails), naming both.
    """
    by_size = {}
    for (train, test), part in zip(splits, parts or repeat(silent), strict=False):
        check_predictable(train, test, "downstream_task")
        by_size[len(train)] = accuracies(predictor, train, test, random_state=random_state, progress=part)
    return DownstreamTaskResult(by_size)


def drawn_splits(
    spec: DownstreamTask | ReducedDownstreamTask, representation: Representation, seed: int
) -> Iterator[Split]:
    """For each training size fresh points, and as many fresh test points for all."""
    rs = RandomState(seed)
    for num_train in spec.num_train:
        train = sample_points(representation, num_train, rs, spec.batch_size)
        yield train, sample_points(representation, spec.num_test, rs, spec.batch_size)


def own_splits(sizes: Sequence[int], arrays: OwnArrays, seed: int) -> list[Split]:
    """For each training size the first so many points. A size beyond all points is all points, once."""
    train, test = arrays.split(seed)
    fitting = dict.fromkeys(min(size, len(train)) for size in sizes)
    return [(train.rows(np.arange(size)), test) for size in fitting]


def parts_of(sizes: Sequence[int], progress: Progress) -> list[Progress]:
    """The progress of each training size, which costs as much as it has points."""
    end = np.cumsum(sizes) / np.sum(sizes)
    return [part_of(progress, *part) for part in pairwise([0.0, *end.tolist()])]


def evaluate(
    spec: DownstreamTask, representation: Representation, seed: int, progress: Progress
) -> DownstreamTaskResult:
    """Trained on fresh points of every size, tested on `num_test` more."""
    return downstream_task(
        drawn_splits(spec, representation, seed),
        random_state=RandomState(seed),
        predictor=spec.predictor,
        parts=parts_of(spec.num_train, progress),
    )


def score(spec: DownstreamTask, arrays: OwnArrays, seed: int, progress: Progress) -> DownstreamTaskResult:
    """Trained on the first points of every size, tested on all test points."""
    splits = own_splits(spec.num_train, arrays, seed)
    return downstream_task(
        splits,
        random_state=RandomState(seed),
        predictor=spec.predictor,
        parts=parts_of([len(train) for train, _ in splits], progress),
    )


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
