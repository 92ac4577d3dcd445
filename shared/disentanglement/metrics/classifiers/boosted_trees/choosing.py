"""The choice among codes that split equally well, in compiled code. Shapes: D codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled
from disentanglement.metrics.classifiers.boosted_trees.layout import NEAR, Int, Split

LARGEST_RANDOM = np.uint32(0x7FFFFFFF)


@compiled
def choose(
    split: Split, turns_D: NDArray[np.int64], constants_D: NDArray[np.int64], num_known: Int, seed: np.uint32
) -> tuple[Int, Int, np.uint32]:
    """The code that gains most (-1: none), how many codes are known to be constant, and the generator's next state.

    Of equal ones the first in a random order is taken, drawn without replacement as scikit-learn draws it
    (`node_split_best` in tree/_splitter.pyx): codes found constant are put aside for the nodes below, `num_known` of
    them so far, and `turns_D` stays permuted from node to node.
    """
    num_codes = len(turns_D)
    remaining, num_drawn, num_found, num_constant = num_codes, 0, 0, num_known
    best, best_gain = -1, -1.0
    while remaining > num_constant:
        seed = next_random(seed)
        turn = num_drawn + np.int64(seed & LARGEST_RANDOM) % (remaining - num_found - num_drawn)
        if turn < num_known:
            turns_D[num_drawn], turns_D[turn] = turns_D[turn], turns_D[num_drawn]
            num_drawn += 1
            continue
        turn += num_found
        d = turns_D[turn]
        if split.is_constant_D[d]:
            turns_D[turn], turns_D[num_constant] = turns_D[num_constant], turns_D[turn]
            num_found += 1
            num_constant += 1
            continue
        remaining -= 1
        turns_D[remaining], turns_D[turn] = turns_D[turn], turns_D[remaining]
        if split.gain_D[d] > best_gain:
            best, best_gain = d, split.gain_D[d]
    turns_D[:num_known] = constants_D[:num_known]
    constants_D[num_known:num_constant] = turns_D[num_known:num_constant]
    return best, num_constant, seed


@compiled
def next_random(seed: np.uint32) -> np.uint32:
    """Marsaglia's xorshift of 32 bits (2003, J. Stat. Software 8, 14)."""
    state = np.uint32(1) if seed == 0 else np.uint32(seed)
    state = np.uint32(state ^ np.uint32(state << np.uint32(13)))
    state = np.uint32(state ^ np.uint32(state >> np.uint32(17)))
    return np.uint32(state ^ np.uint32(state << np.uint32(5)))


@compiled
def count_ties(split: Split, best: Int) -> int:
    """1 where several codes gain about as much as the best one."""
    num_near = 0
    for gain in split.gain_D:
        num_near += int(gain >= split.gain_D[best] * (1.0 - NEAR))
    return 1 if num_near > 1 else 0
