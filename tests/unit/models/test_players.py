"""The training loop with a toy objective: a player, variables of its own, an untrained one, two steps each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from disentanglement.errors import NonFiniteLoss
from disentanglement.models import catalog
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.networks import GradientDescent, OptimizerSpec

RATE = 0.5
DESCENT = OptimizerSpec(gradient_descent=GradientDescent(learning_rate=RATE))
BETA_VAE = {"beta_vae": {"beta": 1.0}}


@dataclass(frozen=True)
class Toy:
    """Own variable a starts at 0, the player's p at 0: loss (a - 1)^2 + 3 p + u, player's (p - a - 2)^2."""

    steps_per_iteration: int = 2
    variables = (Variable("toy.a", (1,)),)
    untrained = (Variable("toy.u", (1,)),)
    players = (Player("toy", (Variable("toy.p", (1,)),), DESCENT),)

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        a, p, u = (networks.weights[f"toy.{name}"].sum() for name in "apu")
        loss = (a - 1).square() + 3 * p + u
        return Terms(loss, {"a": a, "step": step.float()}, torch.zeros(10), ((p - a - 2).square(),))


@pytest.fixture
def toy(spec: TrainSpec, monkeypatch: pytest.MonkeyPatch) -> TrainSpec:
    monkeypatch.setattr(catalog, "REGULARIZERS", {})
    monkeypatch.setattr(catalog, "OBJECTIVES", {"beta_vae": lambda spec, sizes: Toy()})
    return spec.replace(optimizer=DESCENT, objective=BETA_VAE)


def value(training: Training, name: str) -> float:
    return training.state()[f"weights.toy.{name}"].item()


def test_all_gradients_are_taken_at_the_same_weights_and_move_their_own_variables_alone(
    toy: TrainSpec, data: TrainingData
) -> None:
    training = Training(toy, data)
    training.advance(1)
    # a: 0 - 0.5 * 2 (0 - 1) = 1; p: 0 - 0.5 * 2 (0 - 0 - 2) = 2, and would be 3 had it seen the new a
    assert (value(training, "a"), value(training, "p"), value(training, "u")) == (1.0, 2.0, 0.0)
    training.advance(1)
    assert (value(training, "a"), value(training, "p")) == (1.0, 3.0)


@pytest.mark.parametrize(("per_iteration", "budget", "iterations"), [(1, 10, 10), (2, 10, 6), (2, 9, 5), (2, 1, 1)])
def test_an_iteration_counts_the_steps_that_the_reference_counts(
    per_iteration: int,
    budget: int,
    iterations: int,
    toy: TrainSpec,
    data: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "OBJECTIVES", {"beta_vae": lambda spec, sizes: Toy(per_iteration)})
    training = Training(toy.replace(training_steps=budget), data)
    training.advance_to(training.num_steps)
    assert (training.iteration, training.step) == (iterations, iterations * per_iteration)
    assert training.evaluate()["global_step"] == iterations * per_iteration
    assert training.read_terms().reported["step"] == per_iteration * (iterations - 1) / 2  # seen: the steps before


def test_a_state_holds_everything_and_the_model_only_its_networks(toy: TrainSpec, data: TrainingData) -> None:
    one, other = Training(toy, data), Training(toy, data)
    one.advance(1)
    other.restore(one.state())
    one.advance(2)
    other.advance(2)
    assert (other.step, other.iteration) == (6, 3)
    assert all(torch.equal(one.state()[name], tensor) for name, tensor in other.state().items())
    assert {"weights.toy.a", "weights.toy.u", "weights.toy.p"} <= one.state().keys()
    assert not any(name.startswith("toy.") for name in one.weights())
    assert set(one.model().networks.weights) == set(one.weights())


def test_a_player_whose_loss_is_not_finite_stops_the_training(toy: TrainSpec, data: TrainingData) -> None:
    training = Training(toy, data)
    training.advance(2)
    state = training.state()
    state["weights.toy.p"].fill_(1e30)  # its square overflows; three times itself does not
    training.restore(state)
    training.advance(1)
    with pytest.raises(NonFiniteLoss) as failure:
        training.read_terms()
    assert failure.value.step == 4
    assert failure.value.what == "the toy's loss"  # and not the model's, which is three times p


def test_a_loss_names_the_terms_that_are_not_finite_and_the_players_beside_it(
    toy: TrainSpec, data: TrainingData
) -> None:
    training = Training(toy, data)
    training.advance(1)
    state = training.state()
    state["weights.toy.a"].fill_(float("inf"))
    training.restore(state)
    training.advance(3)
    with pytest.raises(NonFiniteLoss) as failure:
        training.read_terms()
    assert (failure.value.step, failure.value.what) == (2, "the model's loss (a) and the toy's loss")


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_training_and_evaluation_run_under_the_switches_of_their_precision(
    precision: str, toy: TrainSpec, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    class Watching(Toy):
        def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
            seen.append(torch.backends.cuda.matmul.allow_tf32)
            return super().loss(networks, batch, noise, step)

    monkeypatch.setattr(catalog, "OBJECTIVES", {"beta_vae": lambda spec, sizes: Watching()})
    training = Training(toy.replace(precision=precision, eval_steps=1), data)
    training.advance(1)
    training.evaluate()
    assert seen == [precision == "tf32"] * 2
    assert not torch.backends.cuda.matmul.allow_tf32
