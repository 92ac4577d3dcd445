"""Gradient-boosted trees (Friedman, 2001, Annals of Statistics 29, 5), exact and fast.

The reference's scores come from scikit-learn's `GradientBoostingClassifier()`: 100 rounds of regression trees of depth
3 on the gradients of the log-loss, learning rate 0.1, thresholds half-way between float32 values, every split looked
at, leaves of one Newton step, priors to start from. These are the same trees, found 50 times as fast.

What is equal, and what only in distribution. Where one split is better than all others, the trees are the same, and
probabilities and importances agree but for rounding (1e-12). Where codes split equally well, scikit-learn takes the
first in an order drawn at random for each node; here the same numbers are drawn, so of splits that are equal in every
bit the same one is chosen, given the same `RandomState`. But splits that are equal on paper (codes that part the points
alike, as they often do in small nodes) differ there by rounding, which depends on the order in which gradients are
added up, so by chance; here they are equal, and the drawn order decides. Such scores agree in distribution, over seeds.
Of equal splits by one code the lowest is taken; there, that again is up to rounding.
"""

from disentanglement.metrics.classifiers.boosted_trees.classifier import BoostedTrees, fit_boosted_trees
from disentanglement.metrics.classifiers.boosted_trees.layout import SortedCodes
from disentanglement.metrics.classifiers.boosted_trees.sorting import sort_codes

__all__ = ["BoostedTrees", "SortedCodes", "fit_boosted_trees", "sort_codes"]
