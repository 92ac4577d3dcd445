"""The rendered room: what is where, how it is lit, and the order of the images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest import approx

from disentanglement.datasets import shapes3d_rendering as room
from disentanglement.datasets.shapes3d import CAPSULE, CUBE, CYLINDER, SHAPE, SIZES, SPHERE, value_tables


def area(shape: int, size: float = 1.0, azimuth: float = 0.0) -> float:
    """How much of the image the object takes, in pixels."""
    return float((room.pose(shape, size, azimuth)[room.OBJECT] > 0).sum())


def test_a_ray_meets_a_ball_where_geometry_says() -> None:
    origin, directions = np.array([0.0, 1.0, 5.0]), np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    distance_R, normal_R3 = room.ball(origin, directions, 1.0, 1.0)
    assert distance_R.tolist() == [4.0, np.inf, np.inf]
    assert normal_R3[0].tolist() == [0, 0, 1]


def test_a_ray_meets_each_shape_at_its_front() -> None:
    origin, ahead = np.array([0.0, 0.5, 5.0]), np.array([[0.0, 0.0, -1.0]])
    fronts = {shape: 5 - float(room.INTERSECTIONS[shape](origin, ahead, 1.0)[0][0]) for shape in room.INTERSECTIONS}
    assert fronts == approx({CUBE: 0.75, CYLINDER: 0.75, SPHERE: np.sqrt(0.81 - 0.16), CAPSULE: np.sqrt(0.36 - 0.01)})


def test_a_ray_from_above_meets_tops_that_face_up() -> None:
    origin, down = np.array([0.1, 9.0, 0.0]), np.array([[0.0, -1.0, 0.0]])
    for shape, top in ((CUBE, 1.5), (CYLINDER, 1.5)):
        distance_R, normal_R3 = room.INTERSECTIONS[shape](origin, down, 1.0)
        assert 9 - distance_R[0] == approx(top)
        assert normal_R3[0].tolist() == [0, 1, 0]


def test_the_walls_are_as_far_as_the_room_is_wide() -> None:
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -2.0]])
    distance_R, normal_R3 = room.walls(np.array([0.5, 1.0, 0.0]), directions)
    assert distance_R == approx([room.ROOM - 0.5, room.ROOM / 2])
    assert normal_R3.tolist() == [[-1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("shape", [CUBE, CYLINDER, SPHERE, CAPSULE])
def test_objects_grow_with_their_size_and_stay_in_the_frame(shape: int) -> None:
    areas = [area(shape, size) for size in value_tables()[3]]
    assert all(np.diff(areas) > 0)
    largest = room.pose(shape, 1.25, 0.0)[room.OBJECT] > 0
    assert not largest[[0, -1]].any()
    assert not largest[:, [0, -1]].any()


def test_azimuths_move_the_walls_corner_from_one_side_to_the_other() -> None:
    def bright_side(azimuth: float) -> float:
        wall = room.pose(SPHERE, 0.75, np.radians(azimuth))[room.WALL][:10]
        return float(wall[:, -8:].mean() - wall[:, :8].mean())

    assert bright_side(-30) > 10
    assert bright_side(30) > 10  # the left wall is in the dark there
    assert abs(bright_side(0)) < 5


def test_every_pixel_shows_something_and_nothing_is_brighter_than_white() -> None:
    parts = room.pose(CUBE, 1.0, np.radians(15))
    whole = parts.sum(axis=0)
    assert whole.min() >= 255 * room.AMBIENT * room.SHADOW
    assert whole.max() <= 255


def few(monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    """All colourings of the first two azimuths of the smallest cube."""
    poses = [room.pose(CUBE, 0.75, np.radians(azimuth)) for azimuth in value_tables()[5][:2]]
    monkeypatch.setattr(room, "poses", lambda: iter(poses))
    images = np.zeros((2000, *SHAPE), np.uint8)
    room.render(images)
    return images.reshape(*SIZES[:3], 2, *SHAPE)


def test_images_lie_in_the_released_order(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = few(monkeypatch)
    floor, wall, thing = (-1, 5), (5, 30), (33, 32)
    hues = room.colours()
    for pixel, axis in ((floor, 0), (wall, 1), (thing, 2)):
        shown = np.moveaxis(grid[..., 0, *pixel, :], axis, 0).reshape(10, 100, 3)
        assert (shown == shown[:, :1]).all()  # no other colour plays a part
        ratio = shown[:, 0] / shown[:, 0].max(axis=1, keepdims=True)
        assert ratio == approx(hues, abs=0.01)
    assert (grid[..., 0, :, :, :] != grid[..., 1, :, :, :]).any()


def test_colours_are_summed_and_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = few(monkeypatch)
    parts, hues = room.pose(CUBE, 0.75, np.radians(-30)).astype(np.float64), room.colours()
    expected = sum(part[..., None] * hues[hue] for part, hue in zip(parts, (1, 4, 7), strict=True))
    assert np.abs(grid[1, 4, 7, 0] - np.asarray(expected)).max() <= 0.501
