"""Images encoded per second beside a plain PyTorch loop, interleaved in the same process.

Run: `python tests/benchmarks/bench_encoding.py [--workers 1] [--points 8192] [--rounds 5]`. The plain loop encodes
float images in batches of 256 with modules under `no_grad`, with as many intra-op threads as we have workers.
Images are rendered dSprites.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from disentanglement.datasets.dsprites import value_tables
from disentanglement.datasets.dsprites_rendering import at_all_positions, mask
from disentanglement.models.data.images import TrainingData
from disentanglement.models.encoding import encode_all
from disentanglement.models.networks.network import Networks
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

NUM_LATENT = 10


def sprites(num_points: int) -> NDArray[np.uint8]:
    """Binary images `[P, 64, 64]` of dSprites, drawn from 36 of its 720 sprites at all positions."""
    _, _, scales, orientations, _, _ = value_tables()
    forms = [(shape, scale, turn) for shape in range(3) for scale in scales[::2] for turn in orientations[::10]]
    packed = np.concatenate([at_all_positions(mask(shape, float(scale), float(turn))) for shape, scale, turn in forms])
    chosen = np.random.default_rng(0).choice(len(packed), num_points, replace=False)
    return np.unpackbits(packed[chosen], axis=2)


def plain_encoder(channels: int) -> nn.Module:
    """The same network as modules."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(32, 64, 2, 2), nn.ReLU(), nn.Conv2d(64, 64, 2, 2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 2 * NUM_LATENT)),
    )


def plain_seconds(encoder: nn.Module, images_NCHW: Tensor, threads: int) -> float:
    """Wall time to encode everything the plain way."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    with torch.no_grad():
        for first in range(0, len(images_NCHW), 256):
            encoder(images_NCHW[first : first + 256])
    return time.perf_counter() - start


def our_seconds(networks: Networks, data: TrainingData, workers: int) -> float:
    """Wall time to encode everything our way."""
    start = time.perf_counter()
    for _ in encode_all(networks, data, num_workers=workers):
        pass
    return time.perf_counter() - start


def compare(channels: int, points: int, rounds: int, workers: int) -> None:
    """Prints one line."""
    pixels = sprites(points)
    stored = np.packbits(pixels, axis=2) if channels == 1 else np.repeat(255 * pixels[..., None], 3, axis=3)
    images_NCHW = torch.from_numpy(pixels[:, None]).float().repeat(1, channels, 1, 1)
    data = TrainingData(stored)
    spec = TrainSpec.model_validate({"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4.0}}})
    networks, encoder = Training(spec, data).networks, plain_encoder(channels)
    pairs = [
        (our_seconds(networks, data, workers), plain_seconds(encoder, images_NCHW, workers)) for _ in range(rounds)
    ]
    ours, plain = (points / statistics.median(column) for column in zip(*pairs, strict=True))
    best, best_plain = (points / min(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(plain / ours for ours, plain in pairs)
    print(
        f"{channels:8} {ours:10.0f} {plain:10.0f} {best:12.0f} {best_plain:12.0f} {ratio:8.2f}x {737280 / best:10.0f}"
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--points", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"images per second, {arguments.workers} worker(s), torch {torch.__version__}")
    print("channels       ours      plain   ours, best  plain, best     ratio dSprites s")
    for channels in (1, 3):
        compare(channels, arguments.points, arguments.rounds, arguments.workers)


if __name__ == "__main__":
    main()
