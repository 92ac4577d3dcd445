"""Every metric by its word, and how to evaluate one by its spec."""

from __future__ import annotations

from disentanglement.errors import NotBuiltYet
from disentanglement.metrics.metric import Metric, MetricResult
from disentanglement.metrics.modern_catalog import MODERN_METRICS
from disentanglement.metrics.plugin import METRIC as PLUGIN
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.points import Representation
from disentanglement.metrics.scores.beta_vae_score import METRIC as BETA_VAE_SKLEARN
from disentanglement.metrics.scores.dci import METRIC as DCI
from disentanglement.metrics.scores.dci_validation import METRIC as DCI_VALIDATION
from disentanglement.metrics.scores.downstream_task import METRIC as DOWNSTREAM_TASK
from disentanglement.metrics.scores.factor_vae_score import METRIC as FACTOR_VAE_SCORE
from disentanglement.metrics.scores.fairness import METRIC as FAIRNESS
from disentanglement.metrics.scores.irs import METRIC as IRS
from disentanglement.metrics.scores.mig import METRIC as MIG
from disentanglement.metrics.scores.mig_validation import METRIC as MIG_VALIDATION
from disentanglement.metrics.scores.modularity_explicitness import METRIC as MODULARITY_EXPLICITNESS
from disentanglement.metrics.scores.reduced_downstream_task import METRIC as REDUCED_DOWNSTREAM_TASK
from disentanglement.metrics.scores.sap_score import METRIC as SAP_SCORE
from disentanglement.metrics.scores.sap_score_validation import METRIC as SAP_SCORE_VALIDATION
from disentanglement.metrics.scores.strong_downstream_task import METRIC as STRONG_DOWNSTREAM_TASK
from disentanglement.metrics.scores.unified_score_validation import METRIC as UNIFIED_SCORE_VALIDATION
from disentanglement.metrics.scores.unified_scores import METRIC as UNIFIED_SCORES
from disentanglement.metrics.scores.unsupervised_metrics import METRIC as UNSUPERVISED_METRICS
from disentanglement.specs.metrics import MetricSpec

METRICS: dict[str, Metric] = {
    "mig": MIG,
    "sap_score": SAP_SCORE,
    "factor_vae_score": FACTOR_VAE_SCORE,
    "dci": DCI,
    "unified_scores": UNIFIED_SCORES,
    "mig_validation": MIG_VALIDATION,
    "sap_score_validation": SAP_SCORE_VALIDATION,
    "dci_validation": DCI_VALIDATION,
    "unified_score_validation": UNIFIED_SCORE_VALIDATION,
    "beta_vae_sklearn": BETA_VAE_SKLEARN,
    "modularity_explicitness": MODULARITY_EXPLICITNESS,
    "irs": IRS,
    "unsupervised_metrics": UNSUPERVISED_METRICS,
    "downstream_task": DOWNSTREAM_TASK,
    "reduced_downstream_task": REDUCED_DOWNSTREAM_TASK,
    "strong_downstream_task": STRONG_DOWNSTREAM_TASK,
    "fairness": FAIRNESS,
    **MODERN_METRICS,
}
"""Those that are built; a plugin is somebody's own, and its code is looked for when it is computed."""


def find_metric(metric: MetricSpec) -> Metric:
    """Raises NotBuiltYet for a metric that has a spec, but no code here."""
    if metric.plugin is not None:
        return PLUGIN
    if metric.word not in METRICS:
        raise NotBuiltYet(f"metric {metric.word} is not built yet; there are {', '.join(METRICS)}")
    return METRICS[metric.word]


def evaluate_metric(
    metric: MetricSpec, representation: Representation, seed: int, *, progress: Progress = silent
) -> MetricResult:
    """One metric of one representation, on points drawn from `RandomState(seed)` in the reference's order."""
    _, parameters = metric.selected
    return find_metric(metric).evaluate(parameters, representation, seed, progress)
