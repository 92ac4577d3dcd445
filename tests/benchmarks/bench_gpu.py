"""Models an hour on one GPU: K models at once, for K of 1, 4, 16 and 64, in each of the ways there are.

Run: `make bench-gpu`, or `python tests/benchmarks/bench_gpu.py [--sizes 1,4,16,64] [--precision tf32] [--seconds 5]`.
Where there is no GPU it says so and tries itself out on the CPU with tiny networks (`--device cpu --smoke`).

The ways: `loop` trains one model after another, each iteration launched kernel by kernel; `in turn` replays each
model's recorded iterations in turn; `matmul` and `grouped` train all models in one iteration, with the networks as
batched matrix products or as grouped convolutions, replayed too; `matmul, loop` is the same launched kernel by kernel.
Each is what it takes to train 300,000 steps, evaluation and data left out; the members are beta-VAEs of other
strengths and seeds, or with `--objective mixed` the unsupervised objectives by turns.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.graphs import Graph, Unrecorded, graphs_of
from disentanglement.models.networks.stacked_ops import GROUPED, MATMUL
from disentanglement.models.training.pack import Pack
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

STEPS = 300_000
"""Of a published study's model."""

Recordings = Callable[[], Graph] | None
TINY: dict[str, Any] = {"encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}
OBJECTIVES: dict[str, list[dict[str, Any]]] = {
    "beta_vae": [{"beta_vae": {"beta": float(beta)}} for beta in (1, 2, 4, 6, 8, 16)],
    "factor_vae": [{"factor_vae": {"gamma": float(gamma)}} for gamma in (10, 20, 30, 40, 50, 100)],
    "mixed": [
        {"beta_vae": {"beta": 4.0}},
        {"annealed_vae": {"gamma": 1000.0, "c_max": 25.0, "iteration_threshold": 100_000}},
        {"factor_vae": {"gamma": 10.0}},
        {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 10.0, "dip_type": "i"}},
        {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 1.0, "dip_type": "ii"}},
        {"beta_tc_vae": {"beta": 6.0}},
    ],
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table."""

    way: str
    models: int
    ms_per_iteration: float
    """Of all models."""
    peak_gib: float

    @property
    def models_per_hour(self) -> float:
        """At one step an iteration; FactorVAE counts two and needs half of them."""
        return 3.6e6 * self.models / (self.ms_per_iteration * STEPS)


@dataclass(frozen=True, slots=True)
class Bench:
    """What stays the same for all lines."""

    device: torch.device
    data: TrainingData
    specs: tuple[TrainSpec, ...]
    seconds: float

    def ways(self) -> Iterator[tuple[str, Callable[[list[Training]], Pack]]]:
        """Packs of given members."""
        records: Recordings = graphs_of(self.device) if self.device.type == "cuda" else None
        yield "loop", lambda members: in_turn(members, None)
        yield "in turn", lambda members: in_turn(members, records)
        yield "matmul", lambda members: Pack(members, "stacked", graphs=records, ops=MATMUL)
        yield "grouped", lambda members: Pack(members, "stacked", graphs=records, ops=GROUPED)
        yield "matmul, loop", lambda members: Pack(members, "stacked", graphs=Unrecorded, ops=MATMUL)

    def measure(self, way: str, build: Callable[[list[Training]], Pack], models: int) -> Measured:
        """Median of five stretches, after the recording."""
        self._reset()
        pack = build([Training(self._spec(number), self.data) for number in range(models)])
        pack.advance(8)
        self._wait()
        stretch = max(1, int(self.seconds / 5 / max(self._timed(pack, 4), 1e-6)))
        per_iteration = statistics.median(self._timed(pack, stretch) for _ in range(5))
        for member in pack.members:
            member.read_terms()
        return Measured(way, models, 1000 * per_iteration, self._peak_gib())

    def _spec(self, number: int) -> TrainSpec:
        return self.specs[number % len(self.specs)].replace(random_seed=number)

    def _timed(self, pack: Pack, num_iterations: int) -> float:
        """Seconds an iteration."""
        start = time.perf_counter()
        pack.advance(num_iterations)
        self._wait()
        return (time.perf_counter() - start) / num_iterations

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _reset(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_gib(self) -> float:
        return torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else 0.0


def in_turn(members: list[Training], records: Recordings) -> Pack:
    """Each by itself."""
    for member in members:
        member.record_with(records)
    return Pack(members, "in_turn")


def specs_of(objective: str, precision: str, *, tiny: bool) -> tuple[TrainSpec, ...]:
    """One for each strength or objective."""
    plain: dict[str, Any] = {"dataset": "dsprites_full", "precision": precision}
    if tiny:
        plain |= {"architecture": TINY, "batch_size": 4}
    return tuple(TrainSpec.model_validate({**plain, "objective": own}) for own in OBJECTIVES[objective])


def images(num_points: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Binary 64 x 64 images as bits."""
    return np.random.default_rng(0).integers(0, 256, (num_points, 64, 8), dtype=np.uint8)


def run(bench: Bench, sizes: Sequence[int]) -> list[Measured]:
    """All lines, each printed as it is measured. A way that runs out of memory is left out for larger packs."""
    found: list[Measured] = []
    for way, build in bench.ways():
        for models in sizes:
            try:
                line = bench.measure(way, build, models)
            except torch.OutOfMemoryError:
                print(f"{way:>14} {models:7}    out of memory", flush=True)
                break
            found.append(line)
            print(
                f"{way:>14} {models:7} {line.ms_per_iteration:14.3f} {line.ms_per_iteration / models:14.4f} "
                f"{line.models_per_hour:12.2f} {line.peak_gib:9.2f}",
                flush=True,
            )
    return found


def main(arguments: Sequence[str]) -> int:
    """Prints a table; the exit code."""
    options = parser().parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU that PyTorch can use: nothing is measured; a smoke test on the CPU with tiny networks follows")
        options.device, options.smoke = "cpu", True
    sizes = [1, 2] if options.smoke else [int(size) for size in options.sizes.split(",")]
    device = torch.device(options.device)
    data = TrainingData(images(100 if options.smoke else 100_000), device=device)
    specs = specs_of(options.objective, options.precision, tiny=options.smoke)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{options.objective}, {options.precision}, torch {torch.__version__}, {name}")
    print(f"{'way':>14} {'models':>7} {'ms/iteration':>14} {'ms/model':>14} {'models/hour':>12} {'peak GiB':>9}")
    found = run(Bench(device, data, specs, 0.05 if options.smoke else options.seconds), sizes)
    if options.json is not None:
        lines = [{**asdict(line), "models_per_hour": line.models_per_hour} for line in found]
        options.json.write_text(json.dumps({"device": name, "torch": torch.__version__, "lines": lines}, indent=1))
    return 0


def parser() -> argparse.ArgumentParser:
    """Options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--sizes", default="1,4,16,64", help="numbers of models at once (default: %(default)s)")
    options.add_argument("--objective", choices=sorted(OBJECTIVES), default="beta_vae")
    options.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    options.add_argument("--seconds", type=float, default=5.0, help="a line (default: %(default)s)")
    options.add_argument("--smoke", action="store_true", help="tiny networks, one and two models")
    options.add_argument("--json", type=Path, help="also write the lines into this file")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
