"""Rendering Shapes3D where the released file cannot be had: same shapes, value tables and row order, own pixels.

A small ray caster: a camera that swings about an object in the middle of a square room. What a ray meets, and how
brightly it is lit, depends on size, shape and azimuth alone (480 poses); hues only weigh those brightnesses, so each
of the 1,000 colourings of all poses is three products and a sum.

Shapes: R rays, H, W image.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.images import Progress
from disentanglement.datasets.shapes3d import CAPSULE, CUBE, CYLINDER, SHAPE, SIZES, SPHERE, value_tables

Vectors = NDArray[np.float64]
Distances = NDArray[np.float64]

HEIGHT, WIDTH, _ = SHAPE
SAMPLES_PER_PIXEL = 4
ROOM = 5.5
"""Half the side of the square floor; y points up, the object stands on the floor's middle."""
CAMERA_DISTANCE, CAMERA_HEIGHT, TARGET_HEIGHT = 5.2, 2.6, 0.95
FIELD_OF_VIEW = np.radians(52)
LIGHT = np.array([-0.45, 0.8, 0.55]) / np.linalg.norm([-0.45, 0.8, 0.55])
"""Towards the light, seen from the camera: from the upper left, in front."""
AMBIENT = 0.55
SHADOW = 0.72
"""Brightness of the floor where the object keeps the light away."""
NEAR = 1e-6
FLOOR, WALL, OBJECT = range(3)


