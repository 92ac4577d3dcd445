"""Time of one training step beside a plain PyTorch loop, interleaved in the same process.

Run: `python tests/benchmarks/bench_training.py [--threads 1] [--rounds 15]`. The plain loop is what one writes first:
modules, PyTorch's Adam, a gather from float images, `.item()` at every step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from disentanglement.models.data import TrainingData
from disentanglement.models.training import Training
from disentanglement.specs import TrainSpec

BATCH_SIZE, NUM_LATENT, BETA = 64, 10, 4.0


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
        mean, logvar = self.encoder(images).chunk(2, dim=1)
        logits = self.decoder(mean + torch.exp(logvar / 2) * torch.randn_like(mean))
        entropy = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        kl: Tensor = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum(dim=1).mean()
        return entropy + BETA * kl


def plain_step(images_NCHW: Tensor) -> Callable[[], None]:
    """One step of the loop that one writes first."""
    model = PlainVae(images_NCHW.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        loss = model.loss(images_NCHW[torch.randint(len(images_NCHW), (BATCH_SIZE,))])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return step


def our_step(stored: NDArray[np.uint8]) -> Callable[[], None]:
    """One step of `Training`."""
    spec = TrainSpec.model_validate({"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": BETA}}})
    training = Training(spec, TrainingData(stored))
    return lambda: training.advance(1)


def seconds(step: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(channels: int, rounds: int) -> None:
    """Prints one line."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2, (2000, 64, 64, channels), dtype=np.uint8)
    stored = np.packbits(pixels[..., 0], axis=2) if channels == 1 else 255 * pixels
    images_NCHW = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float()
    ours, plain = our_step(stored), plain_step(images_NCHW)
    for step in (ours, plain):
        step()
    pairs = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    ours_ms, plain_ms = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    least_ms, least_plain_ms = (1000 * min(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(plain / ours for ours, plain in pairs)
    print(f"{channels:8} {ours_ms:12.1f} {plain_ms:12.1f} {least_ms:12.1f} {least_plain_ms:12.1f} {ratio:8.2f}x")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"one step of {BATCH_SIZE} images, {arguments.threads} thread(s), torch {torch.__version__}, milliseconds")
    print(f"{'channels':>8} {'ours':>12} {'plain':>12} {'ours, least':>12} {'plain, least':>12} {'ratio':>9}")
    for channels in (1, 3):
        compare(channels, arguments.rounds)


if __name__ == "__main__":
    main()
