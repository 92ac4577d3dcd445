"""How PyTorch computes: what can change the last digits of a result, beside the spec and the versions.

It is recorded with every result that PyTorch computed, so that two results which differ can be told apart: equal
circumstances and other numbers are a defect, other circumstances are a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from disentanglement.models.machine.devices import driver
from disentanglement.models.machine.precision import precision_switches
from disentanglement.specs.steps import Precision

Circumstances = dict[str, object]
"""Strict JSON."""


def computation(device: torch.device, *, precision: Precision = "fp32", engine: str = "") -> Circumstances:
    """Circumstances of what is computed on this device now, in the precision of a spec.

    `engine` is the way in which models were trained together (`in_turn`, `stacked`). Switches are as they are now, but
    for those that the precision sets while it lasts (`precision_switches`).
    """
    with precision_switches(precision):
        found: Circumstances = {
            "precision": precision,
            "device_name": device_name(device),
            "threads": torch.get_num_threads(),
            "cpu_capability": cpu_capability(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "float32_matmul_precision": _told(torch.get_float32_matmul_precision),
            "mkldnn": _is_there(torch.backends.mkldnn) and bool(torch.backends.mkldnn.enabled),
            "mkl": _is_there(torch.backends.mkl),
        }
        if device.type == "cuda":
            found |= _cuda(device)
    return found | ({"engine": engine} if engine else {})


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() if device.type == "cpu" else str(device)


def cpu_capability() -> str:
    """The instructions that PyTorch's own kernels use here: `AVX2`, `AVX512`, `DEFAULT`, ..."""
    return torch.backends.cpu.get_cpu_capability()


def _cuda(device: torch.device) -> Circumstances:
    cudnn: Any = torch.backends.cudnn
    return {
        "cuda": torch.version.cuda or "none",
        "cudnn": cudnn.version() if _is_there(cudnn) else None,
        "driver": driver(),
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        "tf32_matmul": _told(lambda: torch.backends.cuda.matmul.allow_tf32),
        "tf32_cudnn": _told(lambda: cudnn.allow_tf32),
        "cudnn_deterministic": cudnn.deterministic,
        "cudnn_benchmark": cudnn.benchmark,
    }


def _is_there(library: Any) -> bool:
    return bool(library.is_available())


def _told(ask: Callable[[], object]) -> object:
    """PyTorch refuses to tell a switch where somebody has set it by its newer name: no reason to lose a training."""
    try:
        return ask()
    except RuntimeError:
        return "set by another interface"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "cpu"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "cpu")
