"""Pictures to look at."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from disentanglement.datasets.contact_sheet import GAP, contact_sheet, png, traversals
from disentanglement.datasets.factor_space import FactorSpace


def test_images_stand_in_lines_with_gaps_between() -> None:
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(4, axis=1).repeat(5, axis=2) + np.uint8(100)
    sheet = contact_sheet(images, columns=2)
    assert sheet.shape == (2 * 4 + 3 * GAP, 2 * 5 + 3 * GAP, 3)
    assert sheet[GAP, GAP].tolist() == [100] * 3
    assert sheet[GAP + 3, GAP + 5 + GAP + 4].tolist() == [101] * 3
    assert sheet[GAP + 4 + GAP, GAP].tolist() == [102] * 3


def test_binary_images_become_black_and_white() -> None:
    sheet = contact_sheet(np.array([0, 1], np.uint8).reshape(1, 1, 2, 1), columns=1)
    assert sheet[GAP, GAP : GAP + 2].tolist() == [[0] * 3, [255] * 3]


def test_colours_are_kept() -> None:
    sheet = contact_sheet(np.array([10, 20, 30], np.uint8).reshape(1, 1, 1, 3), columns=1)
    assert sheet[GAP, GAP].tolist() == [10, 20, 30]


def test_a_traversal_has_a_line_per_latent_factor_while_the_others_stand_still() -> None:
    space = FactorSpace(("lamp", "shape", "angle"), (2, 3, 8), latent=(1, 2))
    assert traversals(space, columns=3).tolist() == [[0, 5], [1, 5], [2, 5], [1, 0], [1, 4], [1, 7]]


def test_a_picture_becomes_a_png_file() -> None:
    picture = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    data, chunks = png(picture), {}
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (7, 5, 8, 2, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, 1 + 7 * 3)
    assert not lines[:, 0].any()
    np.testing.assert_array_equal(lines[:, 1:].reshape(5, 7, 3), picture)
