from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from disentanglement.errors import CorruptArtifact, NonFiniteLoss, NotBuiltYet
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every way from a device's number to a Python value passes one of these operations."""

    WAITING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert func.__name__.split(".")[0] not in self.WAITING, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_steps_never_wait_for_the_device(spec: TrainSpec, data: TrainingData) -> None:
    training = Training(spec, data)
    with NoWaiting():
        training.advance(2)
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        training.weights()["encoder.e1.bias"].sum().item()


def test_a_run_resumed_in_the_middle_equals_an_uninterrupted_one_bit_for_bit(
    spec: TrainSpec, data: TrainingData
) -> None:
    whole, first, second = Training(spec, data), Training(spec, data), Training(spec, data)
    whole.advance(5)
    first.advance(3)
    second.advance(1)  # whatever it did before, it forgets
    second.restore(tensors_from_bytes(tensors_to_bytes(first.state())))
    assert second.step == 3
    second.advance(2)
    assert equal(second.state(), whole.state())
    assert second.evaluate() == whole.evaluate()


def test_a_state_is_a_copy_that_later_steps_do_not_change(spec: TrainSpec, data: TrainingData) -> None:
    training = Training(spec, data)
    training.advance(1)
    state = training.state()
    before = tensors_to_bytes(state)
    training.advance(1)
    assert tensors_to_bytes(state) == before


def test_a_model_is_a_copy_that_later_steps_do_not_change(spec: TrainSpec, data: TrainingData) -> None:
    training = Training(spec, data)
    model, images = training.model(), data.encoded_images(0, 2).numpy()
    before = model.encode(images)[0]
    training.advance(1)
    assert np.array_equal(model.encode(images)[0], before)
    assert not np.array_equal(training.model().encode(images)[0], before)


RESUME = """
import sys
from pathlib import Path
import numpy as np, torch
from disentanglement.models.data.images import TrainingData
from disentanglement.models.training.training import Training
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.specs import TrainSpec
torch.set_num_threads(1)
folder = Path(sys.argv[1])
spec = TrainSpec.model_validate_json((folder / "spec.json").read_text())
training = Training(spec, TrainingData(np.random.default_rng(0).integers(0, 256, (100, 64, 8), dtype=np.uint8)))
training.restore(tensors_from_bytes((folder / "state").read_bytes()))
training.advance(2)
(folder / "state").write_bytes(tensors_to_bytes(training.state()))
"""


def test_another_process_continues_with_the_same_bits(spec: TrainSpec, data: TrainingData, tmp_path: Path) -> None:
    training = Training(spec, data)
    training.advance(2)
    (tmp_path / "spec.json").write_text(spec.model_dump_json(exclude_none=True))
    (tmp_path / "state").write_bytes(tensors_to_bytes(training.state()))
    subprocess.run([sys.executable, "-c", RESUME, str(tmp_path)], check=True, timeout=120)
    training.advance(2)
    assert (tmp_path / "state").read_bytes() == tensors_to_bytes(training.state())


def test_terms_are_means_over_the_steps_since_the_last_read(spec: TrainSpec, data: TrainingData) -> None:
    one_by_one, together = Training(spec, data), Training(spec, data)
    single = []
    for _ in range(3):
        one_by_one.advance(1)
        single.append(one_by_one.read_terms())
    together.advance(3)
    means = together.read_terms()
    assert (means.step, means.num_iterations) == (3, 3)
    assert means.loss == pytest.approx(sum(terms.loss for terms in single) / 3, rel=1e-12)
    assert means.reported["kl_loss"] == pytest.approx(sum(terms.reported["kl_loss"] for terms in single) / 3)
    assert sum(means.kl_Z) == pytest.approx(means.reported["kl_loss"], rel=1e-5)
    with pytest.raises(ValueError, match="no step"):
        together.read_terms()


