"""Train four objectives on dSprites and print reconstruction and KL beside curves that others have published.

Run: `python tests/benchmarks/reproduction.py [--steps 345600] [--minutes 60] [--models 0 3] [--devices 0]`.
The store must hold dSprites: `disentangle data render dsprites_full`.
It is an ordinary study: stop it at any time (or let `--minutes` do so) and run it again to go on. The table shows what
there is, the model's own history averaged around a few steps.

Published: the training logs of github.com/YannDubs/disentangling-vae, 30 epochs of dSprites at batch 64 (345,600 steps,
an epoch being 11,520), Adam with learning rate 5e-4 (FactorVAE 1e-4, its discriminator too), the same encoder family
with four 4 x 4 convolutions. They anneal the weight of the divergence over the first 10,000 steps, the discriminator
sees a second batch there, and the last epoch's mean over batches is what is quoted.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pandas as pd

from disentanglement.cli import local_study
from disentanglement.cli.local_study import LocalStudy
from disentanglement.cli.settings import Place
from disentanglement.specs import StepKey, StudySpec
from disentanglement.storage.checkpoints import latest_checkpoint
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.keys import ArtifactKey

PUBLISHED_STEPS = 345_600
STUDY = "reproduction"
POINTS = 8


@dataclass(frozen=True, slots=True)
class Run:
    """One curve: an objective and what was published for its end, in nats."""

    name: str
    objective: dict[str, Any]
    learning_rate: float
    reconstruction: float
    kl: float


DISCRIMINATOR = {"adam": {"learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.9}}
FACTOR = {"gamma": 6.4, "discriminator_optimizer": DISCRIMINATOR}
RUNS = (
    Run("VAE", {"beta_vae": {"beta": 1.0}}, 5e-4, 18.0, 25.4),
    Run("beta-VAE, beta 4", {"beta_vae": {"beta": 4.0}}, 5e-4, 35.6, 15.4),
    Run(
        "annealed VAE, capacity 25",
        {"annealed_vae": {"gamma": 1000.0, "c_max": 25.0, "iteration_threshold": 100_000}},
        5e-4,
        *(81.1, 25.0),
    ),
    Run("FactorVAE, gamma 6.4", {"factor_vae": FACTOR}, 1e-4, 36.6, 21.7),
)


def study_of(run: Run, steps: int) -> StudySpec:
    """One model. FactorVAE counts two steps for each batch."""
    batches = 2 * steps if "factor_vae" in run.objective else steps
    return StudySpec.model_validate(
        {
            "name": f"{STUDY}_{RUNS.index(run)}_{steps}",
            "model": {
                "dataset": "dsprites_full",
                "objective": run.objective,
                "optimizer": {"adam": {"learning_rate": run.learning_rate}},
                "training_steps": batches,
            },
            "representations": ["mean"],
            "metrics": [],
        }
    )


def train(studies: list[LocalStudy], minutes: float | None, arguments: list[str]) -> None:
    """Runs the studies side by side, each by the command that a user would give; interrupts them after `minutes`."""
    command = [sys.executable, "-m", "disentanglement.cli", "study", "run"]
    running = [
        subprocess.Popen([*command, study.name, "--store", study.place.store_url, "--workers", "1", *arguments])
        for study in studies
    ]
    try:
        for process in running:
            process.wait(None if minutes is None else 60 * minutes)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        print("stopping, with checkpoints", file=sys.stderr)
        for process in running:
            process.send_signal(signal.SIGINT)
    for process in running:
        process.wait(120)


def history(study: LocalStudy) -> pd.DataFrame:
    """The rows of a model's history, committed or from its furthest checkpoint; empty before the first."""
    key: StepKey = study.plan.models[0].key
    manifest = find_manifest(study.store, "train", key)
    if manifest is not None:
        stored = study.store.get(ArtifactKey("train", key, manifest.attempt, "history.parquet"))
        return pd.read_parquet(io.BytesIO(stored))
    checkpoint = latest_checkpoint(study.store, "train", key)
    return pd.DataFrame() if checkpoint is None else pd.DataFrame(json.loads(checkpoint.contents["history.json"]))


def curve(run: Run, rows: pd.DataFrame, steps: int) -> list[str]:
    """Lines of a table: means over the last tenth of the way to each point, points a factor of two apart."""
    batches = rows["step"] / (2 if "factor_vae" in run.objective else 1)
    lines, point = [], float(min(steps, batches.max()))
    for _ in range(POINTS):
        near = rows[(batches > 0.9 * point) & (batches <= point)]
        if near.empty:
            break
        reconstruction, kl = near["reconstruction_loss"].mean(), near["kl_loss"].mean()
        lines.append(f"  {point:>9,.0f} batches   reconstruction {reconstruction:7.1f}   KL {kl:6.2f}")
        point /= 2
    return lines[::-1]


def main() -> None:
    """Trains as far as asked and prints the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=PUBLISHED_STEPS, help="batches of 64 that each model sees")
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    parser.add_argument("--models", type=int, nargs="*", default=list(range(len(RUNS))), help="which of 0 to 3")
    parser.add_argument("--devices", help="GPUs, e.g. 0; default: the CPU")
    parser.add_argument("--store", help="default: ./.disentangle/store")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    args = parser.parse_args()
    place = Place.of(args.store)
    chosen = [RUNS[number] for number in args.models]
    studies = [local_study.submit(place, study_of(run, args.steps), replace=True) for run in chosen]
    if not args.table:
        train(studies, args.minutes, ["--devices", args.devices] if args.devices else [])
    for run, study in zip(chosen, studies, strict=True):
        rows = history(study)
        print(f"{run.name}: published after {PUBLISHED_STEPS:,}: reconstruction {run.reconstruction}, KL {run.kl}")
        print("\n".join(curve(run, rows, args.steps)) if len(rows) else "  nothing yet")


if __name__ == "__main__":
    main()
