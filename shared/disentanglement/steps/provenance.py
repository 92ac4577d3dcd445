"""What was true while a step computed: it travels with the result, and says what two equal runs must have in common."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from disentanglement.specs import THREADS_PER_STEP

PACKAGES = ("disentanglement", "numpy", "scipy", "scikit-learn", "torch")


def surroundings(device: str) -> dict[str, Any]:
    """The device that a step was given, its threads, and everything below: versions, processor, NumPy's libraries.

    Steps that compute with PyTorch add `computation` (`models.computation`): precision, switches, CUDA.
    """
    return {
        "device": device,
        "threads": THREADS_PER_STEP,
        "versions": versions(),
        "machine": machine(),
        "numpy": numpy_build(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of what computes, by package."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if image := os.environ.get("DISENTANGLEMENT_IMAGE"):
        found["image"] = image
    return found


@cache
def machine() -> str:
    """The processor: sums in another order on another one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.machine()} {model}".strip()


@cache
def numpy_build() -> dict[str, str]:
    """NumPy's linear algebra library, and the instructions that its own loops use on this processor."""
    known: Mapping[str, Any] = np.show_config(mode="dicts")
    blas = known.get("Build Dependencies", {}).get("blas", {})
    simd = known.get("SIMD Extensions", {})
    return {
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "simd": " ".join((*simd.get("baseline", ()), *simd.get("found", ()))),
    }
