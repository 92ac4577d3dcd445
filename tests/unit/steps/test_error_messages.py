"""Errors on their way from a worker process: nothing of them is lost."""

from __future__ import annotations

import json
import pickle

import pytest

from disentanglement.errors import DisentanglementError, NonFiniteLoss, ResourceExhausted, SpecError, Unavailable
from disentanglement.steps.messages import error_from_plain, error_to_plain


@pytest.mark.parametrize(
    "error",
    [
        NonFiniteLoss(7, "the model's loss (kl_loss) and the discriminator's loss"),
        SpecError.of("objective.plugin.parameters", "what it takes", "other"),
        ResourceExhausted("the queue is full", retry_after_s=2.5),
        Unavailable("away"),
    ],
)
def test_an_error_arrives_as_it_was(error: DisentanglementError) -> None:
    for copy in (error_from_plain(json.loads(json.dumps(error_to_plain(error)))), pickle.loads(pickle.dumps(error))):
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
