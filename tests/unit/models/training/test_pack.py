"""A model in a pack equals the model alone: bit for bit in turn, to rounding where the members are stacked.

Tolerance of stacked members: the sums of a step run in another order, which moves a gradient by about 1e-7 of its
size, and Adam turns the relative error of a small gradient into that of a whole step. After 12 steps of 1e-3 the
weights agree to 2e-5; random streams that differed would move them by 1e-3 and more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tape_graph import TapeGraph
from torch import Tensor

from disentanglement.errors import NonFiniteLoss, SpecError
from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.graphs import Graph
from disentanglement.models.networks.ops import Ops
from disentanglement.models.networks.stacked_ops import GROUPED, MATMUL
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.models.objectives.protocol import Terms
from disentanglement.models.training.meter import NEVER, bad_steps
from disentanglement.models.training.pack import Pack, Way, way_for, what_is_shared
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

SMALL: dict[str, Any] = {"architecture": {"encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}}
FAST = {"adam": {"learning_rate": 1e-3}}
RELATIVE, ABSOLUTE = 1e-4, 2e-5

SIX: list[dict[str, Any]] = [
    {"objective": {"beta_vae": {"beta": 4.0}}, "random_seed": 1},
    {"objective": {"annealed_vae": {"gamma": 10.0, "c_max": 5.0, "iteration_threshold": 100}}, "random_seed": 2},
    {"objective": {"factor_vae": {"gamma": 6.0}}, "random_seed": 3},
    {"objective": {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 10.0, "dip_type": "i"}}, "random_seed": 4},
    {"objective": {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 1.0, "dip_type": "ii"}}, "random_seed": 5},
    {"objective": {"beta_tc_vae": {"beta": 6.0}}, "random_seed": 1},
]
"""All unsupervised models; two have the same seed."""


def specs_of(spec: TrainSpec, changes: list[dict[str, Any]], **shared: Any) -> list[TrainSpec]:
    return [spec.replace(**({"optimizer": FAST} | SMALL | shared | own)) for own in changes]


def trainings(specs: list[TrainSpec], data: TrainingData) -> list[Training]:
    return [Training(spec, data) for spec in specs]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_close(one: Training, other: Training) -> None:
    """States agree within the tolerance, whatever the terms that were not read."""
    mine, theirs = one.state(), other.state()
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=RELATIVE, atol=ABSOLUTE, msg=name)


def storage_share(tensor: Tensor) -> float:
    """How much of the memory that it keeps alive a tensor is."""
    return tensor.nbytes / tensor.untyped_storage().nbytes()


def assert_same_terms(one: Training, other: Training) -> None:
    mine, theirs = one.read_terms(), other.read_terms()
    assert (mine.step, mine.num_iterations) == (theirs.step, theirs.num_iterations)
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert mine.reported == pytest.approx(theirs.reported, rel=1e-4, abs=1e-4)
    assert mine.kl_Z == pytest.approx(theirs.kl_Z, rel=1e-3, abs=1e-5)


def test_members_in_turn_equal_themselves_alone_bit_for_bit(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, SIX[:2] + SIX[3:])
    pack, alone = Pack(trainings(specs, data), "in_turn"), trainings(specs, data)
    pack.advance(4)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(4)
        assert equal(member.state(), solo.state())


@pytest.mark.parametrize("graphs", [None, TapeGraph], ids=["loop", "recorded"])
def test_all_six_unsupervised_models_stacked_equal_themselves_alone(
    graphs: Callable[[], Graph] | None, spec: TrainSpec, data: TrainingData
) -> None:
    specs = specs_of(spec, SIX)
    pack, alone = Pack(trainings(specs, data), "stacked", graphs=graphs), trainings(specs, data)
    for _ in range(2):
        pack.advance(6)
        for member, solo in zip(pack.members, alone, strict=True):
            solo.advance(6)
            assert_same_terms(member, solo)
    for member, solo in zip(pack.members, alone, strict=True):
        assert_close(member, solo)
        assert member.evaluate() == pytest.approx(solo.evaluate(), rel=1e-3, abs=1e-3)
        assert member.step == solo.step


def test_discriminators_with_optimisers_of_their_own(spec: TrainSpec, data: TrainingData) -> None:
    optimizers = [{"beta1": 0.5, "beta2": 0.9}, {"beta1": 0.5, "beta2": 0.9, "learning_rate": 1e-3}, {"beta1": 0.0}]
    objectives = [{"factor_vae": {"gamma": 6.0, "discriminator_optimizer": {"adam": adam}}} for adam in optimizers]
    specs = specs_of(spec, [{"objective": objective, "random_seed": k} for k, objective in enumerate(objectives)])
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    pack.advance(3)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(3)
        assert_close(member, solo)


def test_a_recorded_stack_equals_the_stack_bit_for_bit_across_blocks(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, [SIX[0], SIX[1], SIX[5]])
    recorded, loop = (Pack(trainings(specs, data), "stacked", graphs=graphs) for graphs in (TapeGraph, None))
    for pack in (recorded, loop):
        pack.advance(140)
    for one, other in zip(recorded.members, loop.members, strict=True):
        assert equal(one.state(), other.state())
        assert one.read_terms() == other.read_terms()


def test_convolutional_members_stacked_equal_themselves_alone(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, [SIX[0], SIX[4]], architecture={})
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    pack.advance(3)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(3)
        assert_same_terms(member, solo)
        assert_close(member, solo)


def test_members_in_bf16_stacked_equal_themselves_alone(spec: TrainSpec, data: TrainingData) -> None:
    """To the rounding of its 8 bits: a sum in another order may round to the neighbour, 0.4 % away."""
    specs = specs_of(spec, SIX[:2], architecture={}, precision="bf16")
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    exact = Training(specs[0].replace(precision="fp32"), data)
    pack.advance(2)
    exact.advance(2)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(2)
        assert member.read_terms().loss == pytest.approx(solo.read_terms().loss, rel=1e-3)
    weights, own, others = pack.members[0].weights(), alone[0].weights(), exact.weights()
    away = [sum(float((weights[name] - of[name]).abs().sum()) for name in weights) for of in (own, others)]
    assert away[0] < 0.5 * away[1]  # nearer to itself alone than to what it would be in fp32


@settings(max_examples=10)
@given(
    betas=st.lists(st.floats(0, 20), min_size=1, max_size=5),
    rates=st.lists(st.sampled_from([1e-2, 1e-3, 1e-4]), min_size=5, max_size=5),
)
def test_any_number_of_members_with_strengths_and_learning_rates_of_their_own(
    betas: list[float], rates: list[float], spec: TrainSpec, data: TrainingData
) -> None:
    changes = [
        {"objective": {"beta_vae": {"beta": beta}}, "random_seed": seed, "optimizer": {"adam": {"learning_rate": rate}}}
        for seed, (beta, rate) in enumerate(zip(betas, rates, strict=False))
    ]
    specs = specs_of(spec, changes)
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    pack.advance(2)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(2)
        assert_same_terms(member, solo)


@pytest.mark.parametrize("way", ["in_turn", "stacked"])
def test_a_member_that_blows_up_fails_alone_and_the_others_keep_their_bits(
    way: Way, spec: TrainSpec, data: TrainingData
) -> None:
    healthy = [SIX[0], SIX[5], SIX[3]]
    wild = {**SIX[0], "optimizer": {"adam": {"learning_rate": 1e15}}}
    tame = {**SIX[0], "optimizer": {"adam": {"learning_rate": 1e-9}}}
    packs = [Pack(trainings(specs_of(spec, [healthy[0], third, *healthy[1:]]), data), way) for third in (wild, tame)]
    for pack in packs:
        pack.advance(6)
    with pytest.raises(NonFiniteLoss) as failure:
        packs[0].members[1].read_terms()
    assert failure.value.step < 6
    for pack in packs:
        pack.drop(pack.members[1])
        pack.advance(3)
    for beside_the_wild, beside_the_tame in zip(packs[0].members, packs[1].members, strict=True):
        assert beside_the_wild.read_terms() == beside_the_tame.read_terms()
        assert equal(beside_the_wild.state(), beside_the_tame.state())


@pytest.mark.parametrize("way", ["in_turn", "stacked"])
def test_a_member_of_a_pack_says_whose_loss_and_which_term_is_not_finite(
    way: Way, spec: TrainSpec, data: TrainingData
) -> None:
    members = trainings(specs_of(spec, [SIX[0], *(own for own in SIX if "factor_vae" in own["objective"])]), data)
    pack = Pack(members, way)
    pack.advance(2)
    members[0].weights()["encoder.log_var.bias"].fill_(200.0)  # its exponential overflows, and the KL with it
    of_discriminator = members[1].objective.players[0].variables[-1].name
    members[1].optimizers[1].weights[-1].detach().fill_(float("nan"))
    pack.advance(3)
    with pytest.raises(NonFiniteLoss) as of_vae:
        members[0].read_terms()
    assert "kl_loss" in of_vae.value.what
    assert "discriminator" not in of_vae.value.what
    with pytest.raises(NonFiniteLoss) as of_player:
        members[1].read_terms()
    assert of_discriminator.startswith("discriminator.")
    assert of_player.value.what == "the model's loss (regularizer) and the discriminator's loss"


def test_a_pack_is_formed_anew_half_way_from_checkpoints_of_others(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, [SIX[0], SIX[2], SIX[4]])
    whole = trainings(specs, data)
    for solo in whole:
        solo.advance(9)
    first, second = Pack(trainings(specs[:2], data), "stacked"), trainings(specs[2:], data)
    first.advance(4)
    second[0].advance(7)  # another number of iterations than the others
    again = trainings([specs[1], specs[2], specs[0]], data)
    for training, source in zip(again, (first.members[1], second[0], first.members[0]), strict=True):
        training.restore(tensors_from_bytes(tensors_to_bytes(source.state())))
    pack = Pack(again, "stacked", graphs=TapeGraph)
    pack.advance(2)
    done = pack.members[1]
    pack.drop(done)
    pack.advance(3)
    for member, solo in zip((again[0], done, again[2]), (whole[1], whole[2], whole[0]), strict=True):
        assert member.step == solo.step
        assert_close(member, solo)


def test_a_member_goes_on_alone_after_it_left(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, SIX[:2])
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    pack.advance(3)
    left, stayed = pack.members
    before = stayed.state()
    assert {storage_share(w) for w in left.weights().values()} == {1 / 2}
    pack.drop(left)
    assert {storage_share(w) for w in left.weights().values()} == {1}
    left.advance(3)
    assert equal(stayed.state(), before)
    alone[0].advance(6)
    assert_close(left, alone[0])


def test_a_member_that_is_restored_inside_a_pack_goes_on_from_there(spec: TrainSpec, data: TrainingData) -> None:
    specs = specs_of(spec, SIX[:2])
    pack, alone = Pack(trainings(specs, data), "stacked"), trainings(specs, data)
    beginning = pack.members[0].state()
    pack.advance(4)
    pack.members[0].restore(beginning)
    pack.advance(2)
    for solo, num_iterations in zip(alone, (2, 6), strict=True):
        solo.advance(num_iterations)
    for member, solo in zip(pack.members, alone, strict=True):
        assert_close(member, solo)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 5},
        {"architecture": {"num_latent": 3, **SMALL["architecture"]}},
        {"reconstruction": {"l2_loss": {}}},
        {"optimizer": {"adam": {"beta1": 0.5}}},
        {"optimizer": {"gradient_descent": {"learning_rate": 1e-3}}},
        {"objective": {"group_vae": {"beta": 1.0, "aggregation": "argmax"}}, "pairs": {"k": 1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_models_that_differ_in_more_than_a_pack_allows_are_refused(
    changes: dict[str, Any], spec: TrainSpec, data: TrainingData
) -> None:
    one, other = specs_of(spec, [SIX[0], {**SIX[0], **changes}])
    assert what_is_shared(one) != what_is_shared(other)


def test_a_pack_of_other_data_or_networks_is_refused(spec: TrainSpec, data: TrainingData) -> None:
    one, other = specs_of(spec, [SIX[0], {**SIX[0], "batch_size": 5}])
    with pytest.raises(SpecError, match="pack: wanted equal networks"):
        Pack(trainings([one, other], data), "stacked")
    copy = TrainingData(data.encoded_images(0, 100).numpy().astype("uint8"))
    with pytest.raises(SpecError, match="over one data set"):
        Pack([Training(one, data), Training(one, copy)], "in_turn")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("ops", [MATMUL, GROUPED], ids=["matmul", "grouped"])
def test_on_a_gpu_a_recorded_stack_equals_the_members_alone(
    ops: Ops, spec: TrainSpec, caplog: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 64, 8), dtype=np.uint8)
    on_gpu = TrainingData(images, device="cuda")
    specs = specs_of(spec, SIX, architecture={}, optimizer={})
    pack, alone = Pack(trainings(specs, on_gpu), "stacked", ops=ops), trainings(specs, on_gpu)
    pack.advance(10)
    for member, solo in zip(pack.members, alone, strict=True):
        solo.advance(10)
        assert_same_terms(member, solo)
    assert not caplog.records


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_players_loss_that_is_not_finite_counts_too(wrong: float) -> None:
    for loss, of_players, bad in [
        (2.0, (1.0, wrong), [NEVER, NEVER, 7]),
        (wrong, (1.0, 2.0), [7, NEVER, NEVER]),
        (2.0, (1.0, 3.0), [NEVER] * 3),
    ]:
        terms = Terms(torch.tensor(loss), {}, torch.zeros(3), tuple(map(torch.tensor, of_players)))
        assert bad_steps(terms, torch.tensor(7)).tolist() == bad


def test_every_device_has_its_way() -> None:
    assert way_for("cpu") is None
    assert way_for("cuda:1") == "stacked"
