"""Trust-region steps on functions whose minima are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from disentanglement.metrics.classifiers.trust_region import (
    Floats,
    Functions,
    Local,
    Problems,
    minimise,
    norms,
    truncated_step,
)


def quadratics(minimum_P2: Floats, hessian_P22: Floats) -> tuple[list[int], Functions]:
    """Functions of these minima, and a list that counts how many are still asked for."""
    asked: list[int] = []

    def at(problem_R: Problems, point_R2: Floats) -> Local:
        asked.append(len(problem_R))
        away_R2 = point_R2 - minimum_P2[problem_R]
        bent_R2 = np.einsum("rij,rj->ri", hessian_P22[problem_R], away_R2)
        return Local((away_R2 * bent_R2).sum(axis=1) / 2, bent_R2, hessian_P22[problem_R])

    return asked, at


def some_hessians(rng: np.random.Generator, num: int) -> Floats:
    root = rng.normal(size=(num, 2, 2))
    return root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)


@given(seed=integers(0, 2**32 - 1))
def test_minima_of_quadratic_functions_are_found_side_by_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    minimum_P2, hessian_P22 = 100 * rng.normal(size=(5, 2)), some_hessians(rng, 5)
    _, functions = quadratics(minimum_P2, hessian_P22)
    found_P2 = minimise(functions, np.full(5, 1e-9))
    assert found_P2 == pytest.approx(minimum_P2, abs=1e-4)


def test_a_problem_that_starts_at_its_minimum_stays_and_solved_ones_are_not_asked_again() -> None:
    minimum_P2 = np.array([[0.0, 0.0], [0.5, 0.0], [400.0, 30.0]])
    asked, functions = quadratics(minimum_P2, np.stack([np.eye(2), np.eye(2), np.diag([1.0, 0.01])]))
    assert minimise(functions, np.full(3, 1e-9)) == pytest.approx(minimum_P2, abs=1e-5)
    assert asked[:2] == [3, 2]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == 1


def test_a_loose_tolerance_stops_at_the_first_gradient_that_is_short_enough() -> None:
    _, functions = quadratics(np.array([[100.0, 1.0]]), np.diag([1.0, 3.0])[None])
    found_P2 = minimise(functions, np.array([0.5]))
    assert 0 < norms((found_P2 - [100.0, 1.0]) * [1.0, 3.0])[0] <= 0.5 * np.hypot(100, 3)


@given(seed=integers(0, 2**32 - 1))
def test_a_step_is_the_newton_step_or_ends_on_the_edge_of_the_region(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradient_R2, hessian_R22 = rng.normal(size=(6, 2)), some_hessians(rng, 6)
    radius_R = rng.uniform(0.1, 3, size=6)
    step_R2, residual_R2 = truncated_step(gradient_R2, hessian_R22, radius_R)
    bent_R2 = np.einsum("rij,rj->ri", hessian_R22, step_R2)
    assert residual_R2 == pytest.approx(-gradient_R2 - bent_R2, abs=1e-9)
    is_inside_R = norms(residual_R2) <= 0.1 * norms(gradient_R2) * (1 + 1e-9)
    assert (norms(step_R2) <= radius_R * (1 + 1e-9)).all()
    assert norms(step_R2)[~is_inside_R] == pytest.approx(radius_R[~is_inside_R])
    assert ((gradient_R2 * step_R2).sum(axis=1) < 0).all()


def test_functions_that_are_not_quadratic_shrink_the_region_until_they_fit() -> None:
    # log(cosh) is bent at 0 alone: from afar a Newton step overshoots by far and is not taken.
    def at(problem_R: Problems, point_R2: Floats) -> Local:
        away_R2 = point_R2 - [4.0, -3.0]
        bend_R22 = np.eye(2) * (1 / np.cosh(away_R2) ** 2 + 1e-9)[:, None, :]
        return Local(np.log(np.cosh(away_R2)).sum(axis=1), np.tanh(away_R2), bend_R22)

    assert minimise(at, np.array([1e-8])) == pytest.approx(np.array([[4.0, -3.0]]), abs=1e-6)
