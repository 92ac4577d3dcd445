"""Loss curves of bf16 beside fp32 on dSprites: the difference of their means, in units of the spread over seeds.

Run: `python tests/benchmarks/precision.py [--steps 2000] [--seeds 3] [--parts 10]`. Images are rendered dSprites; each
seed sees the same weights, batches and noise in both precisions.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch
from bench_encoding import sprites

from disentanglement.models.data.images import TrainingData
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec


def curve(data: TrainingData, precision: str, seed: int, steps: int, parts: int) -> list[float]:
    """The mean loss of each part of a training."""
    spec = {
        "dataset": "dsprites_full",
        "objective": {"beta_vae": {"beta": 1.0}},
        "random_seed": seed,
        "precision": precision,
    }
    training = Training(TrainSpec.model_validate(spec), data)
    losses = []
    for part in range(parts):
        training.advance_to((part + 1) * steps // parts)
        losses.append(training.read_terms().loss)
    return losses


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = TrainingData(np.packbits(sprites(20_000), axis=2))
    curves = {
        precision: [curve(data, precision, seed, arguments.steps, arguments.parts) for seed in range(arguments.seeds)]
        for precision in ("fp32", "bf16")
    }
    print(
        f"{'step':>6} {'fp32':>9} {'bf16':>9} {'difference':>10} {'spread':>8}  (of fp32 over {arguments.seeds} seeds)"
    )
    for part in range(arguments.parts):
        fp32, bf16 = ([losses[part] for losses in curves[precision]] for precision in ("fp32", "bf16"))
        difference = statistics.mean(bf16) - statistics.mean(fp32)
        step = (part + 1) * arguments.steps // arguments.parts
        print(
            f"{step:6} {statistics.mean(fp32):9.2f} {statistics.mean(bf16):9.2f} "
            f"{difference:+10.2f} {max(fp32) - min(fp32):8.2f}"
        )


if __name__ == "__main__":
    main()