def test_reported_terms_add_up(spec: TrainSpec, data: TrainingData) -> None:
    training = Training(spec, data)
    training.advance(1)
    terms = training.read_terms()
    reported = terms.reported
    assert terms.loss == pytest.approx(reported["reconstruction_loss"] + reported["regularizer"], rel=1e-6)
    assert reported["regularizer"] == pytest.approx(4 * reported["kl_loss"], rel=1e-6)
    assert reported["elbo"] == pytest.approx(-reported["reconstruction_loss"] - reported["kl_loss"], rel=1e-6)


def test_a_loss_that_is_not_finite_is_reported_with_its_step(spec: TrainSpec, data: TrainingData) -> None:
    training = Training(spec, data)
    training.advance(2)
    training.weights()["decoder.d6.bias"].fill_(float("nan"))
    training.advance(3)
    with pytest.raises(NonFiniteLoss) as failure:
        training.read_terms()
    assert failure.value.step == 2
    assert "the model's loss (reconstruction_loss) is not finite at step 2" in str(failure.value)


def test_training_learns_to_reconstruct(spec: TrainSpec) -> None:
    halves = np.zeros((2, 64, 64), dtype=np.uint8)
    halves[0, :, :32] = halves[1, :, 32:] = 1
    fast = spec.replace(optimizer={"adam": {"learning_rate": 1e-3}})
    training = Training(fast, TrainingData(np.packbits(halves, axis=2)))
    training.advance(60)
    assert training.evaluate()["reconstruction_loss"] < 0.5 * 4096 * np.log(2)


def test_evaluation_has_the_references_keys_and_leaves_training_alone(spec: TrainSpec, data: TrainingData) -> None:
    training, undisturbed = Training(spec, data), Training(spec, data)
    training.advance(1)
    undisturbed.advance(1)
    results = training.evaluate()
    assert set(results) == {"reconstruction_loss", "elbo", "regularizer", "kl_loss", "loss", "global_step"}
    assert results["global_step"] == 1
    assert results == training.evaluate()
    assert results["loss"] != Training(spec.replace(eval_steps=2), data).evaluate()["loss"]
    training.advance(1)
    undisturbed.advance(1)
    assert equal(training.state(), undisturbed.state())


def test_moments_too_small_to_matter_become_zero_while_training_and_only_then(
    spec: TrainSpec, data: TrainingData
) -> None:
    training = Training(spec, data)
    state = training.state()
    state["optimizer.second.encoder.e1.kernel"].fill_(1e-42)
    training.restore(state)
    training.weights()["encoder.e1.bias"].fill_(-1e3)  # dead units: no gradient
    training.advance(1)
    assert not training.state()["optimizer.second.encoder.e1.kernel"].any()
    assert (torch.full((1,), 1e-42) * 0.5).item() > 0


def test_models_of_different_seeds_differ_from_the_first_step(spec: TrainSpec, data: TrainingData) -> None:
    one, other = Training(spec, data), Training(spec.replace(random_seed=4), data)
    assert not torch.equal(one.weights()["encoder.e1.kernel"], other.weights()["encoder.e1.kernel"])


def test_a_state_of_another_model_is_refused(spec: TrainSpec, data: TrainingData) -> None:
    wider = Training(spec.replace(architecture={"num_latent": 11}), data)
    with pytest.raises(CorruptArtifact, match=r"decoder\.d1\.kernel"):
        Training(spec, data).restore(wider.state())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dataset": {"name": "a", "options": [{"plugin": {"name": "mine:Option"}}]}}, "dataset.options.plugin"),
        (
            {"dataset": {"name": "a", "options": [{"correlated_factors": {"factors": ["x", "y"], "strength": 1.0}}]}},
            "correlated_factors",
        ),
    ],
)
def test_what_is_not_built_yet_is_refused_by_name(
    changes: dict[str, Any], name: str, spec: TrainSpec, data: TrainingData
) -> None:
    with pytest.raises(NotBuiltYet, match=name):
        Training(spec.replace(**changes), data)
