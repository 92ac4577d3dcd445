"""Semi-supervised objectives: one template, what is trained by what, and trainings from the first to the last step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.ground_truth import GridData
from disentanglement.errors import SpecError
from disentanglement.models.catalog import objective_of
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.models.objectives.protocol import Batch, Labelled, Terms
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

SIZES, NUM_LATENT, BATCH = (3, 4), 3, 16
SHAPE = (4, 4, 1)
FACTORS = (Factor(name="lamp", size=2, is_latent=False), Factor(name="shape", size=3), Factor(name="angle", size=4))
Object = dict[str, Any]

XENT: Object = {"xent": {}}
L2: Object = {"l2": {}}
EMBED: Object = {"embed": {"sigma": {"learned": {}}}}
UNSUPERVISED: dict[str, Object] = {
    "s2_vae": {"beta_vae": {"beta": 4.0}},
    "s2_dip_vae": {"dip_vae": {"lambda_od": 2.0, "lambda_d_factor": 3.0, "dip_type": "ii"}},
    "s2_beta_tc_vae": {"beta_tc_vae": {"beta": 6.0}},
    "s2_factor_vae": {"factor_vae": {"gamma": 5.0}},
    "s2_factor_vae_corrected": {"factor_vae": {"gamma": 5.0}},
}
"""What each objective is without its labels."""
SEMI_SUPERVISED = list(UNSUPERVISED)
FACTOR_VAES = ("s2_factor_vae", "s2_factor_vae_corrected")
ALL = (*SEMI_SUPERVISED, "supervised", "s2_mine_vae")
LABELLED = {"reconstruction_loss", "regularizer", "kl_loss", "supervised_loss"}
KEYS = {
    "s2_vae": LABELLED | {"elbo"},
    "s2_dip_vae": LABELLED | {"elbo"},
    "s2_beta_tc_vae": LABELLED | {"elbo"},
    "s2_factor_vae": LABELLED,
    "s2_factor_vae_corrected": LABELLED,
    "s2_mine_vae": {"reconstruction_loss", "supervised_loss", "kl_loss"},
    "supervised": {"reconstruction_loss", "regularizer", "supervised_loss"},
}


def objective(word: str, loss: Object = XENT, *, gamma_sup: float = 2.0, annealer: Object | None = None) -> Object:
    """As a spec writes it."""
    if word == "supervised":
        return {word: {"supervised_loss": loss}}
    weight = {"gamma_sup": gamma_sup, "annealer": annealer or {}}
    if word == "s2_mine_vae":
        return {word: {"beta": 1.0, **weight}}
    (parameters,) = UNSUPERVISED[word].values()
    return {word: {**parameters, **weight, "supervised_loss": loss}}


def spec(of: Object, **changes: Any) -> TrainSpec:
    settings: Object = {
        "dataset": "grid",
        "objective": of,
        "architecture": {"num_latent": NUM_LATENT, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}},
        "optimizer": {"adam": {"learning_rate": 0.01}},
        "batch_size": BATCH,
        "training_steps": 10,
        "random_seed": 3,
    }
    (word,) = of
    if word in ALL:
        settings["labelled"] = {"num_labelled_samples": 40, "supervised_data_seed": 1, "unsupervised_data_seed": 3}
    return TrainSpec.model_validate(settings | changes)


@pytest.fixture(scope="module")
def truth() -> GridData:
    card = DataCard.of(
        name="grid",
        origin=Origin.GENERATED,
        images_sha256="0" * 64,
        images_bytes=0,
        num_images=24,
        encoding="uint8",
        observation_shape=SHAPE,
        factors=FACTORS,
    )
    return GridData(card)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Noise, but for two pixels that show the two factors."""
    stored = np.random.default_rng(0).integers(0, 256, (24, *SHAPE), dtype=np.uint8)
    rows = np.arange(24)
    stored[:, 0, 0, 0], stored[:, 1, 1, 0] = 100 * (rows // 4 % 3), 80 * (rows % 4)
    return TrainingData(stored)


@dataclass
class SameNoise:
    """Noise that depends on the draw alone."""

    def latent(self, draw: int = 0) -> Tensor:
        return torch.randn(BATCH, NUM_LATENT, generator=torch.Generator().manual_seed(draw), dtype=torch.float64)

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(7 + draw)
        return torch.stack([torch.randperm(length, generator=generator) for _ in range(count)])


class Example:
    """An objective on one batch, in float64, with every weight moved from its initial value."""

    def __init__(self, of: Object) -> None:
        generator = torch.Generator().manual_seed(1)
        given_spec = spec(of)
        self.objective = objective_of(given_spec, SIZES)
        nets = architecture(given_spec.architecture, SHAPE)
        players = [variable for player in self.objective.players for variable in player.variables]
        own = (*self.objective.variables, *self.objective.untrained, *players)
        self.weights = {v.name: (v.initial(0).double() + 0.1).requires_grad_() for v in (*nets.variables(), *own)}
        images = torch.rand(2, BATCH, *SHAPE, generator=generator, dtype=torch.float64)
        labels = torch.stack([torch.randint(size, (BATCH,), generator=generator) for size in SIZES], dim=1).double()
        self.batch = Batch(images[0], Labelled(images[1], labels))
        self.networks = Networks(nets, self.weights)

    def terms(self, step: int = 0, batch: Batch | None = None) -> Terms:
        return self.objective.loss(self.networks, batch or self.batch, SameNoise(), torch.tensor(step))

    def supervised(self, sizes: tuple[int, ...] = SIZES) -> float:
        """The cross-entropy of the labels by hand."""
        assert self.batch.labelled is not None
        pixels_NP = self.batch.labelled.images_NHWC.flatten(1)
        mean_NZ = pixels_NP @ self.weights["encoder.means.kernel"] + self.weights["encoder.means.bias"]
        total = 0.0
        for mean, labels in zip(mean_NZ.tolist(), self.batch.labelled.labels_NK.tolist(), strict=True):
            for logit, label, size in zip(mean, labels, sizes, strict=False):
                total += math.log1p(math.exp(logit)) - logit * label / size
        return total

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        of = torch.autograd.grad(loss, list(self.weights.values()), retain_graph=True, materialize_grads=True)
        return dict(zip(self.weights, of, strict=True))


@pytest.mark.parametrize("word", SEMI_SUPERVISED)
@pytest.mark.parametrize("step", [0, 25, 200])
def test_the_loss_is_the_unsupervised_one_plus_the_weighted_sum_over_labelled_images(word: str, step: int) -> None:
    example = Example(objective(word, gamma_sup=2.0, annealer={"anneal_fn": "anneal", "iteration_threshold": 100}))
    without = Example(UNSUPERVISED[word]).terms(step)
    terms, supervised = example.terms(step), example.supervised()
    weighted = min(2.0, 2.0 * step / 100) * supervised
    assert terms.loss.item() == pytest.approx(without.loss.item() + weighted, rel=1e-9)
    assert terms.reported["supervised_loss"].item() == pytest.approx(supervised, rel=1e-9)
    assert terms.reported["kl_loss"].item() == pytest.approx(without.reported["kl_loss"].item(), rel=1e-12)
    regularizer = without.reported["regularizer"].item() + (0 if word in FACTOR_VAES else weighted)
    assert terms.reported["regularizer"].item() == pytest.approx(regularizer, rel=1e-9)
    if word not in FACTOR_VAES:
        assert terms.reported["elbo"].item() == pytest.approx(without.reported["elbo"].item(), rel=1e-12)
    for of_player, expected in zip(terms.player_losses, without.player_losses, strict=True):
        assert of_player.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("word", ALL)
def test_the_references_terms_are_reported_and_add_up(word: str) -> None:
    terms = Example(objective(word)).terms()
    assert set(terms.reported) == KEYS[word]
    reported = {name: term.item() for name, term in terms.reported.items()}
    if "regularizer" in reported and word not in FACTOR_VAES:
        assert terms.loss.item() == pytest.approx(reported["reconstruction_loss"] + reported["regularizer"])
    if word in FACTOR_VAES:  # the reference leaves the labels out of what it reports
        total = reported["reconstruction_loss"] + reported["regularizer"] + 2 * reported["supervised_loss"]
        assert terms.loss.item() == pytest.approx(total)
    if "elbo" in reported:
        assert reported["elbo"] == pytest.approx(-reported["reconstruction_loss"] - reported["kl_loss"])


@pytest.mark.parametrize("word", ALL)
def test_log_variances_of_labelled_images_are_ignored_and_they_are_not_reconstructed(word: str) -> None:
    """So the unlabelled part does not change when labelled images do."""
    example = Example(objective(word, gamma_sup=0.0))
    assert example.batch.labelled is not None
    other = replace(example.batch.labelled, images_NHWC=1 - example.batch.labelled.images_NHWC)
    before, after = example.terms(), example.terms(batch=replace(example.batch, labelled=other))
    assert before.reported["supervised_loss"].item() != after.reported["supervised_loss"].item()
    assert torch.equal(before.reported["reconstruction_loss"], after.reported["reconstruction_loss"])
    assert torch.equal(before.kl_Z, after.kl_Z)
    if word != "supervised":
        assert torch.equal(before.loss, after.loss)


def test_labels_alone_train_the_encoder_of_supervised_and_reconstructions_alone_its_decoder() -> None:
    example = Example(objective("supervised"))
    terms = example.terms()
    of_loss = example.gradients(terms.loss)
    of_labels = example.gradients(terms.reported["supervised_loss"])
    of_images = example.gradients(terms.reported["reconstruction_loss"])
    for name, gradient in of_loss.items():
        assert torch.equal(gradient, (of_labels if name.startswith("encoder") else of_images)[name])
        assert gradient.any() == (not name.startswith("encoder.log_var"))
    assert terms.loss.item() == pytest.approx(
        terms.reported["reconstruction_loss"].item() + example.supervised(), rel=1e-9
    )


def test_supervised_decodes_samples_and_not_means() -> None:
    example = Example(objective("supervised"))
    before = example.terms().reported["reconstruction_loss"].item()
    with torch.no_grad():
        example.weights["encoder.log_var.bias"] += 3.0
    assert example.terms().reported["reconstruction_loss"].item() != pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("word", SEMI_SUPERVISED)
@pytest.mark.parametrize("loss", [L2, EMBED])
def test_variables_of_the_supervised_loss_are_trained_but_for_those_of_s2_factor_vae(word: str, loss: Object) -> None:
    example = Example(objective(word, loss))
    trained, kept = ([v.name for v in some] for some in (example.objective.variables, example.objective.untrained))
    if word == "s2_factor_vae":
        trained, kept = kept, trained
    assert kept == []
    gradients = example.gradients(example.terms().loss)
    assert trained
    assert all(name.startswith("supervised.") and gradients[name].any() for name in trained)


@pytest.mark.parametrize("word", FACTOR_VAES)
def test_the_discriminator_learns_nothing_from_labels(word: str) -> None:
    example, without = Example(objective(word)), Example(UNSUPERVISED[word])
    one, other = (e.gradients(e.terms().player_losses[0]) for e in (example, without))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_batch_without_labels_is_refused() -> None:
    example = Example(objective("s2_vae"))
    with pytest.raises(ValueError, match="needs labelled images"):
        example.terms(batch=Batch(example.batch.images_BHWC))


@pytest.mark.parametrize("word", [word for word in ALL if word != "s2_mine_vae"])
def test_more_labels_than_latents_are_refused_before_any_work(word: str, data: TrainingData, truth: GridData) -> None:
    narrow = {"num_latent": 1, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}
    with pytest.raises(SpecError, match=r"num_latent: wanted at least the number of labels, 2, got 1"):
        Training(spec(objective(word), architecture=narrow), data, truth)


def test_labels_cannot_be_had_without_the_ground_truth(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="ground truth"):
        Training(spec(objective("s2_vae")), data)


# Trainings


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("word", ALL)
def test_the_supervised_loss_falls_and_results_have_the_references_keys(
    word: str, data: TrainingData, truth: GridData
) -> None:
    steps = 80 if word in FACTOR_VAES else 200
    training = Training(spec(objective(word), training_steps=steps), data, truth)
    training.advance(2)
    first = training.read_terms()
    training.advance_to(training.num_steps - 20)
    training.read_terms()
    training.advance_to(training.num_steps)
    last = training.read_terms()
    assert all(math.isfinite(value) for value in (last.loss, *last.reported.values()))
    if word != "s2_mine_vae":  # there the estimators learn, too
        assert last.reported["supervised_loss"] < 0.98 * first.reported["supervised_loss"]
    results = training.evaluate()
    assert set(results) == KEYS[word] | {"loss", "global_step"}
    assert all(math.isfinite(value) for value in results.values())
    assert results["global_step"] == (82 if word in FACTOR_VAES else 200)


@pytest.mark.parametrize("word", ALL)
@pytest.mark.parametrize("loss", [L2, EMBED])
def test_a_run_resumed_in_the_middle_equals_an_uninterrupted_one_bit_for_bit(
    word: str, loss: Object, data: TrainingData, truth: GridData
) -> None:
    of = objective(word, loss)
    whole, first, second = (Training(spec(of), data, truth) for _ in range(3))
    whole.advance(6)
    first.advance(4)
    second.advance(1)  # whatever it did before, it forgets
    second.restore(tensors_from_bytes(tensors_to_bytes(first.state())))
    second.advance(2)
    assert equal(second.state(), whole.state())
    assert second.evaluate() == whole.evaluate()


@pytest.mark.parametrize("word", SEMI_SUPERVISED)
def test_labels_that_weigh_nothing_leave_the_unsupervised_training_as_it_is(
    word: str, data: TrainingData, truth: GridData
) -> None:
    """`fine_tune` weighs nothing up to and including the threshold, in steps as the reference counts them."""
    fine_tune = {"anneal_fn": "fine_tune", "iteration_threshold": 5}
    tuned = Training(spec(objective(word, annealer=fine_tune)), data, truth)
    without = Training(spec(UNSUPERVISED[word]), data)
    iterations = 3 if word in FACTOR_VAES else 6  # the weight sees the steps before: 0, 2, 4 or 0 to 5
    tuned.advance(iterations)
    without.advance(iterations)
    assert equal(tuned.weights(), without.weights())
    tuned.advance(1)
    without.advance(1)
    assert not torch.equal(tuned.weights()["encoder.means.kernel"], without.weights()["encoder.means.kernel"])
    assert torch.equal(tuned.weights()["decoder.d1.kernel"], without.weights()["decoder.d1.kernel"])


def test_only_the_corrected_factor_vae_trains_the_scale(data: TrainingData, truth: GridData) -> None:
    scales = {}
    for word in ALL[:-1]:
        training = Training(spec(objective(word, L2)), data, truth)
        training.advance(2)
        scales[word] = training.state()["weights.supervised.b"].item()
    assert {word for word, scale in scales.items() if scale == 1.0} == {"s2_factor_vae"}


def test_a_model_holds_neither_scales_nor_estimators(data: TrainingData, truth: GridData) -> None:
    for of in (objective("s2_vae", L2), objective("s2_mine_vae"), objective("s2_factor_vae", EMBED)):
        names = Training(spec(of), data, truth).model().networks.weights
        assert all(name.startswith(("encoder.", "decoder.")) for name in names)


@pytest.mark.parametrize("word", ALL)
def test_everything_is_zero_where_nothing_validates(word: str, data: TrainingData, truth: GridData) -> None:
    """As in the reference, whose validation is an empty data set then; the step is what it is."""
    labelled = {"num_labelled_samples": 40, "train_percentage": 1.0}
    training = Training(spec(objective(word), labelled=labelled), data, truth)
    training.advance(2)
    results = training.evaluate()
    assert results.pop("global_step") == (4 if word in FACTOR_VAES else 2)
    assert results == dict.fromkeys(KEYS[word] | {"loss"}, 0.0)


def test_evaluation_takes_as_many_batches_as_there_are_labelled_points(data: TrainingData, truth: GridData) -> None:
    """Whatever `eval_steps` says; the unlabelled images are those of the first steps of training."""
    of, num = objective("supervised"), 7
    labelled = {"num_labelled_samples": num, "train_percentage": 0.5}
    training = Training(spec(of, labelled=labelled, eval_steps=1000), data, truth)
    state, supervised = training.state(), []
    for iteration in range(num):
        points = [4 + (iteration * BATCH + b) % 3 for b in range(BATCH)]
        supervised.append(of_points(training, truth, labelled, points))
    assert training.evaluate()["supervised_loss"] == pytest.approx(np.mean(supervised), rel=1e-5)
    assert equal(training.state(), state)


def of_points(training: Training, truth: GridData, labelled: Object, points: list[int]) -> float:
    """The supervised loss of labelled points, by number."""
    rs = np.random.RandomState(0)
    factors_NK = truth.sample_factors(labelled["num_labelled_samples"], rs)
    rows_N = truth.rows(factors_NK, rs)[points]
    images = training.data.images(torch.from_numpy(rows_N))
    mean_NK = training.networks.encode(images).mean_BZ[:, :2]
    targets = torch.tensor(factors_NK[points] / np.array(SIZES), dtype=torch.float32)
    return torch.nn.functional.binary_cross_entropy_with_logits(mean_NK, targets, reduction="sum").item()
