"""What this release can do, by the words of the specs; torch-free, so that a server can refuse work before it starts.

A test compares the lists with the catalogs they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from disentanglement.datasets.catalog import DATA_SETS
from disentanglement.errors import NotBuiltYet
from disentanglement.metrics.catalog import METRICS
from disentanglement.specs import EvaluateSpec, PostprocessSpec, StepSpec, TrainSpec

UNSUPERVISED = frozenset({"beta_vae", "annealed_vae", "factor_vae", "dip_vae", "beta_tc_vae"})
SEMI_SUPERVISED = frozenset(
    {"supervised", "s2_vae", "s2_dip_vae", "s2_beta_tc_vae", "s2_factor_vae", "s2_factor_vae_corrected", "s2_mine_vae"}
)
WEAKLY_SUPERVISED = frozenset({"group_vae", "mlvae"})
PLUGIN = frozenset({"plugin"})
OBJECTIVES = UNSUPERVISED | SEMI_SUPERVISED | WEAKLY_SUPERVISED | PLUGIN
SUPERVISED_LOSSES = frozenset({"l2", "l2_normalized", "xent", "cov", "embed"})
LABELLERS = frozenset({"perfect_labeller", "bin_labeller", "noisy_labeller", "permuted_labeller", "partial_labeller"})
ENCODERS = frozenset({"conv_encoder", "fc_encoder", "test_encoder"}) | PLUGIN
DECODERS = frozenset({"deconv_decoder", "fc_decoder", "test_decoder"}) | PLUGIN
RECONSTRUCTIONS = frozenset({"bernoulli_loss", "l2_loss"}) | PLUGIN
OPTIMIZERS = frozenset({"adam", "gradient_descent"}) | PLUGIN
PRECISIONS = frozenset({"fp32", "tf32", "bf16"})
REPRESENTATIONS = frozenset({"mean", "sampled"})


def missing(specs: Iterable[StepSpec]) -> list[str]:
    """What the specs name and this release does not do, as paths with words, each once, in order."""
    return list(dict.fromkeys(name for spec in specs for name in _missing(spec)))


def require(specs: Iterable[StepSpec]) -> None:
    """Raises `NotBuiltYet` with the list of what is missing, if anything is."""
    if names := missing(specs):
        raise NotBuiltYet(f"not built yet: {', '.join(names)}")


def _missing(spec: StepSpec) -> Iterator[str]:
    match spec:
        case TrainSpec():
            yield from _missing_of_training(spec)
        case PostprocessSpec():
            yield from _unless(spec.representation.word, REPRESENTATIONS, "representation")
        case EvaluateSpec():
            yield from _unless(spec.metric.word, METRICS if spec.metric.plugin is None else PLUGIN, "metric")


def _missing_of_training(spec: TrainSpec) -> Iterator[str]:
    yield from _unless(spec.dataset.name, DATA_SETS, "dataset")
    yield from (f"dataset.options.{option.word}" for option in spec.dataset.options)
    yield from _unless(spec.objective.word, OBJECTIVES, "objective")
    yield from _missing_of_labels(spec)
    yield from _unless(spec.architecture.encoder.word, ENCODERS, "architecture.encoder")
    yield from _unless(spec.architecture.decoder.word, DECODERS, "architecture.decoder")
    yield from _unless(spec.reconstruction.word, RECONSTRUCTIONS, "reconstruction")
    yield from _unless(spec.optimizer.word, OPTIMIZERS, "optimizer")
    yield from _unless(spec.precision, PRECISIONS, "precision")


def _missing_of_labels(spec: TrainSpec) -> Iterator[str]:
    supervised_loss = getattr(spec.objective.selected[1], "supervised_loss", None)
    if supervised_loss is not None:
        yield from _unless(supervised_loss.word, SUPERVISED_LOSSES, f"objective.{spec.objective.word}.supervised_loss")
    if spec.labelled is not None:
        yield from _unless(spec.labelled.labeller.word, LABELLERS, "labelled.labeller")


def _unless(word: str, built: Iterable[str], path: str) -> Iterator[str]:
    if word not in built:
        yield f"{path}.{word}"
