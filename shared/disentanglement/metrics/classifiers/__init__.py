"""Classifiers that predict factors from codes, for the metrics that ask how well they do."""

from disentanglement.metrics.classifiers.accuracy import Accuracies, accuracies, accuracy, check_predictable, shares
from disentanglement.metrics.classifiers.predictor import PREDICTORS, Fit, Predictor, prepare

__all__ = [
    "PREDICTORS",
    "Accuracies",
    "Fit",
    "Predictor",
    "accuracies",
    "accuracy",
    "check_predictable",
    "prepare",
    "shares",
]
