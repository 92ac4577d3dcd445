"""Rendered sprites: their forms, their places, and that no two images are equal."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.datasets import dsprites_rendering
from disentanglement.datasets.dsprites import (
    ELLIPSE,
    HEART,
    NUM_IMAGES,
    SIZES,
    SQUARE,
    latents_classes,
    value_tables,
)
from disentanglement.datasets.dsprites_rendering import at_all_positions, blocks, is_rendering, mask, render

SHAPES = (SQUARE, ELLIPSE, HEART)
_, _, SCALES, ORIENTATIONS, _, _ = (table.tolist() for table in value_tables())
QUARTER_TURN = np.pi / 2


def cropped(sprite: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = np.nonzero(sprite)
    return sprite[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def form(sprite: NDArray[np.uint8]) -> tuple[tuple[int, ...], bytes]:
    """What a sprite looks like wherever it stands."""
    return cropped(sprite).shape, cropped(sprite).tobytes()


def centre(sprite: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(down, right) of the middle of its pixels, from the middle of the mask."""
    middle: NDArray[np.float64] = np.argwhere(sprite).mean(axis=0)
    return middle + 0.5 - dsprites_rendering.REACH


@pytest.mark.parametrize(("scale", "side"), list(zip(SCALES, (9, 11, 13, 15, 17, 19), strict=True)))
def test_an_upright_square_is_a_whole_square(scale: float, side: int) -> None:
    np.testing.assert_array_equal(cropped(mask(SQUARE, scale, 0)), np.ones((side, side)))


def test_an_upright_ellipse_lies_and_has_its_area() -> None:
    ellipse = cropped(mask(ELLIPSE, 1, 0))
    assert ellipse.shape == (14, 27)
    assert ellipse.sum() == pytest.approx(np.pi * 13.2 * 7.0, rel=0.01)


def test_an_upright_heart_is_symmetric_with_two_lobes_above_and_a_tip_below() -> None:
    heart = cropped(mask(HEART, 1, 0))
    assert heart.shape == (17, 20)
    np.testing.assert_array_equal(heart, heart[:, ::-1])
    assert runs(heart[0]) == 2
    assert all(runs(line) == 1 for line in heart[3:])
    assert heart[-1].sum() == 2
    assert (np.diff(heart[8:].sum(axis=1, dtype=int)) <= 0).all()


def runs(line: NDArray[np.uint8]) -> int:
    """Stretches of ones."""
    return int((np.diff(line.astype(int), prepend=0) == 1).sum())


def test_sprites_turn_counter_clockwise() -> None:
    down, right = centre(mask(HEART, 1, 0))
    assert down < -1  # the lobes are heavier than the tip
    assert abs(right) < 0.01
    down, right = centre(mask(HEART, 1, QUARTER_TURN))
    assert right < -1
    assert abs(down) < 0.01
    ellipse = mask(ELLIPSE, 1, QUARTER_TURN / 2)  # from lower left to upper right
    assert ellipse[:16, 16:].sum() > 2 * ellipse[:16, :16].sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_area_grows_with_the_square_of_scale(shape: int) -> None:
    areas = np.array([mask(shape, scale, 0.3).sum() for scale in SCALES])
    np.testing.assert_allclose(areas / areas[-1], np.square(SCALES), rtol=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_full_turn_is_no_turn(shape: int) -> None:
    np.testing.assert_array_equal(mask(shape, 0.7, ORIENTATIONS[0]), mask(shape, 0.7, ORIENTATIONS[-1]))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_smallest_sprites_look_different_at_each_orientation(shape: int) -> None:
    assert len({form(mask(shape, SCALES[0], orientation)) for orientation in ORIENTATIONS[:-1]}) == 39


def test_shapes_and_scales_look_different() -> None:
    assert len({form(mask(shape, scale, 0.0)) for shape in SHAPES for scale in SCALES}) == 18


def test_sprites_stay_within_their_reach() -> None:
    for shape in SHAPES:
        for orientation in ORIENTATIONS[::3]:
            sprite = mask(shape, 1, orientation)
            assert not sprite[[0, -1]].any()
            assert not sprite[:, [0, -1]].any()


def test_positions_move_a_whole_sprite_right_and_down_by_one_pixel() -> None:
    images = np.unpackbits(at_all_positions(mask(HEART, 1, 0.5)), axis=-1).reshape(32, 32, 64, 64)
    np.testing.assert_array_equal(images[1:, :, :, 1:], images[:-1, :, :, :-1])
    np.testing.assert_array_equal(images[:, 1:, 1:, :], images[:, :-1, :-1, :])
    np.testing.assert_array_equal(images[0, 0, :32, :32], mask(HEART, 1, 0.5))
    np.testing.assert_array_equal(images[31, 31, 31:63, 31:63], mask(HEART, 1, 0.5))
    assert np.unique(images.sum(axis=(2, 3))).size == 1
    assert len({image.tobytes() for image in images.reshape(-1, 64, 64)}) == 1024


def test_blocks_come_in_the_order_of_the_released_rows() -> None:
    num_blocks = 41
    for number, block in enumerate(islice(blocks(), num_blocks)):
        first = latents_classes(1024 * number, 1024 * number + 1)[0]
        _, shape, scale, orientation, x, y = first
        assert (x, y) == (0, 0)
        np.testing.assert_array_equal(block, at_all_positions(mask(shape, SCALES[scale], ORIENTATIONS[orientation])))


def test_the_last_row_has_the_last_value_of_each_factor() -> None:
    assert latents_classes(NUM_IMAGES - 1)[0].tolist() == [size - 1 for size in SIZES]
    assert latents_classes(32, 34).tolist() == [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1]]


def test_value_tables_are_those_of_the_released_file() -> None:
    tables = value_tables()
    assert tuple(len(table) for table in tables) == SIZES
    assert tables[1].tolist() == [1, 2, 3]
    np.testing.assert_allclose(tables[2], [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert (tables[3][0], tables[3][-1]) == (0, 2 * np.pi)
    np.testing.assert_allclose(tables[4], np.arange(32) / 31)
    np.testing.assert_array_equal(tables[5], tables[4])


def test_other_images_are_no_rendering() -> None:
    assert not is_rendering(np.zeros((2, 64, 8), np.uint8))
    assert not is_rendering(np.zeros((NUM_IMAGES, 64, 8), np.uint8))


@pytest.mark.slow
def test_all_images_are_whole_and_different_but_for_the_full_turn() -> None:
    seen: list[tuple[int, int]] = []
    packed = np.empty((NUM_IMAGES, 64, 8), np.uint8)
    render(packed, lambda done, total: seen.append((done, total)))
    assert seen == [(1024 * (i + 1), NUM_IMAGES) for i in range(720)]
    assert is_rendering(packed)
    assert not packed[:, [0, -1]].any()
    assert not (packed[:, :, 0] & 0x80).any()
    assert not (packed[:, :, -1] & 0x01).any()
    by_orientation = packed.reshape(18, 40, 1024, 512)
    np.testing.assert_array_equal(by_orientation[:, 0], by_orientation[:, 39])
    different = {hash(image.tobytes()) for image in by_orientation[:, :39].reshape(-1, 512)}
    assert len(different) == NUM_IMAGES // 40 * 39
    packed[-1, 30, 3] ^= 1
    assert not is_rendering(packed)