def render(images_PHWC: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills uint8 [480000, 64, 64, 3] in the released order."""
    brightness = np.stack(list(poses()), axis=1)[..., np.newaxis]  # [3, 480, H, W, 1]
    parts = [np.array([brightness[surface] * colour for colour in colours()]) for surface in (FLOOR, WALL, OBJECT)]
    parts[FLOOR] += np.float32(0.5)  # so that cutting off the fraction of a sum rounds it
    num_poses = len(parts[0][0])
    both = np.empty_like(parts[0][0])
    colourings = np.ndindex(*SIZES[:3])
    for done, (floor, wall, thing) in enumerate(colourings):
        np.add(parts[FLOOR][floor], parts[WALL][wall], out=both)
        both += parts[OBJECT][thing]
        images_PHWC[done * num_poses : (done + 1) * num_poses] = both
        if progress is not None:
            progress((done + 1) * num_poses, len(images_PHWC))


def colours() -> NDArray[np.float32]:
    """Red, green, blue of each hue, [10, 3]."""
    return np.array([colorsys.hsv_to_rgb(hue, 1.0, 1.0) for hue in value_tables()[0]], dtype=np.float32)


def poses() -> Iterator[NDArray[np.float32]]:
    """For each size, shape and azimuth: brightness [3, H, W] of floor, wall and object, 0 to 255."""
    _, _, _, sizes, shapes, azimuths = value_tables()
    for size in sizes:
        for shape in shapes:
            for azimuth in azimuths:
                yield pose(int(shape), float(size), float(np.radians(azimuth)))


def pose(shape: int, size: float, azimuth: float) -> NDArray[np.float32]:
    """Brightness [3, H, W] of floor, wall and object, 0 to 255; pixels that two surfaces share have some of each."""
    origin_3, direction_R3 = camera(azimuth)
    light_3 = turned(LIGHT, azimuth)
    thing_R, normal_R3 = INTERSECTIONS[shape](origin_3, direction_R3, size)
    floor_R = np.where(direction_R3[:, 1] < 0, -origin_3[1] / np.minimum(direction_R3[:, 1], -NEAR), np.inf)
    wall_R, wall_normal_R3 = walls(origin_3, direction_R3)
    surface_R = np.argmin([floor_R, wall_R, thing_R], axis=0)
    point_R3 = origin_3 + np.minimum(floor_R, wall_R)[:, None] * direction_R3
    shaded_R, _ = INTERSECTIONS[shape](point_R3 + NEAR * light_3, np.broadcast_to(light_3, point_R3.shape), size)
    floor_lit = lit(np.array([0.0, 1.0, 0.0]), light_3) * np.where(np.isfinite(shaded_R), SHADOW, 1.0)
    bright_R = np.choose(surface_R, [floor_lit, lit(wall_normal_R3, light_3), lit(normal_R3, light_3)])
    samples = [np.where(surface_R == surface, bright_R, 0) for surface in (FLOOR, WALL, OBJECT)]
    side = SAMPLES_PER_PIXEL
    means: Vectors = np.reshape(samples, (3, HEIGHT, side, WIDTH, side)).mean(axis=(2, 4))
    return (255 * means).astype(np.float32)


def camera(azimuth: float) -> tuple[Vectors, Vectors]:
    """Where the camera stands [3], and the directions of all rays [R, 3]: rows from above, columns from the left."""
    origin_3 = turned(np.array([0.0, CAMERA_HEIGHT, CAMERA_DISTANCE]), azimuth)
    forward_3 = np.array([0.0, TARGET_HEIGHT, 0.0]) - origin_3
    forward_3 /= np.linalg.norm(forward_3)
    right_3 = np.cross(forward_3, [0.0, 1.0, 0.0])
    right_3 /= np.linalg.norm(right_3)
    up_3 = np.cross(right_3, forward_3)
    side = HEIGHT * SAMPLES_PER_PIXEL
    across = np.tan(FIELD_OF_VIEW / 2) * (2 * (np.arange(side) + 0.5) / side - 1)
    down, right = (grid.reshape(-1, 1) for grid in np.meshgrid(across, across, indexing="ij"))
    return origin_3, forward_3 + right * right_3 - down * up_3


def turned(vector_3: Vectors, azimuth: float) -> Vectors:
    """Turned about the vertical axis."""
    x, y, z = vector_3
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    return np.array([cos * x + sin * z, y, -sin * x + cos * z])


def lit(normal_R3: Vectors, light_3: Vectors) -> Distances:
    """Brightness, 0 to 1, of surfaces that face along `normal`."""
    bright: Distances = AMBIENT + (1 - AMBIENT) * np.clip(normal_R3 @ light_3, 0, 1)
    return bright


def walls(origin_3: Vectors, direction_R3: Vectors) -> tuple[Distances, Vectors]:
    """Distance [R] to the room's walls from inside, and their normals [R, 3]."""
    horizontal_R2 = direction_R3[:, [0, 2]]
    step_R2 = np.where(np.abs(horizontal_R2) < NEAR, NEAR, horizontal_R2)
    distance_R2 = (np.sign(step_R2) * ROOM - origin_3[[0, 2]]) / step_R2
    nearer_R = np.argmin(distance_R2, axis=1)
    rows = np.arange(len(nearer_R))
    normal_R3 = np.zeros_like(direction_R3)
    normal_R3[rows, 2 * nearer_R] = -np.sign(step_R2[rows, nearer_R])
    return distance_R2[rows, nearer_R], normal_R3


def cube(origin: Vectors, direction_R3: Vectors, size: float) -> tuple[Distances, Vectors]:
    """Distance [R] to a cube, infinite where a ray misses it, and its normal [R, 3]."""
    half = 0.75 * size
    low, high = np.array([-half, 0.0, -half]), np.array([half, 2 * half, half])
    step = np.where(np.abs(direction_R3) < NEAR, NEAR, direction_R3)
    enter = np.minimum((low - origin) / step, (high - origin) / step)
    leave = np.maximum((low - origin) / step, (high - origin) / step)
    distance_R, axis_R = enter.max(axis=1), enter.argmax(axis=1)
    is_hit = (distance_R < leave.min(axis=1)) & (distance_R > 0)
    normal_R3 = np.zeros_like(direction_R3)
    rows = np.arange(len(axis_R))
    normal_R3[rows, axis_R] = -np.sign(step[rows, axis_R])
    return np.where(is_hit, distance_R, np.inf), normal_R3


def sphere(origin: Vectors, direction_R3: Vectors, size: float) -> tuple[Distances, Vectors]:
    """As `cube`, for a ball."""
    radius = 0.9 * size
    return ball(origin, direction_R3, radius, radius)


def cylinder(origin: Vectors, direction_R3: Vectors, size: float) -> tuple[Distances, Vectors]:
    """As `cube`, for an upright cylinder."""
    radius, height = 0.75 * size, 1.5 * size
    side_R, side_normal_R3 = tube(origin, direction_R3, radius, 0.0, height)
    rise_R = np.where(np.abs(direction_R3[:, 1]) < NEAR, NEAR, direction_R3[:, 1])
    top_R = (height - np.broadcast_to(origin, direction_R3.shape)[:, 1]) / rise_R
    at_R3 = origin + top_R[:, None] * direction_R3
    is_top = (top_R > 0) & (at_R3[:, 0] ** 2 + at_R3[:, 2] ** 2 <= radius**2)
    return nearest((side_R, side_normal_R3), (np.where(is_top, top_R, np.inf), np.array([0.0, 1.0, 0.0])))


def capsule(origin: Vectors, direction_R3: Vectors, size: float) -> tuple[Distances, Vectors]:
    """As `cube`, for an upright cylinder with round ends."""
    radius, height = 0.6 * size, 2.0 * size
    lower = ball(origin, direction_R3, radius, radius)
    upper = ball(origin, direction_R3, radius, height - radius)
    return nearest(tube(origin, direction_R3, radius, radius, height - radius), nearest(lower, upper))


def ball(origin: Vectors, direction_R3: Vectors, radius: float, height: float) -> tuple[Distances, Vectors]:
    """As `cube`, for a ball whose centre is `height` above the floor's middle."""
    from_centre = origin - np.array([0.0, height, 0.0])
    distance_R = first_root(
        (direction_R3**2).sum(axis=1),
        (from_centre * direction_R3).sum(axis=1),
        (from_centre**2).sum(axis=-1) - radius**2,
    )
    reached = np.where(np.isfinite(distance_R), distance_R, 0.0)[:, None]
    return distance_R, (from_centre + reached * direction_R3) / radius


def tube(origin: Vectors, direction_R3: Vectors, radius: float, bottom: float, top: float) -> tuple[Distances, Vectors]:
    """As `cube`, for the outside of an upright tube."""
    flat = np.array([1.0, 0.0, 1.0])
    from_axis, level_R3 = origin * flat, direction_R3 * flat
    distance_R = first_root(
        np.maximum((level_R3**2).sum(axis=1), NEAR**2),
        (from_axis * level_R3).sum(axis=1),
        (from_axis**2).sum(axis=-1) - radius**2,
    )
    reached = np.where(np.isfinite(distance_R), distance_R, 0.0)[:, None]
    height_R = (origin + reached * direction_R3)[:, 1]
    is_hit = np.isfinite(distance_R) & (height_R >= bottom) & (height_R <= top)
    return np.where(is_hit, distance_R, np.inf), (from_axis + reached * level_R3) / radius


def first_root(a_R: Distances, half_b_R: Distances, c_R: Distances) -> Distances:
    """The smaller root of a t^2 + 2 b t + c, infinite where there is none ahead."""
    discriminant_R = half_b_R**2 - a_R * c_R
    root_R = (-half_b_R - np.sqrt(np.maximum(discriminant_R, 0))) / a_R
    return np.where((discriminant_R > 0) & (root_R > 0), root_R, np.inf)


def nearest(*hits: tuple[Distances, Vectors]) -> tuple[Distances, Vectors]:
    """The first of two surfaces that a ray meets."""
    (one_R, one_normal), (other_R, other_normal) = hits
    return np.minimum(one_R, other_R), np.where((one_R <= other_R)[:, None], one_normal, other_normal)


INTERSECTIONS: dict[int, Callable[[Vectors, Vectors, float], tuple[Distances, Vectors]]] = {
    CUBE: cube,
    CYLINDER: cylinder,
    SPHERE: sphere,
    CAPSULE: capsule,
}
