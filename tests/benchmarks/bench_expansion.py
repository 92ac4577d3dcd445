"""Seconds of processor time to expand a published study, to make all its step keys, and to read its plan again.

Run: `python tests/benchmarks/bench_expansion.py [unsupervised_study_v1] [--rounds 3]`. Nothing is trained or stored.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import Plan, PlanCell, expand_study, training_specs
from disentanglement.studies.published import STUDIES

Result = TypeVar("Result")


def timed(what: str, rounds: int, run: Callable[[], Result]) -> Result:
    """Prints the shortest of several runs; the result of the last."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        result = run()
        times.append(time.process_time() - began)
    print(f"{what:<28} {min(times):6.2f} s")
    return result


def keys_of(plan: Plan) -> int:
    """Makes every step key of a plan that was just read."""
    return len({item.id for model in plan.models for item in steps_of(model)})


def main() -> None:
    """Times one study."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", nargs="?", default="unsupervised_study_v1", choices=sorted(STUDIES))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    study = STUDIES[options.study].spec
    digests = {spec.dataset.name: "0" * 64 for spec in training_specs(study).values()}
    plan = timed("expand", options.rounds, lambda: expand_study(study, digests))
    count = timed("expand, and all step keys", options.rounds, lambda: keys_of(expand_study(study, digests)))
    print(f"{len(plan.models)} models, {count} steps, {len(plan.cells)} cells")
    texts = timed("plan to JSON", options.rounds, lambda: [cell.to_json() for cell in plan.cells.values()])
    print(f"{sum(map(len, texts)) / 1e6:.1f} MB of JSON")
    timed("plan from JSON", options.rounds, lambda: [PlanCell.from_json(text) for text in texts])


if __name__ == "__main__":
    main()
