from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import objective_oracles as oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from disentanglement.models.networks.layers import Dense, Layer
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.density_ratio import (
    Judgement,
    judge,
    judge_with_one_backward_pass,
    judgement,
    loss_slopes,
    with_value,
)

SEEDS = st.integers(0, 2**32 - 1)
NO_ARCHITECTURE: Any = None


def layers_of(*widths: int) -> tuple[Layer, ...]:
    hidden = [Dense(f"d{i}", a, b, activation="leaky_relu") for i, (a, b) in enumerate(pairwise(widths))]
    return (*hidden, Dense("logits", widths[-1], 2, activation=None))


def networks_of(layers: tuple[Layer, ...], seed: int, *, scale: float = 1.0) -> Networks:
    rng = np.random.default_rng(seed)
    variables = [variable for layer in layers for variable in layer.variables()]
    weights = {v.name: torch.tensor(scale * rng.standard_normal(v.shape)).requires_grad_() for v in variables}
    return Networks(NO_ARCHITECTURE, weights)


def codes_of(seed: int, batch_size: int, num_latent: int) -> tuple[Tensor, Tensor]:
    codes, permuted = np.random.default_rng(seed).standard_normal((2, batch_size, num_latent))
    return torch.tensor(codes).requires_grad_(), torch.tensor(permuted)


# ------------------------------------------------------------------------------------------------------------- values
def test_an_undecided_discriminator_sees_no_correlation_and_loses_log_two() -> None:
    verdict = judgement(torch.full((3, 2), 5.0), torch.zeros(3, 2))
    assert verdict.total_correlation.item() == 0
    assert verdict.loss.item() == approx(math.log(2))


def test_the_correlation_is_the_mean_of_the_first_logit_minus_the_second() -> None:
    assert judgement(torch.tensor([[3.0, 1.0], [0.0, 1.0]]), torch.zeros(2, 2)).total_correlation.item() == 0.5


def test_the_loss_takes_codes_for_class_zero_and_permuted_codes_for_class_one() -> None:
    right, wrong = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, math.log(3)]])
    assert judgement(right, wrong).loss.item() == approx(-math.log(0.75))
    assert judgement(wrong, right).loss.item() == approx(-math.log(0.25))


def test_probabilities_are_clipped_at_a_millionth_and_the_correlation_is_not() -> None:
    verdict = judgement(torch.tensor([[-50.0, 50.0]]), torch.tensor([[50.0, -50.0]]))
    assert verdict.loss.item() == approx(-math.log(1e-6), rel=1e-6)
    assert verdict.total_correlation.item() == -100


@given(SEEDS, st.integers(1, 6), st.floats(0.1, 30))
def test_judgements_are_those_of_loops(seed: int, batch_size: int, scale: float) -> None:
    logits, permuted = scale * np.random.default_rng(seed).standard_normal((2, batch_size, 2))
    verdict = judgement(torch.tensor(logits), torch.tensor(permuted))
    assert verdict.loss.item() == approx(-oracles.discriminator_objective(logits, permuted), rel=1e-9)
    assert verdict.total_correlation.item() == approx(oracles.discriminated_correlation(logits), rel=1e-9, abs=1e-12)


def test_a_discriminator_is_judged_alike_with_and_without_gradients() -> None:
    layers = layers_of(3, 8)
    networks, (codes_BZ, permuted_BZ) = networks_of(layers, 0), codes_of(1, 5, 3)
    with torch.no_grad():
        evaluated = judge(networks, layers, codes_BZ, permuted_BZ)
    trained = judge(networks, layers, codes_BZ, permuted_BZ)
    torch.testing.assert_close((evaluated.total_correlation, evaluated.loss), (trained.total_correlation, trained.loss))


# ---------------------------------------------------------------------------------------------------------- gradients
def test_slopes_of_the_loss_are_what_differences_say() -> None:
    logits, permuted = (torch.tensor(x) for x in np.random.default_rng(0).standard_normal((2, 4, 2)))
    difference = torch.tensor([1.0, -1.0], dtype=torch.float64) / 2
    step = 1e-6
    for row, slope in enumerate(loss_slopes(logits, permuted).tolist()):
        moved = [torch.cat((logits, permuted)) for _ in range(2)]
        moved[0][row] -= step * difference
        moved[1][row] += step * difference
        below, above = (judgement(x[:4], x[4:]).loss.item() for x in moved)
        assert slope == approx((above - below) / (2 * step), rel=1e-6)


