"""Recorded iterations: what a CUDA graph would do wrong shows on a CPU, where a tape stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tape_graph import TapeGraph
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disentanglement.errors import NonFiniteLoss
from disentanglement.models.data.images import TrainingData
from disentanglement.models.streams import ITERATIONS_PER_BLOCK
from disentanglement.models.training.captured import WARM_UPS, CapturedIterations, can_be_recorded
from disentanglement.models.training.pack import Pack
from disentanglement.models.training.training import Training
from disentanglement.models.training.windows import Windows
from disentanglement.specs import TrainSpec

SMALL: dict[str, Any] = {"architecture": {"encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}}
OBJECTIVES: dict[str, Any] = {
    "beta_vae": {"beta_vae": {"beta": 4.0}},
    "annealed_vae": {"annealed_vae": {"gamma": 10.0, "c_max": 5.0, "iteration_threshold": 100}},
    "dip_vae_ii": {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 1.0, "dip_type": "ii"}},
    "beta_tc_vae": {"beta_tc_vae": {"beta": 6.0}},
}
SCHEDULE = {"piecewise_constant": {"boundaries": [70], "values": [1e-3, 1e-4]}}


@pytest.fixture(autouse=True)
def _adam_by_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's Adam in one pass differs from that of recordings in the last bits; here bits are compared."""
    monkeypatch.setattr("disentanglement.models.training.optimizers.FUSED_ADAM", frozenset())


ALL_OBJECTIVES = {**OBJECTIVES, "factor_vae": {"factor_vae": {"gamma": 6.0}}}


class OnDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses every tensor on the host: a CUDA graph can't be recorded where one is copied to the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        seen = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        assert all(tensor.device.type == "lazy" for tensor in seen), f"{func} sees a tensor of the host"
        self.num_operations += 1
        return result


class WatchedGraph:
    """Watches what would be recorded."""

    def __init__(self) -> None:
        self.watch = OnDevice()

    def warm_up(self, function: Callable[[], None]) -> None:
        function()

    def record(self, function: Callable[[], None]) -> None:
        with self.watch:
            function()

    def replay(self) -> None:
        """Tensors without contents have nothing to do."""


def small(spec: TrainSpec, **changes: Any) -> TrainSpec:
    return spec.replace(**SMALL, **changes)


def recorded(spec: TrainSpec, data: TrainingData) -> Training:
    training = Training(spec, data)
    training.record_with(TapeGraph)
    return training


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_hundred_recorded_iterations_equal_the_loop_bit_for_bit(
    objective: str, spec: TrainSpec, data: TrainingData
) -> None:
    changed = small(spec, objective=OBJECTIVES[objective], optimizer={"adam": {"schedule": SCHEDULE}})
    loop, replayed = Training(changed, data), recorded(changed, data)
    for _ in range(4):
        loop.advance(50)
        replayed.advance(50)
        assert loop.read_terms() == replayed.read_terms()
    assert equal(loop.state(), replayed.state())
    assert loop.evaluate() == replayed.evaluate()


def test_factor_vaes_two_networks_are_recorded_too(spec: TrainSpec, data: TrainingData) -> None:
    begin = 2 * (ITERATIONS_PER_BLOCK - 4)  # two steps an iteration; a new block after four of them
    schedule = {"piecewise_constant": {"boundaries": [begin + 6], "values": [1e-3, 1e-2]}}
    changed = small(spec, objective={"factor_vae": {"gamma": 6.0}}, optimizer={"adam": {"schedule": schedule}})
    loop, replayed = Training(changed, data), recorded(changed, data)
    for training in (loop, replayed):
        state = training.state()
        state["step"].fill_(begin)
        training.restore(state)
        training.advance(8)
    assert equal(loop.state(), replayed.state())
    assert loop.read_terms() == replayed.read_terms()


def test_convolutions_are_recorded_too(spec: TrainSpec, data: TrainingData) -> None:
    loop, replayed = Training(spec, data), recorded(spec, data)
    for training in (loop, replayed):
        training.advance(6)
    assert equal(loop.state(), replayed.state())


def test_a_restored_training_is_recorded_anew_from_where_it_is(spec: TrainSpec, data: TrainingData) -> None:
    changed = small(spec)
    loop, replayed = Training(changed, data), recorded(changed, data)
    replayed.advance(9)
    loop.advance(61)
    replayed.restore(loop.state())
    for training in (loop, replayed):
        training.advance(20)
    assert equal(loop.state(), replayed.state())


