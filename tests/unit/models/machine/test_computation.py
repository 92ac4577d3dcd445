"""What is recorded of how PyTorch computes."""

from __future__ import annotations

import json

import pytest
import torch

from disentanglement.models.machine import computation as recorded
from disentanglement.models.machine.computation import computation
from disentanglement.models.machine.threads import contract_threads

CPU = torch.device("cpu")


def test_precision_threads_processor_and_switches_are_recorded() -> None:
    with contract_threads():
        found = computation(CPU, precision="bf16", engine="stacked")
    assert (found["precision"], found["engine"], found["threads"]) == ("bf16", "stacked", 1)
    assert found["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert found["device_name"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_switch_is_recorded_as_it_is_at_that_moment() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    for wanted in (True, False):
        torch.use_deterministic_algorithms(wanted)
        try:
            assert computation(CPU)["deterministic_algorithms"] is wanted
        finally:
            torch.use_deterministic_algorithms(before)


def test_a_switch_that_pytorch_refuses_to_tell_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a plugin sets `torch.backends.cuda.matmul.fp32_precision`, and others ask by the older name."""

    def refuse() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refuse)
    assert computation(CPU)["float32_matmul_precision"] == "set by another interface"


def test_without_an_engine_none_is_recorded() -> None:
    assert "engine" not in computation(CPU)


def test_on_a_gpu_its_libraries_and_switches_are_recorded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with one: what is asked of CUDA is answered by hand."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA X")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(recorded, "driver", lambda: "driver 1")
    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=True, allow_tf32=True):
        found, rounded = (computation(torch.device("cuda:0"), precision=each) for each in ("fp32", "tf32"))
    assert (found["device_name"], found["compute_capability"]) == ("NVIDIA X", "9.0")
    assert (found["cuda"], found["cudnn"], found["driver"]) == ("12.9", 91000, "driver 1")
    assert (found["cudnn_benchmark"], found["cudnn_deterministic"]) == (True, True)
    assert (found["tf32_matmul"], found["tf32_cudnn"]) == (False, False), "PyTorch's own default is half of each"
    assert (rounded["tf32_matmul"], rounded["tf32_cudnn"]) == (True, True)
