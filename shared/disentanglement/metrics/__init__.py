"""Disentanglement metrics: pure functions on arrays, and the reference's protocol for drawing the arrays."""

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.catalog import METRICS, evaluate_metric
from disentanglement.metrics.dci import dci
from disentanglement.metrics.engine import evaluate_metrics
from disentanglement.metrics.factor_vae_score import factor_vae_score
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.mig import mig
from disentanglement.metrics.sampling import GridRepresentation, Representation
from disentanglement.metrics.sap_score import sap_score_continuous, sap_score_discrete
from disentanglement.metrics.scoring import score_arrays
from disentanglement.metrics.unified_scores import unified_scores

__all__ = [
    "METRICS",
    "GridRepresentation",
    "MetricResult",
    "Points",
    "Representation",
    "dci",
    "evaluate_metric",
    "evaluate_metrics",
    "factor_vae_score",
    "mig",
    "sap_score_continuous",
    "sap_score_discrete",
    "score_arrays",
    "unified_scores",
]
