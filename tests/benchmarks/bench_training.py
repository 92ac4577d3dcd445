"""Time of one training iteration beside its floor, a plain PyTorch loop and a living peer, interleaved.

Run: `python tests/benchmarks/bench_training.py [--rounds 15] [--channels 1] [--processes 1] [--disent-python PYTHON]`.

The *floor* is the time that the iteration's multiplications and additions take at the rate of a large float32 matrix
product, measured in the same rounds; they are counted in PyTorch's own operations. With several processes each of them
runs the whole comparison at the same time as the others, floor included. The plain loop is what one writes first:
modules, PyTorch's Adam, a gather from float images, `.item()` at every step.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import PLAIN, multiplies_bf16
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

BATCH_SIZE, NUM_LATENT, BETA = 64, 10, 4.0
SIDE = 1024
"""Of the matrices whose product gives the machine's rate."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "beta_vae": {"beta_vae": {"beta": BETA}},
    "factor_vae": {"factor_vae": {"gamma": 10.0}},
}

Seconds = Callable[[], float]
"""Runs one iteration and tells how long it took."""


class PlainVae(nn.Module):
    """The same networks as modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU()),
            *(nn.Conv2d(32, 64, 2, 2), nn.ReLU(), nn.Conv2d(64, 64, 2, 2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 2 * NUM_LATENT)),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(NUM_LATENT, 256), nn.ReLU(), nn.Linear(256, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4))),
            *(nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, channels, 4, 2, 1)),
        )

    def loss(self, images: Tensor) -> Tensor:
        mean, logvar = self.encoder(images).float().chunk(2, dim=1)
        logits = self.decoder(mean + torch.exp(logvar / 2) * torch.randn_like(mean)).float()
        entropy = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        kl: Tensor = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(dim=1).mean()
        return entropy + BETA * kl


def plain_step(images_NCHW: Tensor, *, bf16: bool) -> Callable[[], None]:
    """One step of the loop that one writes first."""
    model = PlainVae(images_NCHW.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        images = images_NCHW[torch.randint(len(images_NCHW), (BATCH_SIZE,))]
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            loss = model.loss(images)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return step


def training(objective: str, data: TrainingData, precision: str = "fp32") -> Training:
    """Ours."""
    spec = {"dataset": "dsprites_full", "objective": OBJECTIVES[objective], "precision": precision}
    return Training(TrainSpec.model_validate(spec), data)


def operations(objective: str, data: TrainingData) -> float:
    """Multiplications and additions of one iteration."""
    plain = training(objective, data)
    plain.networks = Networks(plain.networks.architecture, plain.networks.weights, PLAIN)
    with FlopCounterMode(display=False) as counter:
        plain.advance(1)
    return float(counter.get_total_flops())


def timed(run: Callable[[], object]) -> float:
    """Processor time of one call: there is one thread, and what else runs on the machine does not count."""
    start = time.process_time()
    run()
    return time.process_time() - start


def product() -> Callable[[], object]:
    """A large matrix product into the same memory."""
    left, right, out = (torch.randn(SIDE, SIDE) for _ in range(3))
    return partial(torch.mm, left, right, out=out)


def disent(python: Path, channels: int) -> Seconds:
    """A step of disent in a process of its own, which waits while others are timed."""
    command = [str(python), str(Path(__file__).with_name("disent_steps.py")), str(channels)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    asks, answers = server.stdin, server.stdout
    float(answers.readline())  # the first step, which also loads the libraries

    def seconds() -> float:
        asks.write("\n")
        asks.flush()
        return float(answers.readline())

    return seconds


def contestants(channels: int, disent_python: Path | None) -> dict[str, tuple[Seconds, float]]:
    """Each with its number of operations."""
    pixels = np.random.default_rng(0).integers(0, 2, (2000, 64, 64, channels), dtype=np.uint8)
    data = TrainingData(np.packbits(pixels[..., 0], axis=2) if channels == 1 else 255 * pixels)
    images_NCHW = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float()
    small, large = operations("beta_vae", data), operations("factor_vae", data)
    found: dict[str, tuple[Seconds, float]] = {
        "ours, fp32": (partial(timed, partial(training("beta_vae", data).advance, 1)), small),
        "plain PyTorch, fp32": (partial(timed, plain_step(images_NCHW, bf16=False)), small),
        "ours, bf16": (partial(timed, partial(training("beta_vae", data, "bf16").advance, 1)), small),
        "ours, FactorVAE": (partial(timed, partial(training("factor_vae", data).advance, 1)), large),
    }
    if multiplies_bf16(torch.device("cpu")):
        found["plain PyTorch, bf16"] = (partial(timed, plain_step(images_NCHW, bf16=True)), small)
    if disent_python is not None:
        found["disent on Lightning"] = (disent(disent_python, channels), small)
    return found


def compare(arguments: argparse.Namespace) -> str:
    """A table of medians, and of the least times."""
    torch.set_num_threads(1)
    runs, multiply = contestants(arguments.channels, arguments.disent_python), product()
    times: dict[str, list[float]] = {name: [] for name in runs}
    rates: list[float] = []
    for round_ in range(arguments.rounds + 1):
        rate = 2 * SIDE**3 / timed(multiply)
        laps = {name: run() for name, (run, _) in runs.items()}
        if round_ > 0:  # the first warms up
            rates.append(rate)
            for name, seconds in laps.items():
                times[name].append(seconds)
    lines = [f"matrix product: median {statistics.median(rates) / 1e9:.1f}, most {max(rates) / 1e9:.1f} GFLOP/s"]
    lines.append(
        f"{'one iteration':24} {'median ms':>10} {'least ms':>9} {'/ floor':>8} {'least/least':>11} {'GFLOP/s':>8}"
    )
    for name, (_, count) in runs.items():
        ratio = statistics.median(s * rate / count for s, rate in zip(times[name], rates, strict=True))
        median, least = statistics.median(times[name]), min(times[name])
        lines.append(
            f"{name:24} {1000 * median:10.1f} {1000 * least:9.1f} {ratio:8.2f} "
            f"{least * max(rates) / count:11.2f} {count / median / 1e9:8.1f}"
        )
    return "\n".join(lines)


def missing(arguments: argparse.Namespace) -> list[str]:
    """What is not compared, and why."""
    reasons = []
    if not multiplies_bf16(torch.device("cpu")):
        reasons.append("plain PyTorch, bf16: this processor has no bf16 products (PyTorch's stand-in takes seconds)")
    if arguments.disent_python is None:
        reasons.append("disent: not installed (see disent_steps.py, and --disent-python)")
    return reasons


def main() -> None:
    """Prints a table for each process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--disent-python", type=Path)
    arguments = parser.parse_args()
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{BATCH_SIZE} images of 64 x 64 x {arguments.channels}, one thread, torch {torch.__version__}, {capability}")
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for table in pool.map(compare, [arguments] * arguments.processes, chunksize=1):
            print(table)
    for reason in missing(arguments):
        print(f"not compared: {reason}")


if __name__ == "__main__":
    main()
