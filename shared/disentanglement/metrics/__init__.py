"""Disentanglement metrics: pure functions on arrays, and the reference's protocol for drawing the arrays."""

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.catalog import METRICS, evaluate_metric
from disentanglement.metrics.engine import evaluate_metrics
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.sampling.points import GridRepresentation, Representation
from disentanglement.metrics.scores.beta_vae_score import beta_vae_score
from disentanglement.metrics.scores.dci import dci
from disentanglement.metrics.scores.factor_vae_score import factor_vae_score
from disentanglement.metrics.scores.irs import irs
from disentanglement.metrics.scores.mig import mig
from disentanglement.metrics.scores.modularity_explicitness import modularity_explicitness
from disentanglement.metrics.scores.sap_score import sap_score_continuous, sap_score_discrete
from disentanglement.metrics.scores.unified_scores import unified_scores
from disentanglement.metrics.scores.unsupervised_metrics import unsupervised_metrics
from disentanglement.metrics.scoring import score_arrays

__all__ = [
    "METRICS",
    "GridRepresentation",
    "MetricResult",
    "Points",
    "Representation",
    "beta_vae_score",
    "dci",
    "evaluate_metric",
    "evaluate_metrics",
    "factor_vae_score",
    "irs",
    "mig",
    "modularity_explicitness",
    "sap_score_continuous",
    "sap_score_discrete",
    "score_arrays",
    "unified_scores",
    "unsupervised_metrics",
]
