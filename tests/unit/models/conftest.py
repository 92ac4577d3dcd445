"""Small data and specs: what is tested here does not depend on size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from disentanglement.models.data.images import TrainingData
from disentanglement.specs import TrainSpec


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data() -> TrainingData:
    return TrainingData(np.random.default_rng(0).integers(0, 256, (100, 64, 8), dtype=np.uint8))


@pytest.fixture(scope="session")
def spec() -> TrainSpec:
    return TrainSpec.model_validate(
        {
            "dataset": "dsprites_full",
            "objective": {"beta_vae": {"beta": 4.0}},
            "batch_size": 4,
            "training_steps": 10,
            "eval_steps": 3,
            "random_seed": 3,
        }
    )
