"""What a message says of how a result came about."""

from __future__ import annotations

import json

from disentanglement.rpc.resources import provenance
from disentanglement.specs import StepKey
from disentanglement.storage.manifests import Manifest

KEY = StepKey("dummy_data", "beta_vae", "a" * 52)
COMPUTATION = {"precision": "fp32", "engine": "stacked", "deterministic_algorithms": False, "threads": 1, "cudnn": None}


def manifest(**known: object) -> Manifest:
    return Manifest.model_validate(
        {
            "step": "train",
            "step_key": str(KEY),
            "attempt": "a",
            "spec": {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 4}}},
            "contract": "1.1",
            "content_digest": "0" * 64,
            "provenance": known,
        }
    )


def test_precision_engine_and_switches_are_in_it() -> None:
    message = provenance(manifest(device="cuda", threads=1, computation=COMPUTATION))
    assert (message.engine, message.device, message.threads) == ("stacked", "cuda", 1)
    assert {name: json.loads(value) for name, value in message.computation.items()} == COMPUTATION


def test_of_a_step_without_pytorch_they_are_empty() -> None:
    message = provenance(manifest(device="cpu"))
    assert message.engine == ""
    assert not message.computation
