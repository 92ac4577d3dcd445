"""The fixed labelled sample that validation metrics are computed of. Shapes: N points, D codes, K labels.

A representation is chosen with no more labels than a semi-supervised model was trained with: labels as a labeller gives
them, maybe wrong, coarse or of some factors only, take the place of factors (Locatello et al., 2020, arXiv:1905.01258).
"""

from __future__ import annotations

import numpy as np

from disentanglement.datasets.labelled_sample import LabelledSample, num_training
from disentanglement.errors import SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.sampling.points import Representation
from disentanglement.specs.supervision import LabelledDataSpec, LabellerSpec


def draw_labelled_points(representation: Representation, num: int, labeller: LabellerSpec, seed: int) -> Points:
    """Codes and labels of the sample that semi-supervised training draws from the same number, labeller and seed.

    Raises:
        SpecError: the labeller asks for what these factors don't have.
        NotBuiltYet: the labeller is a plugin.
    """
    spec = LabelledDataSpec(num_labelled_samples=num, labeller=labeller, supervised_data_seed=seed)
    sample = LabelledSample.draw(representation, spec)
    return Points(representation.codes_of(sample.rows_N), sample.labels_NK.astype(np.int64))


def split_points(points: Points, train_percentage: float) -> tuple[Points, Points]:
    """The first `ceil(N * train_percentage)` points, and the rest.

    Raises SpecError where either is empty (the reference fails, or scores no points at all).
    """
    num = num_training(len(points), train_percentage)
    if not 0 < num < len(points):
        wanted = f"a share of {len(points)} points that leaves some to train on and some to test on"
        raise SpecError.of("train_percentage", wanted, train_percentage)
    rows_N = np.arange(len(points))
    return points.rows(rows_N[:num]), points.rows(rows_N[num:])


def split_arrays(arrays: OwnArrays, train_percentage: float) -> tuple[Points, Points]:
    """Somebody's own labelled points: split in their order, unless test points came with them."""
    return split_points(arrays.given, train_percentage) if arrays.test is None else (arrays.given, arrays.test)
