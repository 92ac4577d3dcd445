"""Boosted trees beside scikit-learn's, interleaved in the same process, and what they make of DCI.

Run: `python tests/benchmarks/bench_boosted_trees.py [--points 1000 10000] [--pairs 3] [--trees 120] [--no-dci]`. Codes
are ten noisy mixtures of factors of dSprites' sizes. A whole DCI of scikit-learn takes minutes, so single factors are
timed for a few rounds of about `--trees` trees: the cost of a tree hardly depends on its round. Seconds are wall time,
and CPU time for one thread, which says more on a machine that does other things too; ratios are medians over pairs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers.boosted_trees import fit_boosted_trees, sort_codes
from disentanglement.metrics.scores.dci import dci

SIZES = (3, 6, 40, 32, 32)
NUM_CODES = 10
TIMED = (0, 1, 2)
"""The factors of 3, 6 and 40 values."""


def sample(num_points: int, seed: int) -> Points:
    """Codes [N, 10] that mix and bend the factors, with noise."""
    rng = np.random.default_rng(seed)
    factors_NK = np.stack([rng.integers(size, size=num_points) for size in SIZES], axis=1)
    mixing_KD = np.random.default_rng(0).normal(size=(len(SIZES), NUM_CODES))
    codes_ND = np.tanh((2 * factors_NK / np.array(SIZES) - 1) @ mixing_KD) + 0.1 * rng.normal(
        size=(num_points, NUM_CODES)
    )
    return Points(codes_ND.astype(np.float32), factors_NK)


def timed(compute: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    compute()
    return time.perf_counter() - wall, time.process_time() - cpu


def ours(codes_ND: NDArray[np.float32], labels_N: NDArray[np.int64], rounds: int, threads: int) -> None:
    """Sorting included, which all factors share in DCI."""
    codes = sort_codes(codes_ND)
    fit_boosted_trees(codes, labels_N, random_state=RandomState(0), num_rounds=rounds, num_threads=threads)


def theirs(codes_ND: NDArray[np.float32], labels_N: NDArray[np.int64], rounds: int) -> None:
    """scikit-learn's."""
    GradientBoostingClassifier(n_estimators=rounds, random_state=RandomState(0)).fit(codes_ND, labels_N)


def compare(points: Points, factor: int, num_trees: int, num_pairs: int) -> None:
    """Prints one line: seconds of one tree, and how many times faster ours are."""
    labels_N = points.factors_NK[:, factor]
    rounds = max(1, num_trees // SIZES[factor])
    made = rounds * SIZES[factor]
    walls: list[float] = []
    cpus: list[float] = []
    twos: list[float] = []
    milliseconds: list[float] = []
    for _ in range(num_pairs):
        their_wall, their_cpu = timed(partial(theirs, points.codes_ND, labels_N, rounds))
        our_wall, our_cpu = timed(partial(ours, points.codes_ND, labels_N, rounds, 1))
        two_wall, _ = timed(partial(ours, points.codes_ND, labels_N, rounds, 2))
        walls.append(their_wall / our_wall)
        cpus.append(their_cpu / our_cpu)
        twos.append(their_wall / two_wall)
        milliseconds.append(1000 * our_cpu / made)
    wall, cpu, two, tree = (statistics.median(values) for values in (walls, cpus, twos, milliseconds))
    print(
        f"{len(points):>7} points, {SIZES[factor]:>2} classes, {rounds:>3} rounds: one thread {wall:.0f}x"
        f" (CPU {cpu:.0f}x, {min(cpus):.0f} to {max(cpus):.0f}), two threads {two:.0f}x; {tree:.2f} ms of CPU a tree"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--trees", type=int, default=120)
    parser.add_argument("--dci", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    wall, cpu = timed(partial(ours, sample(50, 0).codes_ND, sample(50, 0).factors_NK[:, 0], 1, 2))
    print(f"compiled, or loaded from the cache, in {wall:.1f} s ({cpu:.1f} s of CPU)")
    for num_points in arguments.points:
        train, test = sample(num_points, 1), sample(num_points // 2, 2)
        for factor in TIMED:
            compare(train, factor, arguments.trees, arguments.pairs)
        if arguments.dci:
            wall, cpu = timed(partial(dci, train, test, random_state=RandomState(0)))
            print(
                f"{num_points:>7} points: dci of all {len(SIZES)} factors {wall:.1f} s ({cpu:.1f} s of CPU), one thread"
            )


if __name__ == "__main__":
    main()