def test_a_clipped_probability_has_no_slope() -> None:
    logits = torch.tensor([[20.0, 0.0], [-20.0, 0.0], [1.0, 0.0]])
    assert (loss_slopes(logits, -logits) != 0).tolist() == [False, False, True] * 2


def test_a_number_takes_another_value_and_keeps_its_gradient() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = with_value(x**2, torch.tensor(0.1))
    assert y.item() == torch.tensor(0.1).item()
    assert torch.autograd.grad(y, x)[0].item() == 4


def plain(networks: Networks, layers: tuple[Layer, ...], codes_BZ: Tensor, permuted_BZ: Tensor) -> Judgement:
    return judgement(networks.run(layers, codes_BZ), networks.run(layers, permuted_BZ))


def two_gradients(verdict: Judgement, networks: Networks, codes_BZ: Tensor) -> list[Tensor]:
    by_codes = torch.autograd.grad(verdict.total_correlation, codes_BZ, retain_graph=True)
    return [*by_codes, *torch.autograd.grad(verdict.loss, list(networks.weights.values()))]


# Of scale 3 most probabilities are clipped.
@given(SEEDS, st.integers(1, 6), st.integers(1, 4), st.sampled_from([0.1, 1.0, 3.0]))
def test_one_backward_pass_gives_the_gradients_of_two(
    seed: int, batch_size: int, num_latent: int, scale: float
) -> None:
    layers = layers_of(num_latent, 7, 5)
    networks, (codes_BZ, permuted_BZ) = networks_of(layers, seed, scale=scale), codes_of(seed, batch_size, num_latent)
    once = judge_with_one_backward_pass(networks, layers, codes_BZ, permuted_BZ)
    twice = plain(networks, layers, codes_BZ, permuted_BZ)
    assert once.total_correlation.item() == approx(twice.total_correlation.item(), rel=1e-12, abs=1e-12)
    assert once.loss.item() == approx(twice.loss.item(), rel=1e-12)
    expected = two_gradients(twice, networks, codes_BZ)
    # At p = 1 - 1e-6 autograd's 1 - p keeps ten digits, the slopes all of them.
    torch.testing.assert_close(two_gradients(once, networks, codes_BZ), expected, rtol=1e-8, atol=1e-10)


def test_each_loss_depends_on_its_own_variables_alone() -> None:
    layers = layers_of(3, 8)
    networks, (codes_BZ, permuted_BZ) = networks_of(layers, 0), codes_of(1, 5, 3)
    verdict = judge(networks, layers, codes_BZ, permuted_BZ.requires_grad_())
    weights = list(networks.weights.values())
    for loss, inputs in ((verdict.loss, [codes_BZ, permuted_BZ]), (verdict.total_correlation, weights)):
        assert torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True) == (None,) * len(inputs)


def multiplications(networks: Networks, layers: tuple[Layer, ...], judged: Any) -> int:
    codes_BZ, permuted_BZ = codes_of(0, 16, 2)
    with FlopCounterMode(display=False) as counter:
        two_gradients(judged(networks, layers, codes_BZ, permuted_BZ), networks, codes_BZ)
    return int(counter.get_total_flops()) // 2


def test_one_backward_pass_is_six_passes_of_a_batch_where_two_are_seven() -> None:
    layers = layers_of(2, 200, 200, 200)  # first and last layer are small
    networks, one_pass = networks_of(layers, 0), 16 * (2 * 200 * 200)
    assert multiplications(networks, layers, judge) / one_pass == approx(6, rel=0.05)
    assert multiplications(networks, layers, plain) / one_pass == approx(7, rel=0.05)


class Blend:
    """A layer whose rows see each other: there sensitivities can't be scaled row by row."""

    def variables(self) -> tuple[()]:
        return ()

    def apply(self, x: Tensor, weights: Any, ops: Any) -> Tensor:
        return x - x.mean(dim=0)


@pytest.mark.parametrize("layers", [(Blend(), *layers_of(3, 4)), layers_of(3, 4)])
def test_layers_whose_rows_see_each_other_have_the_right_gradients_too(layers: tuple[Layer, ...]) -> None:
    networks, (codes_BZ, permuted_BZ) = networks_of(layers, 0), codes_of(1, 5, 3)
    expected = two_gradients(plain(networks, layers, codes_BZ, permuted_BZ), networks, codes_BZ)
    given_gradients = two_gradients(judge(networks, layers, codes_BZ, permuted_BZ), networks, codes_BZ)
    torch.testing.assert_close(given_gradients, expected)
