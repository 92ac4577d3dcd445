from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from disentanglement.models.networks.posterior import Posterior

MODERATE = st.floats(-5, 5, width=32)


@pytest.mark.parametrize(
    ("mean", "logvar", "expected"),
    [(0.0, 0.0, 0.0), (1.0, 0.0, 5.0), (1.0, 1.0, 5 * (np.e - 1)), (0.0, np.log(4), 5 * (3 - np.log(4)))],
)
def test_divergence_from_the_prior_is_the_closed_form(mean: float, logvar: float, expected: float) -> None:
    posterior = Posterior(torch.full((7, 10), mean), torch.full((7, 10), logvar))
    assert posterior.kl_per_latent().sum().item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_divergence_is_averaged_over_the_batch_and_kept_apart_for_each_latent() -> None:
    mean_BZ = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    assert Posterior(mean_BZ, torch.zeros(2, 2)).kl_per_latent().tolist() == [1.0, 0.0]


def test_a_sample_is_the_mean_plus_noise_in_units_of_the_standard_deviation() -> None:
    posterior = Posterior(torch.tensor([[1.0, -1.0]]), torch.tensor([[np.log(4.0), 0.0]], dtype=torch.float32))
    assert posterior.sample(torch.tensor([[3.0, -2.0]]))[0].tolist() == pytest.approx([7.0, -3.0])


@given(mean=arrays(np.float32, (3, 2), elements=MODERATE), logvar=arrays(np.float32, (3, 2), elements=MODERATE))
def test_divergence_is_never_negative(
    mean: np.ndarray[tuple[int, int], np.dtype[np.float32]], logvar: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    assert (Posterior(torch.tensor(mean), torch.tensor(logvar)).kl_per_latent() >= -1e-6).all()
