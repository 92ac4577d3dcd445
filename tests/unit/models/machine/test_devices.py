"""A device that can't be used is an error that says what to look at, never a silent fall-back."""

from __future__ import annotations

import pytest
import torch

from disentanglement.errors import DeviceUnusable
from disentanglement.models.machine.devices import usable_device


def test_the_cpu_is_usable() -> None:
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "no-such-device"])
def test_a_device_that_is_not_there_is_named_with_the_versions_to_look_at(name: str) -> None:
    with pytest.raises(DeviceUnusable, match=rf"{name}.*PyTorch {torch.__version__.split('+')[0]}.*CUDA"):
        usable_device(name)
