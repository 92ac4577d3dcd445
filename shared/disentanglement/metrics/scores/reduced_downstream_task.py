"""Downstream accuracy without the codes that know most of one factor: what the others know of it, and of the rest.

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers import Accuracies, accuracies, check_predictable
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.downstream_task import Split, drawn_splits, own_splits, parts_of
from disentanglement.specs.metrics import BOOSTED_TREES, PredictorSpec, ReducedDownstreamTask

Kept = tuple[int, ...]
"""Codes that are left, rising."""
REMOVAL = 0.5
"""The share of the time that finding the codes to remove takes, roughly."""


@dataclass(frozen=True, slots=True)
class ReducedDownstreamTaskResult:
    """By the number of training points, for each factor the accuracies without its codes."""

    by_size: Mapping[int, Sequence[Accuracies]]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys, which start with the training size. "Others" are the mean over factors."""
        scores: dict[str, float] = {}
        for size, of_factors in self.by_size.items():
            for split in ("train", "test"):
                accuracy_TK = np.stack(
                    [of_factor.train_K if split == "train" else of_factor.test_K for of_factor in of_factors]
                )
                scores |= _of_split(size, split, accuracy_TK)
        return scores


def _of_split(size: int, split: str, accuracy_TK: NDArray[np.float64]) -> dict[str, float]:
    """Of one training size; row t has the accuracies without the codes of factor t."""
    scores: dict[str, float] = {}
    for removed, accuracy_K in enumerate(accuracy_TK):
        start = f"{size}:reduced_factor_{removed}:mean_{split}_accuracy"
        scores[f"{start}_reduced_factor"] = float(accuracy_K[removed])
        scores |= {f"{start}_factor_{factor}": float(accuracy) for factor, accuracy in enumerate(accuracy_K)}
        scores[f"{start}_non_reduced_factor"] = float(np.delete(accuracy_K, removed).mean())
    others_T = [np.delete(accuracy_K, removed).mean() for removed, accuracy_K in enumerate(accuracy_TK)]
    scores[f"{size}:mean_{split}_accuracy_reduced_factor"] = float(np.diag(accuracy_TK).mean())
    scores[f"{size}:mean_{split}_accuracy_other_factors"] = float(np.mean(others_T))
    return scores


def reduced_downstream_task(
    splits: Iterable[Split],
    *,
    num_factors_to_remove: int,
    random_state: RandomState,
    predictor: PredictorSpec = BOOSTED_TREES,
    parts: Sequence[Progress] | None = None,
) -> ReducedDownstreamTaskResult:
    """For each split and each factor: so many times, remove the code that boosted trees use most to predict it.

    The reference fits trees for all factors to find the most important code for one, and all again for factors that
    lose the same codes; here each fit is made once, so `random_state` is drawn from less often. Raises
    MetricUndefined where no code would be left, for a single factor, and for a factor that has a single value among
    the training points.
    """
    by_size = {}
    for (train, test), part in zip(splits, parts or repeat(silent), strict=False):
        _check(train, test, num_factors_to_remove)
        kept = list(_kept_codes(train, num_factors_to_remove, random_state, part_of(part, 0.0, REMOVAL)))
        distinct = list(dict.fromkeys(kept))
        of_kept = {}
        for position, codes in enumerate(distinct):
            share = REMOVAL + (1 - REMOVAL) * np.array([position, position + 1]) / len(distinct)
            of_kept[codes] = accuracies(
                predictor,
                _only(train, codes),
                _only(test, codes),
                random_state=random_state,
                progress=part_of(part, *share.tolist()),
            )
        by_size[len(train)] = [of_kept[codes] for codes in kept]
    return ReducedDownstreamTaskResult(by_size)


def _check(train: Points, test: Points, num_removed: int) -> None:
    check_predictable(train, test, "reduced_downstream_task")
    num_codes, num_factors = train.codes_ND.shape[1], train.factors_NK.shape[1]
    if num_removed >= num_codes:
        raise MetricUndefined(f"reduced_downstream_task cannot remove {num_removed} of {num_codes} codes: none is left")
    if num_factors < 2:
        raise MetricUndefined("reduced_downstream_task needs other factors: wanted 2 columns of factors or more, got 1")


def _kept_codes(train: Points, num_removed: int, random_state: RandomState, progress: Progress) -> Iterator[Kept]:
    """For each factor the codes that are left after removing those most important for it."""
    from disentanglement.metrics.classifiers.boosted_trees import fit_boosted_trees, sort_codes

    num_factors, done = train.factors_NK.shape[1], 0
    sorted_by_kept = {}
    for factor_N in train.factors_NK.T:
        kept = tuple(range(train.codes_ND.shape[1]))
        for _ in range(num_removed):
            if kept not in sorted_by_kept:
                sorted_by_kept[kept] = sort_codes(train.codes_ND[:, kept])
            part = part_of(progress, done / (num_factors * num_removed), (done + 1) / (num_factors * num_removed))
            trees = fit_boosted_trees(sorted_by_kept[kept], factor_N, random_state=random_state, progress=part)
            most = int(np.argmax(trees.importance_D))  # of equally important ones the first
            kept, done = kept[:most] + kept[most + 1 :], done + 1
        yield kept


def _only(points: Points, codes: Kept) -> Points:
    return Points(points.codes_ND[:, codes], points.factors_NK)


def evaluate(
    spec: ReducedDownstreamTask, representation: Representation, seed: int, progress: Progress
) -> ReducedDownstreamTaskResult:
    """Trained on fresh points of every size, tested on `num_test` more."""
    return reduced_downstream_task(
        drawn_splits(spec, representation, seed),
        num_factors_to_remove=spec.num_factors_to_remove,
        random_state=RandomState(seed),
        predictor=spec.predictor,
        parts=parts_of(spec.num_train, progress),
    )


def score(spec: ReducedDownstreamTask, arrays: OwnArrays, seed: int, progress: Progress) -> ReducedDownstreamTaskResult:
    """Trained on the first points of every size, tested on all test points."""
    splits = own_splits(spec.num_train, arrays, seed)
    return reduced_downstream_task(
        splits,
        num_factors_to_remove=spec.num_factors_to_remove,
        random_state=RandomState(seed),
        predictor=spec.predictor,
        parts=parts_of([len(train) for train, _ in splits], progress),
    )


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
