"""Trust-region Newton steps for many convex problems of two parameters at once.

Lin and Moré, 1999, SIAM Journal on Optimization 9(4); for linear classifiers Lin, Weng and Keerthi, 2008, Journal of
Machine Learning Research 9. A step is found by conjugate gradients that stop at the edge of the region, or early; the
region grows or shrinks with how well the quadratic model foretold the decrease. Where it stops short of the optimum is
part of the result, so start, constants and stopping rule are those of LIBLINEAR, whose numbers are to be met.
Shapes: P problems, R of them that still run, 2 parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Problems = NDArray[np.int64]

SHARE_OF_GRADIENT = 0.1
"""Conjugate gradients stop at a residual of this share of the gradient."""
ACCEPTED, POOR, GOOD = 1e-4, 0.25, 0.75
"""Actual by predicted decrease: from where a step is taken, and between which the region keeps about its size."""
QUARTER, HALF, FOURFOLD = 0.25, 0.5, 4.0
"""How far the region's radius may change."""
PRECISION = 1e-12
"""Decreases smaller than this, relative to the value, are rounding."""
MOST_STEPS = 1000


class Local(NamedTuple):
    """Functions [R] around points: value, gradient and Hessian."""

    value_R: Floats
    gradient_R2: Floats
    hessian_R22: Floats


Functions = Callable[[Problems, Floats], Local]
"""(which problems [R], at which points [R, 2]) -> the functions around there."""


class Iterates(NamedTuple):
    """The problems that still run."""

    problem_R: Problems
    point_R2: Floats
    local: Local
    radius_R: Floats
    wanted_R: Floats
    """The norm of the gradient at which a problem is solved."""

    def only(self, chosen_R: NDArray[np.bool_]) -> Iterates:
        """Those chosen."""
        problem_R, point_R2, local, radius_R, wanted_R = self
        kept = Local(*(array[chosen_R] for array in local))
        return Iterates(problem_R[chosen_R], point_R2[chosen_R], kept, radius_R[chosen_R], wanted_R[chosen_R])


def minimise(functions: Functions, tolerance_P: Floats) -> Floats:
    """Points [P, 2] of gradients at most `tolerance` times as long as those at 0, where all problems start."""
    found_P2 = np.zeros((len(tolerance_P), 2))
    everything = np.arange(len(tolerance_P))
    local = functions(everything, found_P2)
    length_P = norms(local.gradient_R2)
    running = Iterates(everything, found_P2, local, length_P, tolerance_P * length_P).only(length_P > 0)
    for number in range(MOST_STEPS):
        if not len(running.problem_R):
            break
        running, solved_R = _advance(running, functions, is_first=number == 0)
        found_P2[running.problem_R] = running.point_R2
        running = running.only(~solved_R)
    return found_P2


def _advance(now: Iterates, functions: Functions, *, is_first: bool) -> tuple[Iterates, NDArray[np.bool_]]:
    """One step of each problem, taken where it is good enough, and which problems are solved by it."""
    step_R2, residual_R2 = truncated_step(now.local.gradient_R2, now.local.hessian_R22, now.radius_R)
    trial_R2 = now.point_R2 + step_R2
    trial = functions(now.problem_R, trial_R2)
    slope_R = dots(now.local.gradient_R2, step_R2)
    predicted_R = -0.5 * (slope_R - dots(step_R2, residual_R2))
    actual_R = now.local.value_R - trial.value_R
    length_R = norms(step_R2)
    radius_R = np.minimum(now.radius_R, length_R) if is_first else now.radius_R
    radius_R = _next_radius(radius_R, length_R, slope_R, actual_R, predicted_R)
    taken_R = actual_R > ACCEPTED * predicted_R
    local = Local(*(_choose(taken_R, new, old) for new, old in zip(trial, now.local, strict=True)))
    moved = Iterates(now.problem_R, _choose(taken_R, trial_R2, now.point_R2), local, radius_R, now.wanted_R)
    solved_R = taken_R & (norms(local.gradient_R2) <= now.wanted_R)
    smallest_R = PRECISION * np.abs(local.value_R)
    at_rounding_R = (np.abs(actual_R) <= smallest_R) & (np.abs(predicted_R) <= smallest_R)
    return moved, solved_R | (predicted_R <= 0) | at_rounding_R


