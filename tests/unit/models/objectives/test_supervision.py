"""Supervised losses and annealers: values by hand, laws, and the errors that a port makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.models.objectives.supervision import SupervisedLoss, annealed, cov, l2_all_pairs, l2_normalized
from disentanglement.models.objectives.supervision import supervised_loss as loss_of
from disentanglement.specs.supervision import AnnealerSpec, SupervisedLossSpec

LOSSES: dict[str, dict[str, Any]] = {
    "l2": {"l2": {}},
    "l2 without scale": {"l2": {"learn_scale": False}},
    "l2_normalized": {"l2_normalized": {}},
    "xent": {"xent": {}},
    "cov": {"cov": {}},
    "embed": {"embed": {"sigma": {"learned": {}}}},
    "embed with order": {"embed": {"sigma": {"fixed": {"value": 0.5}}, "use_order": True}},
}
SUMS, MEANS = ("l2", "l2_normalized", "xent"), ("cov", "embed", "embed with order")


def supervised_loss(spec: dict[str, Any], sizes: tuple[int, ...], num_latent: int = 10) -> SupervisedLoss:
    return loss_of(SupervisedLossSpec.model_validate(spec), sizes, num_latent=num_latent)


def initial(loss: SupervisedLoss, seed: int = 0) -> dict[str, Tensor]:
    return {variable.name: variable.initial(seed) for variable in loss.variables}


def value(name: str, mean_BZ: Tensor, labels_BK: Tensor, sizes: tuple[int, ...]) -> float:
    loss = supervised_loss(LOSSES[name], sizes, mean_BZ.shape[1])
    return loss.value(mean_BZ.double(), labels_BK.double(), initial(loss)).item()


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    num, latents = draw(st.integers(1, 6)), len(sizes) + draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels_BK = torch.from_numpy(rng.integers(sizes, size=(num, len(sizes)))).float()
    return torch.from_numpy(rng.standard_normal((num, latents))).float(), labels_BK, sizes


MEAN, LABELS = torch.tensor([[1.0, -1.0, 5.0], [0.0, 2.0, 6.0]]), torch.tensor([[1.0, 0.0], [3.0, 2.0]])
SIZES = (4, 3)


def test_l2_scales_the_first_means_and_sums_over_batch_and_labels() -> None:
    loss = supervised_loss(LOSSES["l2"], SIZES, 3)
    assert {name: w.tolist() for name, w in initial(loss).items()} == {"supervised.b": [1.0]}
    assert loss.value(MEAN, LABELS, initial(loss)).item() == 0 + 1 + 9 + 0
    assert loss.value(MEAN, LABELS, {"supervised.b": torch.tensor([2.0])}).item() == 1 + 4 + 9 + 4


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_l2_normalized_divides_labels_by_their_sizes() -> None:
    rows = zip(MEAN[:, :2].tolist(), LABELS.tolist(), strict=True)
    by_hand = sum((sigmoid(r) - y / s) ** 2 for mean, label in rows for r, y, s in zip(mean, label, SIZES, strict=True))
    assert value("l2_normalized", MEAN, LABELS, SIZES) == pytest.approx(by_hand, rel=1e-6)


def test_l2_without_a_scale_compares_all_pairs_of_rows_as_the_reference_does() -> None:
    by_hand = sum(
        (sigmoid(MEAN[m, k].item()) - LABELS[n, k].item() / SIZES[k]) ** 2
        for m in range(2)
        for n in range(2)
        for k in range(2)
    )
    assert value("l2 without scale", MEAN, LABELS, SIZES) == pytest.approx(by_hand, rel=1e-6)
    assert value("l2 without scale", MEAN, LABELS, SIZES) != pytest.approx(
        value("l2_normalized", MEAN, LABELS, SIZES), rel=0.1
    )


@given(batches())
def test_all_pairs_are_the_matching_rows_of_every_rotation_of_the_batch(
    batch: tuple[Tensor, Tensor, tuple[int, ...]],
) -> None:
    mean_BZ, labels_BK, _ = batch
    mean_BK = mean_BZ[:, : labels_BK.shape[1]]
    rotations = sum(l2_normalized(mean_BK, labels_BK.roll(shift, 0)) for shift in range(len(labels_BK)))
    assert float(l2_all_pairs(mean_BK, labels_BK)) == pytest.approx(float(rotations), rel=1e-5)


@pytest.mark.parametrize(("latents", "expected"), [(5, 221.807), (10, 443.614)])
def test_xent_of_zeros_is_the_logarithm_of_two_for_each_label(latents: int, expected: float) -> None:
    zeros = torch.zeros(64, latents)
    assert value("xent", zeros, zeros, (1,) * latents) == pytest.approx(expected, abs=1e-3)
    if latents == 10:
        assert value("xent", zeros + 1, zeros, (1,) * latents) == pytest.approx(840.48, abs=1e-2)


def test_xent_never_asks_for_certainty() -> None:
    """The greatest label is (size - 1) / size, so the loss is least at a finite mean."""
    target = 2 / 3
    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    best = math.log(target / (1 - target))
    assert value("xent", torch.tensor([[best]]), torch.tensor([[2.0]]), (3,)) == pytest.approx(entropy, rel=1e-5)
    assert value("xent", torch.tensor([[20.0]]), torch.tensor([[2.0]]), (3,)) > entropy + 1


def test_cov_is_of_the_population_and_leaves_own_labels_out() -> None:
    identity = torch.eye(2)
    assert value("cov", identity, identity.flip(0), SIZES) == 0.125
    assert cov(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0, 0.0], [9.0, 4.0]])).item() == 4.0


def test_cov_counts_latents_beyond_the_labels_and_labels_beyond_the_latents() -> None:
    assert value("cov", torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.tensor([[0.0], [4.0]]), (5,)) == 4.0


def test_cov_of_what_is_independent_or_follows_its_own_label_vanishes() -> None:
    normal = torch.randn(100_000, 10, generator=torch.Generator().manual_seed(0))
    assert cov(normal, normal).item() < 0.01


def test_embed_is_the_cross_entropy_of_a_softmax_over_squared_distances() -> None:
    loss = supervised_loss({"embed": {"sigma": {"fixed": {"value": 2.0}}}}, (2, 3), 2)
    weights = {"supervised.0.embedding": torch.tensor([0.0, 1.0])}
    weights["supervised.1.embedding"] = torch.tensor([-1.0, 0.0, 1.0])
    mean, labels = torch.tensor([[0.25, 0.0], [1.0, 0.5]]), torch.tensor([[0.0, 1.0], [1.0, 2.0]])

    def term(mean: float, label: int, embedding: list[float]) -> float:
        scores = [math.exp(-((2.0 * (mean - e)) ** 2)) for e in embedding]
        return -math.log(scores[label] / sum(scores))

    by_hand = 0.5 * (term(0.25, 0, [0, 1]) + term(1, 1, [0, 1])) + 0.5 * (
        term(0, 1, [-1, 0, 1]) + term(0.5, 2, [-1, 0, 1])
    )
    assert loss.value(mean, labels, weights).item() == pytest.approx(by_hand, rel=1e-6)


def test_embeddings_in_order_lie_on_a_line_through_the_bias() -> None:
    ordered = supervised_loss({"embed": {"sigma": {"learned": {}}, "use_order": True}}, (3,), 1)
    free = supervised_loss({"embed": {"sigma": {"learned": {}}}}, (3,), 1)
    line = {"bias": 0.5, "slope": -2.0, "sigma": 1.5}
    weights = {f"supervised.0.{name}": torch.tensor([number]) for name, number in line.items()}
    assert {v.name for v in ordered.variables} == set(weights)
    weights["supervised.0.embedding"] = torch.tensor([0.5, -1.5, -3.5])
    mean, labels = torch.tensor([[0.2], [-2.0]]), torch.tensor([[2.0], [1.0]])
    assert ordered.value(mean, labels, weights).item() == pytest.approx(free.value(mean, labels, weights).item())


@pytest.mark.parametrize(
    ("spec", "bounds"),
    [
        ({"sigma": {"fixed": {"value": 1.0}}}, {"0.embedding": 1.0, "1.embedding": 0.1}),
        ({"sigma": {"learned": {}}}, {"0.embedding": 1.0, "0.sigma": 3, "1.embedding": 0.1, "1.sigma": 3}),
        (
            {"sigma": {"fixed": {"value": 1.0}}, "use_order": True},
            {"0.bias": 3, "0.slope": 3, "1.bias": 3, "1.slope": 3},
        ),
    ],
)
def test_variables_of_embed_start_uniform_within_the_references_bounds(
    spec: dict[str, Any], bounds: dict[str, float]
) -> None:
    """Bounds are squared: 3 / size for embeddings, 3 for single numbers."""
    loss = supervised_loss({"embed": spec}, (3, 30), 2)
    assert [v.name for v in loss.variables] == [f"supervised.{name}" for name in bounds]
    draws = {v.name: torch.cat([v.initial(seed) for seed in range(200)]) for v in loss.variables}
    for name, bound in bounds.items():
        drawn = draws[f"supervised.{name}"]
        assert 0.95 * math.sqrt(bound) < drawn.abs().max().item() <= math.sqrt(bound)
        assert abs(drawn.mean().item()) < 0.2 * math.sqrt(bound)


@pytest.mark.parametrize("name", SUMS)
@given(batch=batches())
def test_sums_over_two_batches_add_up(name: str, batch: tuple[Tensor, Tensor, tuple[int, ...]]) -> None:
    mean_BZ, labels_BK, sizes = batch
    twice = value(name, torch.cat([mean_BZ, mean_BZ]), torch.cat([labels_BK, labels_BK]), sizes)
    assert twice == pytest.approx(2 * value(name, mean_BZ, labels_BK, sizes), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", MEANS)
@given(batch=batches())
def test_means_over_a_batch_seen_twice_stay_the_same(name: str, batch: tuple[Tensor, Tensor, tuple[int, ...]]) -> None:
    mean_BZ, labels_BK, sizes = batch
    twice = value(name, torch.cat([mean_BZ, mean_BZ]), torch.cat([labels_BK, labels_BK]), sizes)
    assert twice == pytest.approx(value(name, mean_BZ, labels_BK, sizes), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@given(batch=batches(), seed=st.integers(0, 2**32 - 1))
def test_losses_do_not_depend_on_the_order_of_images_and_are_never_negative(
    name: str, batch: tuple[Tensor, Tensor, tuple[int, ...]], seed: int
) -> None:
    mean_BZ, labels_BK, sizes = batch
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(mean_BZ)))
    before = value(name, mean_BZ, labels_BK, sizes)
    assert before >= 0
    assert value(name, mean_BZ[order], labels_BK[order], sizes) == pytest.approx(before, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "cov"])
@given(batch=batches())
def test_latents_beyond_the_labels_are_free(name: str, batch: tuple[Tensor, Tensor, tuple[int, ...]]) -> None:
    mean_BZ, labels_BK, sizes = batch
    moved = torch.cat([mean_BZ, 7 + mean_BZ[:, :1]], dim=1)
    assert value(name, moved, labels_BK, sizes) == pytest.approx(value(name, mean_BZ, labels_BK, sizes), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "cov"])
def test_fewer_latents_than_labels_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=r"num_latent: wanted at least the number of labels, 3, got 2"):
        supervised_loss(LOSSES[name], (2, 2, 2), num_latent=2)


def test_cov_does_with_fewer_latents_than_labels() -> None:
    assert value("cov", torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0, 0.0], [9.0, 4.0]]), (10, 5)) == 4.0


def test_losses_of_plugins_are_not_built_yet() -> None:
    with pytest.raises(NotBuiltYet, match=r"supervised_loss\.plugin"):
        supervised_loss({"plugin": {"name": "module:loss"}}, (2,))


def weight(gamma: float, anneal_fn: str, threshold: int, step: int) -> float:
    spec = AnnealerSpec.model_validate({"anneal_fn": anneal_fn, "iteration_threshold": threshold})
    return annealed(gamma, spec, torch.tensor(step)).item()


@pytest.mark.parametrize(
    ("anneal_fn", "expected"),
    [("fixed", [100, 100, 100, 100]), ("anneal", [0, 10, 100, 100]), ("fine_tune", [0, 0, 0, 100])],
)
def test_annealers_begin_and_end_where_they_should(anneal_fn: str, expected: list[int]) -> None:
    assert [weight(100, anneal_fn, 100, step) for step in (0, 10, 100, 101)] == expected


@given(
    st.floats(0, 1e4, width=32),
    st.sampled_from(["fixed", "anneal", "fine_tune"]),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_weights_grow_from_at_least_zero_to_gamma(
    gamma: float, anneal_fn: str, threshold: int, step: int, later: int
) -> None:
    weights = [weight(gamma, anneal_fn, threshold, s) for s in (step, step + later, threshold + 1)]
    assert 0 <= weights[0] <= weights[1] <= gamma
    assert weights[2] == gamma
