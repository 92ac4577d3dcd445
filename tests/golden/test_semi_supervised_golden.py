"""The reference's supervised losses, annealers and estimate of mutual information, on the recorded arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from disentanglement.models.objectives.mine import mutual_information
from disentanglement.models.objectives.supervision import annealed, normalized, supervised_loss
from disentanglement.specs.supervision import AnnealerSpec, SupervisedLossSpec

GOLDEN = Path(__file__).parent / "losses"
VALUES: dict[str, Any] = json.loads((GOLDEN / "semi_supervised.json").read_text())
SIZES = (3, 6, 40, 32, 32)


def array(name: str) -> Tensor:
    with np.load(GOLDEN / "semi_supervised.npz") as file:
        return torch.from_numpy(file[name])


def weights_of_embed() -> dict[str, Tensor]:
    weights = {}
    for k in range(len(SIZES)):
        weights[f"supervised.{k}.embedding"] = array(f"embedding_{k}")
        for name in ("bias", "slope", "sigma"):
            weights[f"supervised.{k}.{name}"] = array(f"embed_{name}")[k : k + 1]
    return weights


def value(spec: dict[str, Any], weights: dict[str, Tensor]) -> float:
    loss = supervised_loss(SupervisedLossSpec.model_validate(spec), SIZES, num_latent=10)
    assert {v.name for v in loss.variables} <= weights.keys()
    return loss.value(array("representation"), array("labels"), weights).item()


def test_sizes_and_normalized_labels_are_those_recorded() -> None:
    assert tuple(array("factor_sizes").tolist()) == SIZES
    np.testing.assert_allclose(normalized(array("labels"), SIZES), array("normalized_labels"), rtol=1e-7)


@pytest.mark.parametrize(("name", "b"), [("l2_learn_scale_b1", 1.0), ("l2_learn_scale_b0.7", 0.7)])
def test_l2_with_a_learned_scale_is_that_of_the_reference(name: str, b: float) -> None:
    assert value({"l2": {}}, {"supervised.b": torch.tensor([b])}) == pytest.approx(VALUES[name]["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "spec"), [("l2_sigmoid", {"l2": {"learn_scale": False}}), ("xent", {"xent": {}}), ("cov", {"cov": {}})]
)
def test_losses_without_variables_are_those_of_the_reference(name: str, spec: dict[str, Any]) -> None:
    assert value(spec, {}) == pytest.approx(VALUES[name]["loss"], rel=1e-5)


@pytest.mark.parametrize("sigma", ["0.5", "1.0", "learn"])
@pytest.mark.parametrize("use_order", [False, True])
def test_embed_is_that_of_the_reference(sigma: str, use_order: bool) -> None:
    width = {"learned": {}} if sigma == "learn" else {"fixed": {"value": float(sigma)}}
    expected = VALUES[f"embed_sigma_{sigma}" + ("_order" if use_order else "")]["loss"]
    spec = {"embed": {"sigma": width, "use_order": use_order}}
    assert value(spec, weights_of_embed()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("recorded", VALUES["annealers"])
def test_annealers_are_those_of_the_reference(recorded: str) -> None:
    anneal_fn, *settings = recorded.split(",")
    gamma, threshold, step = (int(setting.partition("=")[2]) for setting in settings)
    spec = AnnealerSpec.model_validate({"anneal_fn": anneal_fn, "iteration_threshold": threshold})
    weight = annealed(float(gamma), spec, torch.tensor(step))
    assert weight.dtype == torch.float32
    assert weight.item() == VALUES["annealers"][recorded]


def test_the_estimate_of_mutual_information_is_that_of_the_reference() -> None:
    weights = {"d1_x.kernel": "kernel_x", "d1_x.bias": "bias_x", "d1_y.kernel": "kernel_z", "d1_y.bias": "bias_z"}
    weights |= {"d2.kernel": "kernel_2", "d2.bias": "bias_2"}
    stacks = {f"estimator_network.{ours}": array(f"mine_{theirs}")[None] for ours, theirs in weights.items()}
    x_PB, y_PB = array("mine_x").T, array("mine_z").T
    estimate_P = mutual_information(x_PB, y_PB, array("mine_permutation")[None], stacks)
    assert estimate_P.tolist() == pytest.approx([VALUES["mine"]["mi"]], abs=1e-5)