def _next_radius(radius_R: Floats, length_R: Floats, slope_R: Floats, actual_R: Floats, predicted_R: Floats) -> Floats:
    """The less the model foretold, the smaller; the minimum of a parabola along the step says where to look."""
    bend_R = -actual_R - slope_R
    is_bent_R = bend_R > 0
    minimum_R = np.maximum(QUARTER, -0.5 * slope_R / np.where(is_bent_R, bend_R, 1.0))
    reach_R = np.where(is_bent_R, minimum_R, FOURFOLD) * length_R
    return np.select(
        [actual_R < ACCEPTED * predicted_R, actual_R < POOR * predicted_R, actual_R < GOOD * predicted_R],
        [
            np.minimum(np.maximum(reach_R, QUARTER * length_R), HALF * radius_R),
            np.maximum(QUARTER * radius_R, np.minimum(reach_R, HALF * radius_R)),
            np.maximum(QUARTER * radius_R, np.minimum(reach_R, FOURFOLD * radius_R)),
        ],
        default=np.maximum(radius_R, np.minimum(reach_R, FOURFOLD * radius_R)),
    )


def truncated_step(gradient_R2: Floats, hessian_R22: Floats, radius_R: Floats) -> tuple[Floats, Floats]:
    """The step [R, 2] that conjugate gradients find for each problem, and what is left of the gradient after it."""
    step_R2, residual_R2 = np.zeros_like(gradient_R2), -gradient_R2
    wanted_R = SHARE_OF_GRADIENT * norms(gradient_R2)
    direction_R2 = residual_R2.copy()
    going = np.flatnonzero(norms(residual_R2) > wanted_R)
    while len(going):
        step_G2, residual_G2, direction_G2 = step_R2[going], residual_R2[going], direction_R2[going]
        bent_G2 = np.einsum("gij,gj->gi", hessian_R22[going], direction_G2)
        square_G = dots(residual_G2, residual_G2)
        stride_G = square_G / dots(direction_G2, bent_G2)
        is_outside_G = norms(step_G2 + stride_G[:, None] * direction_G2) > radius_R[going]
        stride_G = np.where(is_outside_G, _to_the_edge(step_G2, direction_G2, radius_R[going]), stride_G)
        step_R2[going] = step_G2 + stride_G[:, None] * direction_G2
        residual_R2[going] = rest_G2 = residual_G2 - stride_G[:, None] * bent_G2
        direction_R2[going] = rest_G2 + (dots(rest_G2, rest_G2) / square_G)[:, None] * direction_G2
        going = going[~is_outside_G & (norms(rest_G2) > wanted_R[going])]
    return step_R2, residual_R2


def _to_the_edge(step_G2: Floats, direction_G2: Floats, radius_G: Floats) -> Floats:
    """How far along the direction the step meets the edge of the region; of two forms the one that cancels less."""
    along_G, squared_G = dots(step_G2, direction_G2), dots(direction_G2, direction_G2)
    missing_G = np.maximum(radius_G**2 - dots(step_G2, step_G2), 0.0)
    root_G = np.sqrt(along_G**2 + squared_G * missing_G)
    is_outward_G = along_G >= 0
    divisor_G = np.where(is_outward_G, along_G + root_G, 1.0)
    return np.where(is_outward_G, missing_G / divisor_G, (root_G - along_G) / squared_G)


def _choose(chosen_R: NDArray[np.bool_], new: NDArray[Any], old: NDArray[Any]) -> NDArray[Any]:
    return np.where(chosen_R.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def dots(left_R2: Floats, right_R2: Floats) -> Floats:
    """Inner products [R]."""
    product_R: Floats = left_R2[:, 0] * right_R2[:, 0] + left_R2[:, 1] * right_R2[:, 1]
    return product_R


def norms(vector_R2: Floats) -> Floats:
    """Lengths [R]."""
    length_R: Floats = np.sqrt(dots(vector_R2, vector_R2))
    return length_R
