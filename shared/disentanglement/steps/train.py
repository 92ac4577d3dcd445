"""The train step: a spec becomes committed weights, with checkpoints on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from disentanglement.datasets.ground_truth import GridData
from disentanglement.errors import Interrupted
from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.computation import computation
from disentanglement.models.machine.devices import usable_device
from disentanglement.models.machine.threads import contract_threads
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.models.training.training import Training
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
        return compute_once(spec, (), context, lambda attempt: _train(TrainingAttempt(spec, context, attempt)))


def _train(attempt: TrainingAttempt) -> Computed:
    """From where it is to the last step."""
    while True:
        if attempt.context.should_stop():
            attempt.stop()
            raise Interrupted(f"stopped at step {attempt.training.step}, with a checkpoint: run it again to go on")
        if attempt.is_done:
            return attempt.finish()
        attempt.training.advance_to(attempt.training.step + min(STEPS_PER_LOOK, attempt.steps_to_read))
        attempt.look()


@dataclass(frozen=True, slots=True)
class OpenedData:
    """A data set as a training wants it: several trainings may share one."""

    truth: GridData
    images: TrainingData

    @classmethod
    def of(cls, spec: TrainSpec, context: StepContext) -> Self:
        """The data set of a spec, on the context's device.

        Raises:
            DeviceUnusable: PyTorch can't compute on the device.
        """
        device = usable_device(context.device)
        data_set = open_data_set(context.store, Cache(context.cache), spec.dataset.name, spec.dataset.digest)
        return cls(data_set, TrainingData.of(data_set, device))


class TrainingAttempt:
    """One attempt at training a model: what surrounds its iterations, whoever makes them."""

    def __init__(
        self,
        spec: TrainSpec,
        context: StepContext,
        attempt: Attempt,
        *,
        opened: OpenedData | None = None,
        provenance: Mapping[str, object] | None = None,
        engine: str = "",
    ) -> None:
        """`provenance` is recorded with the result, and so is `engine`, the way in which a pack trained it."""
        self._spec = spec
        self.context = context
        self._attempt = attempt
        check_runnable([spec], context.trusted)
        data = opened or OpenedData.of(spec, context)
        self._card = data.truth.card
        self._device = data.images.device
        self._provenance, self._engine = dict(provenance or {}), engine
        checkpoint = None if context.recompute else latest_checkpoint(attempt.store, "train", attempt.step_key)
        self.training = Training(spec, data.images, data.truth)
        self._history = History()
        self._saved_step, self._saved_at = 0, time.monotonic()
        if checkpoint is not None:  # it goes on whatever has become of the model that the training started from
            self._resume(checkpoint)
        else:
            start_from(self.training, initial_weights(spec, context.store, data.images.image_shape))
        self._read_step, self._read_at = self.training.step, time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether the last step was made."""
        return self.training.step >= self.training.num_steps

    @property
    def steps_to_read(self) -> int:
        """Steps to the next row of the history, or to the last step."""
        step = self.training.step
        return min(step - step % STEPS_PER_READ + STEPS_PER_READ, self.training.num_steps) - step

    def look(self) -> None:
        """After some iterations: reads their terms and writes a checkpoint where it is time to.

        Raises:
            NonFiniteLoss: at which step the loss went wrong.
        """
        is_row_complete = self.training.step // STEPS_PER_READ > self._read_step // STEPS_PER_READ
        if is_row_complete or self.is_done:
            self._read()
            self._save_if(self._checkpoint_is_due)
            self._read_at = time.monotonic()

    def stop(self) -> None:
        """Leaves a checkpoint. Raises `NonFiniteLoss` as `look` does."""
        self._read()
        self._save_if(lambda: self._saved_step < self.training.step)

    def finish(self) -> Computed:
        """Evaluates, writes the weights."""
        self._save_if(lambda: self._saved_step < self.training.step)
        self._report("evaluating")
        return self._computed(self.training.evaluate())

    def _read(self) -> None:
        if self.training.step == self._read_step:
            return
        seconds = max(time.monotonic() - self._read_at, 1e-9)
        terms = self.training.read_terms()
        rate = terms.num_iterations * self._spec.batch_size / seconds
        self._history.add(terms.step, {"loss": terms.loss, **terms.reported}, terms.kl_Z, rate)
        self._read_step, self._read_at = self.training.step, time.monotonic()
        self._report(f"{rate:,.0f} images/s")

    def _checkpoint_is_due(self) -> bool:
        waited = time.monotonic() - self._saved_at
        num_steps = self.training.step - self._saved_step
        return waited >= self.context.checkpoint_every_s or num_steps >= CHECKPOINT_EVERY_STEPS

    def _save_if(self, is_due: Callable[[], bool]) -> None:
        if not is_due():
            return
        contents = {STATE: tensors_to_bytes(self.training.state()), "history.json": self._history.to_json()}
        put_checkpoint(self._attempt, self.training.step, contents)
        self._attempt.put(HISTORY, self._history.to_parquet())
        self.context.keep_log(self._attempt, None)
        self._saved_step, self._saved_at = self.training.step, time.monotonic()

    def _resume(self, checkpoint: Checkpoint) -> None:
        self.training.restore(tensors_from_bytes(checkpoint.contents[STATE]))
        self._history = History.from_json(checkpoint.contents["history.json"])
        self._saved_step = checkpoint.position

    def _report(self, note: str) -> None:
        self.context.report(Progress(self.training.step, self.training.num_steps, "steps", note))

    def _computed(self, results: dict[str, float]) -> Computed:
        weights = self.training.weights()
        self._attempt.put(WEIGHTS, tensors_to_bytes(weights))
        self._attempt.put(HISTORY, self._history.to_parquet())
        digests = {name: tensor_digest(tensor.cpu().numpy()) for name, tensor in weights.items()}
        data = {"name": self._card.name, "digest": self._card.digest, "origin": str(self._card.origin)}
        circumstances = computation(self._device, precision=self._spec.precision, engine=self._engine)
        known = {
            "data": data,
            **self._provenance,
            **initial_provenance(self._spec, self.context.store),
            "computation": circumstances,
        }
        return Computed(results=results, tensors=digests, provenance=known)