def test_a_recorded_loss_that_is_not_finite_is_reported_with_its_step(spec: TrainSpec, data: TrainingData) -> None:
    training = recorded(small(spec), data)
    training.advance(WARM_UPS + 3)
    next(iter(training.weights().values())).fill_(float("nan"))
    training.advance(5)
    with pytest.raises(NonFiniteLoss) as failure:
        training.read_terms()
    assert failure.value.step == WARM_UPS + 3
    assert "the model's loss" in failure.value.what


def test_after_the_warm_up_an_iteration_is_one_replay(spec: TrainSpec, data: TrainingData) -> None:
    graph = TapeGraph()
    training = Training(small(spec), data)
    training.record_with(lambda: graph)
    training.advance(WARM_UPS + 10)
    assert graph.num_replays == 10


def test_windows_give_each_position_its_numbers_across_their_borders() -> None:
    windows = Windows(torch.device("cpu"), length=3)
    seen = []

    def iteration() -> None:
        seen.append(windows.now("square", lambda position: torch.tensor([position**2])).item())
        if len(seen) >= 2:  # asked for in the middle of a window
            seen.append(windows.now("negative", lambda position: torch.tensor(-position)).item())
        windows.advance()

    for _ in range(8):
        windows.prepare()
        iteration()
    assert seen == [0, 1, -1, 4, -2, 9, -3, 16, -4, 25, -5, 36, -6, 49, -7]


def test_numbers_that_are_first_asked_for_while_recording_are_refused() -> None:
    windows = Windows(torch.device("cpu"))
    calls = 0

    def iteration() -> None:
        nonlocal calls
        calls += 1
        windows.now("late" if calls > WARM_UPS else "early", lambda position: torch.zeros(1))
        windows.advance()

    with pytest.raises(LookupError, match="late was not asked for"):
        CapturedIterations(iteration, windows, TapeGraph()).run(WARM_UPS + 1)


class UnableGraph(TapeGraph):
    """Like a driver that refuses."""

    def record(self, function: Callable[[], None]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")


def test_what_a_device_can_not_record_is_launched_each_time(
    spec: TrainSpec, data: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    loop, unable = Training(small(spec), data), Training(small(spec), data)
    unable.record_with(UnableGraph)
    for training in (loop, unable):
        training.advance(WARM_UPS + 4)
    assert equal(loop.state(), unable.state())
    assert "iterations are not recorded" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("objective", ALL_OBJECTIVES)
def test_on_a_gpu_recorded_iterations_equal_the_loop(
    objective: str, spec: TrainSpec, caplog: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 64, 8), dtype=np.uint8)
    on_gpu = TrainingData(images, device="cuda")
    loop, replayed = (Training(spec.replace(objective=ALL_OBJECTIVES[objective]), on_gpu) for _ in range(2))
    loop.record_with(None)
    for training in (loop, replayed):
        training.advance(70)
    mine, theirs = loop.state(), replayed.state()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4, msg=name)
    assert not caplog.records


def test_what_needs_the_host_in_each_iteration_is_not_recorded(spec: TrainSpec, data: TrainingData) -> None:
    assert can_be_recorded(Training(small(spec), data))
    descent = small(spec, optimizer={"gradient_descent": {"learning_rate": 1e-4}})
    assert not can_be_recorded(Training(descent, data))


@pytest.fixture
def elsewhere() -> Iterator[TrainingData]:
    """Images on a device that is not the host; its tensors have no contents, and asking for one is an error."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield TrainingData(np.zeros((100, 64, 8), dtype=np.uint8), device="lazy:0")


@pytest.mark.parametrize("objective", ALL_OBJECTIVES)
def test_a_recorded_iteration_touches_nothing_on_the_host(
    objective: str, spec: TrainSpec, elsewhere: TrainingData
) -> None:
    graph = WatchedGraph()
    training = Training(small(spec, objective=ALL_OBJECTIVES[objective]), elsewhere)
    training.record_with(lambda: graph)
    training.advance(WARM_UPS + 1)
    assert graph.watch.num_operations > 100


def test_a_recorded_iteration_of_a_pack_touches_nothing_on_the_host(spec: TrainSpec, elsewhere: TrainingData) -> None:
    graph = WatchedGraph()
    members = [Training(spec.replace(objective=objective), elsewhere) for objective in ALL_OBJECTIVES.values()]
    Pack(members, "stacked", graphs=lambda: graph).advance(WARM_UPS + 1)
    assert graph.watch.num_operations > 1000


def test_a_number_from_the_host_would_be_seen(elsewhere: TrainingData) -> None:
    on_device = torch.empty(3, device=elsewhere.device)
    with pytest.raises(AssertionError, match="tensor of the host"), OnDevice():
        on_device.mul_(torch.tensor(2.0))
    with pytest.raises(DataDependentOutputException), OnDevice():
        on_device.sum().item()
