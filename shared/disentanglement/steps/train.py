"""The train step: a spec becomes committed weights, with checkpoints on the way."""

from __future__ import annotations

import time
from collections.abc import Callable

from disentanglement.errors import Interrupted
from disentanglement.models.computation import computation
from disentanglement.models.data import TrainingData
from disentanglement.models.devices import usable_device
from disentanglement.models.threads import contract_threads
from disentanglement.models.training import Training
from disentanglement.models.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.specs import TrainSpec
from disentanglement.specs.plugins import check_runnable
from disentanglement.steps.context import StepContext
from disentanglement.steps.history import History
from disentanglement.steps.initial_weights import initial_provenance, initial_weights, start_from
from disentanglement.steps.messages import StepResult
from disentanglement.steps.once import Computed, compute_once
from disentanglement.steps.progress import Progress
from disentanglement.storage.cache import Cache
from disentanglement.storage.checkpoints import Checkpoint, latest_checkpoint, put_checkpoint
from disentanglement.storage.commit import Attempt
from disentanglement.storage.data_sets import open_data_set
from disentanglement.storage.manifests import tensor_digest

STEPS_PER_READ = 50
"""Updates between two reads of the device; rows of the history are means over so many."""

STEPS_PER_LOOK = 4
"""Updates between two looks at whether somebody asked to stop."""

CHECKPOINT_EVERY_STEPS = 5000
WEIGHTS, HISTORY, STATE = "weights.safetensors", "history.parquet", "state.safetensors"


def train(spec: TrainSpec, context: StepContext) -> StepResult:
    """Trains a model unless it is committed; goes on from the furthest checkpoint of any former attempt.

    Raises:
        NonFiniteLoss: at which step the loss went wrong.
        NotBuiltYet: something in the spec that this release does not train.
        SpecError: a plugin that is missing, was edited since it was submitted, or may not run here.
        DeviceUnusable: PyTorch can't compute on the device; it is never exchanged for another.
        Interrupted: asked to stop, with a checkpoint in place.
    """
    with contract_threads():
        return compute_once(spec, (), context, lambda attempt: _TrainStep(spec, context, attempt).run())


class _TrainStep:
    """One attempt at training."""

    def __init__(self, spec: TrainSpec, context: StepContext, attempt: Attempt) -> None:
        self._spec = spec
        self._context = context
        self._attempt = attempt
        check_runnable([spec], context.trusted)
        device = usable_device(context.device)
        data_set = open_data_set(context.store, Cache(context.cache), spec.dataset.name, spec.dataset.digest)
        self._card = data_set.card
        self._device = device
        data = TrainingData(data_set.images.stored, device=device)
        checkpoint = None if context.recompute else latest_checkpoint(attempt.store, "train", attempt.step_key)
        self._training = Training(spec, data, data_set)
        self._history = History()
        self._saved_step, self._saved_at = 0, time.monotonic()
        if checkpoint is not None:  # it goes on whatever has become of the model that the training started from
            self._resume(checkpoint)
        else:
            start_from(self._training, initial_weights(spec, context.store, data.image_shape))

    def run(self) -> Computed:
        """Trains to the last step, evaluates, writes the weights."""
        while self._training.step < self._training.num_steps:
            self._advance()
        self._save_if(lambda: self._saved_step < self._training.step)
        self._report("evaluating")
        results = self._training.evaluate()
        return self._finish(results)

    def _advance(self) -> None:
        """Up to the next read, or less when asked to stop."""
        started, before = time.monotonic(), self._training.step
        target = min(before - before % STEPS_PER_READ + STEPS_PER_READ, self._training.num_steps)
        while self._training.step < target and not self._context.should_stop():
            self._training.advance_to(min(self._training.step + STEPS_PER_LOOK, target))
        if self._training.step > before:
            self._read(max(time.monotonic() - started, 1e-9))
        if self._context.should_stop():
            self._save_if(lambda: self._saved_step < self._training.step)
            raise Interrupted(f"stopped at step {self._training.step}, with a checkpoint: run it again to go on")
        self._save_if(self._checkpoint_is_due)

    def _read(self, seconds: float) -> None:
        terms = self._training.read_terms()
        rate = terms.num_iterations * self._spec.batch_size / seconds
        self._history.add(terms.step, {"loss": terms.loss, **terms.reported}, terms.kl_Z, rate)
        self._report(f"{rate:,.0f} images/s")

    def _checkpoint_is_due(self) -> bool:
        waited = time.monotonic() - self._saved_at
        num_steps = self._training.step - self._saved_step
        return waited >= self._context.checkpoint_every_s or num_steps >= CHECKPOINT_EVERY_STEPS

    def _save_if(self, is_due: Callable[[], bool]) -> None:
        if not is_due():
            return
        contents = {STATE: tensors_to_bytes(self._training.state()), "history.json": self._history.to_json()}
        put_checkpoint(self._attempt, self._training.step, contents)
        self._attempt.put(HISTORY, self._history.to_parquet())
        self._context.keep_log(self._attempt, None)
        self._saved_step, self._saved_at = self._training.step, time.monotonic()

    def _resume(self, checkpoint: Checkpoint) -> None:
        self._training.restore(tensors_from_bytes(checkpoint.contents[STATE]))
        self._history = History.from_json(checkpoint.contents["history.json"])
        self._saved_step = checkpoint.position

    def _report(self, note: str) -> None:
        self._context.report(Progress(self._training.step, self._training.num_steps, "steps", note))

    def _finish(self, results: dict[str, float]) -> Computed:
        weights = self._training.weights()
        self._attempt.put(WEIGHTS, tensors_to_bytes(weights))
        self._attempt.put(HISTORY, self._history.to_parquet())
        digests = {name: tensor_digest(tensor.cpu().numpy()) for name, tensor in weights.items()}
        data = {"name": self._card.name, "digest": self._card.digest, "origin": str(self._card.origin)}
        circumstances = computation(self._device, precision=self._spec.precision)
        known = {"data": data, **initial_provenance(self._spec, self._context.store), "computation": circumstances}
        return Computed(results=results, tensors=digests, provenance=known)
