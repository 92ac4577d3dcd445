"""The device that a worker was given: usable, or an error that says what to look at; never another one instead."""

from __future__ import annotations

from pathlib import Path

import torch

from disentanglement.errors import DeviceUnusable

DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def usable_device(name: str) -> torch.device:
    """The device, after one small computation on it.

    Raises:
        DeviceUnusable: PyTorch can't compute there, with the driver's and CUDA's versions.
    """
    try:
        device = torch.device(name)
        torch.ones(2, device=device).sum()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0]
        raise DeviceUnusable(
            f"PyTorch cannot compute on {name}: {why} (PyTorch {torch.__version__}, built for CUDA "
            f"{torch.version.cuda or 'none'}; {driver()})"
        ) from error
    return device


def driver() -> str:
    """The NVIDIA driver's version as the kernel tells it."""
    try:
        return DRIVER_VERSION.read_text().partition("\n")[0]
    except OSError:
        return "no NVIDIA driver is loaded"
