"""No objective's update waits for the device: it runs where a read by the host is an error.

Tensors on PyTorch's device `meta` have shapes and no values, so that every way from a value to the host (`item`, `if`,
a mask as an index, a copy) raises. Copies to the device pass there, but make a GPU's host wait unless they are
asynchronous: those are looked for as they are dispatched. With a GPU the updates also run in CUDA's own error mode.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from every_objective import every_objective, name_of, training_spec
from small_grid import grid, numbered_images
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from disentanglement.models import catalog
from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.graphs import Unrecorded
from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized
from disentanglement.models.training.captured import WARM_UPS, can_be_recorded
from disentanglement.models.training.training import Training
from disentanglement.specs import ObjectiveSpec

OBJECTIVES = every_objective()
RECORDABLE = [objective for objective in OBJECTIVES if objective.word in catalog.REGULARIZERS]
SIZES = (3, 4, 2)


class NoWaitingCopies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Copies from the host to the device must be asynchronous."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.__name__.split(".")[0]
        if name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            from_host = source.device.type == "cpu" and result.device.type != "cpu"
            assert not from_host or (kwargs or {}).get("non_blocking", False), "a copy to the device waits for it"
        return result


class NoConstants(TorchFunctionMode):
    """Python's numbers become tensors on the host, and are copied below the level at which copies are seen."""

    MAKERS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        assert func not in self.MAKERS or result.device.type == "cpu", "a new constant waits for the device"
        return result


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever would make the host wait for the device `meta`, were it a GPU, raises."""
    with NoConstants(), NoWaitingCopies():
        yield


@contextmanager
def cuda_error_mode() -> Iterator[None]:
    """Whatever makes the host wait for the GPU raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the mode is a prototype, it says
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def _no_initial_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values play no part where there are none; drawing a discriminator's takes a second."""
    monkeypatch.setattr(Variable, "initial", lambda self, seed: torch.empty(self.shape, device="meta"))


def training_on(device: str, objective: ObjectiveSpec) -> Training:
    data = TrainingData(numbered_images(24), device=device)
    return Training(training_spec(objective), data, grid(*SIZES))


def test_every_objective_of_the_catalog_is_here_with_every_option() -> None:
    words = {*catalog.REGULARIZERS, *catalog.OBJECTIVES} - {"plugin"}
    assert {objective.word for objective in OBJECTIVES} == words
    names = [name_of(objective) for objective in OBJECTIVES]
    assert len(set(names)) == len(names)
    assert {"dip_vae_i", "dip_vae_ii", "group_vae_argmax", "mlvae_labels"} <= set(names)


@pytest.mark.usefixtures("_no_initial_weights")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_an_update_never_waits_for_the_device(objective: ObjectiveSpec) -> None:
    training = training_on("meta", objective)
    training.advance(1)
    with no_waiting():
        training.advance(2)


@pytest.mark.usefixtures("_no_initial_weights")
@pytest.mark.parametrize("objective", RECORDABLE, ids=name_of)
def test_an_update_that_is_made_to_be_recorded_never_waits_for_the_device(objective: ObjectiveSpec) -> None:
    training = training_on("meta", objective)
    assert can_be_recorded(training)
    training.record_with(Unrecorded)
    training.advance(WARM_UPS)
    with no_waiting():
        training.advance(2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_an_update_never_waits_for_the_gpu(objective: ObjectiveSpec) -> None:
    training = training_on("cuda", objective)
    training.advance(WARM_UPS + 1)  # it waits while it records
    with cuda_error_mode():
        training.advance(3)
    training.read_terms()


# ------------------------------------------------------------------------------------------- what the test can catch


@dataclass(frozen=True)
class Waits(BetaVae):
    """beta-VAE that looks at a value on the way."""

    look: Callable[[Tensor], Any]

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        self.look(latents.codes_BZ)
        return super().value(latents, networks, noise, step)


def waiting_once(look: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch) -> Training:
    monkeypatch.setitem(catalog.REGULARIZERS, "beta_vae", lambda spec, _: Waits(spec, look))
    (objective,) = (each for each in OBJECTIVES if each.word == "beta_vae")
    return training_on("meta", objective)


WAYS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda codes: codes.sum().item(),
    "if": lambda codes: 1 if codes.sum() > 0 else 0,
    "mask": lambda codes: codes[codes > 0],
    "nonzero": lambda codes: codes.nonzero(),
    "to the host": lambda codes: codes.cpu(),
    "to a list": lambda codes: codes.tolist(),
    "to numpy": lambda codes: codes.detach().numpy(),
    "unique": torch.unique,
    "isnan": lambda codes: bool(codes.isnan().any()),
    "from the host": lambda codes: torch.ones(3).to(codes.device),
    "a new constant": lambda codes: torch.tensor([1.0, 2.0], device=codes.device),
    "a new constant like another": lambda codes: codes.new_tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_objective_that_waits_is_caught(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training = waiting_once(WAYS[way], monkeypatch)
    with pytest.raises((RuntimeError, TypeError, AssertionError), match=r"[Mm]eta|waits"), no_waiting():
        training.advance(1)


def test_an_objective_that_looks_at_shapes_alone_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    training = waiting_once(lambda codes: codes.shape[0] * codes.new_ones(3), monkeypatch)
    with no_waiting():
        training.advance(1)
