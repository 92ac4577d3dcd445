"""Disentanglement metrics: pure functions on arrays, and the reference's protocol for drawing the arrays."""

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.beta_vae_score import beta_vae_score
from disentanglement.metrics.catalog import METRICS, evaluate_metric
from disentanglement.metrics.dci import dci
from disentanglement.metrics.engine import evaluate_metrics
from disentanglement.metrics.factor_vae_score import factor_vae_score
from disentanglement.metrics.irs import irs
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.mig import mig
from disentanglement.metrics.modularity_explicitness import modularity_explicitness
from disentanglement.metrics.sampling import GridRepresentation, Representation
from disentanglement.metrics.sap_score import sap_score_continuous, sap_score_discrete
from disentanglement.metrics.scoring import score_arrays
from disentanglement.metrics.unified_scores import unified_scores
from disentanglement.metrics.unsupervised_metrics import unsupervised_metrics

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
