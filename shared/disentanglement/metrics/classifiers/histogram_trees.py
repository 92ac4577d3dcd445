"""Boosted trees on binned codes, scikit-learn's: another classifier than the exact trees, with other scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.progress import Progress

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HistogramTrees:
    """A fitted classifier."""

    classifier: Any
    train_codes_ND: Codes

    def predict(self, codes_ND: Codes) -> Labels:
        """The label [N] of each point."""
        labels_N: Labels = self.classifier.predict(codes_ND)
        return labels_N

    def predict_training_points(self) -> Labels:
        """As `predict` of the codes it was fitted to."""
        return self.predict(self.train_codes_ND)


def fit_histogram_trees(
    codes_ND: Codes, labels_N: Labels, random_state: RandomState, progress: Progress
) -> HistogramTrees:
    """scikit-learn's defaults written out, but for early stopping, which by default depends on the number of points."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # seconds to import: only who scores pays for it

    classifier = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=100,
        max_leaf_nodes=31,
        min_samples_leaf=20,
        max_bins=255,
        early_stopping=False,
        random_state=random_state.randint(2**31 - 1),
    ).fit(codes_ND, labels_N)
    progress(1.0)
    return HistogramTrees(classifier, codes_ND)
