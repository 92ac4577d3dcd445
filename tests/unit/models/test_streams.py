from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.models.streams import ITERATIONS_PER_BLOCK, Stream, Streams, generator, variable_generator


def streams(seed: int = 0, *, evaluation: bool = False) -> Streams:
    return Streams(seed, num_rows=50, batch_size=8, num_latent=3, device=torch.device("cpu"), evaluation=evaluation)


@given(
    steps=st.lists(st.integers(0, 3 * ITERATIONS_PER_BLOCK), max_size=6), step=st.integers(0, 3 * ITERATIONS_PER_BLOCK)
)
def test_the_numbers_of_a_step_do_not_depend_on_the_steps_before(steps: list[int], step: int) -> None:
    used, fresh = streams(), streams()
    for earlier in steps:
        used.rows(earlier)
        used.latent(earlier, 0)
    assert torch.equal(used.rows(step), fresh.rows(step))
    assert torch.equal(used.at(step).latent(), fresh.at(step).latent())


def test_steps_draws_seeds_and_purposes_have_numbers_of_their_own() -> None:
    one, evaluation, other = streams(), streams(evaluation=True), streams(seed=1)
    normals = [
        one.latent(0, 0),
        one.latent(0, 1),
        one.latent(1, 0),
        one.latent(ITERATIONS_PER_BLOCK, 0),
        evaluation.latent(0, 0),
        other.latent(0, 0),
    ]
    assert len({tuple(normal.flatten().tolist()) for normal in normals}) == len(normals)
    rows = [one.rows(0), one.rows(1), one.rows(ITERATIONS_PER_BLOCK), evaluation.rows(0), other.rows(0)]
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)


def test_rows_are_uniform_over_the_grid() -> None:
    counts = torch.bincount(torch.cat([streams().rows(step) for step in range(1000)]), minlength=50)
    chi_square = ((counts - 160.0).square() / 160).sum().item()
    assert len(counts) == 50
    assert 20 < chi_square < 90  # 49 degrees of freedom: 99.9 % lie here


def test_latent_noise_is_standard_normal() -> None:
    normal = torch.stack([streams().latent(step, 0) for step in range(1000)])
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.var().item() == pytest.approx(1, abs=0.03)
    assert (normal.abs() > 1.96).float().mean().item() == pytest.approx(0.05, abs=0.006)


def test_permutations_are_uniform_and_independent() -> None:
    drawn = torch.stack([streams().permutations(iteration, 2, 3, 0) for iteration in range(1200)])
    assert drawn.dtype == torch.int64
    assert (drawn.sort(dim=2).values == torch.arange(3)).all()
    as_numbers = (drawn * torch.tensor([9, 3, 1])).sum(dim=2)
    pairs, counts = torch.unique(as_numbers, dim=0, return_counts=True)
    assert len(pairs) == 36
    assert ((counts - 1200 / 36).square() / (1200 / 36)).sum().item() < 70  # 35 degrees of freedom: 99.9 % lie below


def test_permutations_do_not_depend_on_what_was_drawn_before_and_differ_between_draws() -> None:
    used = streams()
    used.permutations(70, 2, 50, 0)
    assert torch.equal(used.at(3).permutations(2, 50), streams().permutations(3, 2, 50, 0))
    others = [used.permutations(3, 2, 50, 1), streams(evaluation=True).permutations(3, 2, 50, 0)]
    assert not any(torch.equal(used.permutations(3, 2, 50, 0), other) for other in others)


def test_rows_may_have_a_seed_of_their_own() -> None:
    def seeded(seed: int, rows_seed: int | None) -> Streams:
        device = torch.device("cpu")
        return Streams(
            seed, num_rows=50, batch_size=8, num_latent=3, device=device, evaluation=False, rows_seed=rows_seed
        )

    assert torch.equal(seeded(1, 7).rows(0), seeded(2, 7).rows(0))
    assert torch.equal(seeded(1, 7).rows(0), seeded(7, None).rows(0))
    assert not torch.equal(seeded(1, 7).latent(0, 0), seeded(2, 7).latent(0, 0))


def test_the_numbers_are_pinned_so_that_a_released_seed_keeps_its_model() -> None:
    assert generator(7, Stream.LATENT, 2).integers(2**31, size=3).tolist() == [2123334115, 771419363, 128649930]
    assert variable_generator(7, "encoder.e1.kernel").integers(2**31, size=3).tolist() == [
        639970538,
        2100027885,
        1946841522,
    ]
