from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from disentanglement.models.networks import empty_ground
from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.empty_ground import EmptyGround, fast_encode
from disentanglement.models.networks.network import Networks
from disentanglement.specs.networks import ArchitectureSpec


def networks(channels: int = 1) -> Networks:
    weights = architecture(ArchitectureSpec(), (64, 64, channels)).initial_weights(0)
    for name, w in weights.items():
        if name.endswith(".bias"):  # an empty image must not give zeros
            w.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(len(w)))
    return Networks(architecture(ArchitectureSpec(), (64, 64, channels)), weights)


NETWORKS = networks()


def rectangle(top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
    image = np.zeros((64, 64, 1), dtype=np.float32)
    image[top : top + height, left : left + width] = 1
    return image


def assert_same_posterior(images_BHWC: NDArray[np.float32]) -> None:
    images = torch.from_numpy(images_BHWC)
    ours, dense = EmptyGround(NETWORKS, 64).encode(images), NETWORKS.encode(images)
    torch.testing.assert_close(ours.mean_BZ, dense.mean_BZ, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.logvar_BZ, dense.logvar_BZ, rtol=1e-5, atol=1e-6)


RECTANGLES = st.builds(
    rectangle, st.integers(0, 63), st.integers(0, 63), height=st.integers(1, 24), width=st.integers(1, 24)
)


@settings(max_examples=30, deadline=None)
@given(images=st.lists(RECTANGLES, min_size=1, max_size=3))
def test_codes_of_sprites_are_those_of_the_dense_layers(images: list[NDArray[np.float32]]) -> None:
    assert_same_posterior(np.stack(images))


@pytest.mark.parametrize("corner", [(0, 0), (0, 63), (63, 0), (63, 63), (31, 32)])
def test_a_single_pixel_at_any_edge_is_seen(corner: tuple[int, int]) -> None:
    pixel = rectangle(*corner, 1, 1)
    assert_same_posterior(np.stack([pixel, np.zeros_like(pixel)]))
    codes = EmptyGround(NETWORKS, 64).encode(torch.from_numpy(np.stack([pixel, np.zeros_like(pixel)]))).mean_BZ
    assert not torch.equal(codes[0], codes[1])


def test_grey_values_count_as_they_are() -> None:
    assert_same_posterior(0.3 * rectangle(20, 30, 7, 9)[None])


def test_full_images_take_the_dense_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    full = torch.rand(2, 64, 64, 1, generator=torch.Generator().manual_seed(0)) + 0.1
    expected = NETWORKS.encode(full).mean_BZ
    assert torch.equal(EmptyGround(NETWORKS, 64).encode(full).mean_BZ, expected)
    monkeypatch.setattr(empty_ground, "WORTHWHILE", 1.0)  # and would agree without them
    torch.testing.assert_close(EmptyGround(NETWORKS, 64).encode(full).mean_BZ, expected, rtol=1e-4, atol=1e-5)


def test_colour_images_take_the_dense_layers() -> None:
    colour = networks(3)
    images = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    encode = fast_encode(colour, (64, 64, 3), torch.device("cpu"))
    assert torch.equal(encode(images).mean_BZ, colour.encode(images).mean_BZ)
