from __future__ import annotations

import numpy as np
import pytest
import torch

from disentanglement.models.objectives.reconstruction import bernoulli_loss, intensities, l2_loss


def test_bernoulli_loss_of_an_undecided_decoder_is_log_two_for_every_pixel() -> None:
    images = torch.tensor([0.0, 1.0, 0.25, 1.0]).repeat(2, 1).view(2, 2, 2, 1)
    assert bernoulli_loss(images, torch.zeros(2, 2, 2, 1)).tolist() == pytest.approx([4 * np.log(2)] * 2)


def test_bernoulli_loss_is_the_cross_entropy_of_the_sigmoid() -> None:
    loss_B = bernoulli_loss(torch.full((1, 1, 1, 1), 0.25), torch.full((1, 1, 1, 1), np.log(3.0)))
    assert loss_B.item() == pytest.approx(-(0.25 * np.log(0.75) + 0.75 * np.log(0.25)))


def test_bernoulli_loss_with_tanh_reads_outputs_as_half_tanh_plus_half() -> None:
    outputs = torch.full((1, 1, 1, 1), float(np.arctanh(0.5)))  # intensity 0.75
    loss_B = bernoulli_loss(torch.zeros(1, 1, 1, 1), outputs, activation="tanh")
    assert loss_B.item() == pytest.approx(-np.log(0.25))


def test_bernoulli_loss_with_tanh_clips_intensities_at_a_millionth() -> None:
    loss_B = bernoulli_loss(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), -50.0), activation="tanh")
    assert loss_B.item() == pytest.approx(-np.log(1e-6), rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "expected"), [("logits", 0.25**2), ("tanh", (0.5 - np.tanh(np.log(3)) / 2) ** 2)]
)
def test_l2_loss_is_the_plain_sum_of_squares(activation: str, expected: float) -> None:
    outputs = torch.full((1, 2, 1, 3), np.log(3.0))
    loss_B = l2_loss(torch.ones(1, 2, 1, 3), outputs, activation=activation)  # type: ignore[arg-type]
    assert loss_B.item() == pytest.approx(6 * expected)


def test_subtracting_the_entropy_of_the_image_changes_the_value_alone() -> None:
    images = torch.full((1, 1, 2, 1), 0.5)
    gradients = []
    for subtract, expected in ((False, 2 * np.log(2)), (True, 0.0)):
        outputs = torch.zeros(1, 1, 2, 1, requires_grad=True)
        loss = bernoulli_loss(images, outputs, subtract_true_image_entropy=subtract).sum()
        assert loss.item() == pytest.approx(expected, abs=1e-6)
        gradients.append(torch.autograd.grad(loss, outputs)[0])
    assert torch.equal(*gradients)


def test_intensities_lie_between_zero_and_one() -> None:
    outputs = torch.tensor([-100.0, 0.0, 100.0])
    assert intensities(outputs, "logits").tolist() == intensities(outputs, "tanh").tolist() == [0.0, 0.5, 1.0]
