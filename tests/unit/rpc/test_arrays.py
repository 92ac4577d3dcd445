"""Arrays in messages: bytes as promised, and strict about what comes in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.rpc.arrays import MAX_INLINE_BYTES, array_from_proto, array_to_proto, check_inline_size
from disentanglement.v1 import metric_pb2 as pb

DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


def test_elements_are_little_endian_and_row_major() -> None:
    by_column = np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=">i2"))
    message = array_to_proto(by_column)
    assert message == pb.Array(dtype=pb.DTYPE_INT16, shape=[2, 2], data=b"\x01\x00\x02\x00\x03\x00\x04\x00")


@settings(max_examples=50, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_every_array_survives_the_wire(data: st.DataObject, dtype: str) -> None:
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    sent = data.draw(arrays.arrays(np.dtype(dtype).newbyteorder(data.draw(st.sampled_from("<>"))), shapes))
    received = array_from_proto(pb.Array.FromString(array_to_proto(sent).SerializeToString()))
    assert received.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(received, sent)


def test_what_is_read_can_not_be_written_to() -> None:
    received = array_from_proto(array_to_proto(np.zeros(3)))
    with pytest.raises(ValueError, match="read-only"):
        received[0] = 1.0


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (pb.Array(shape=[1], data=b"\0"), "codes.dtype: wanted one of float32"),
        (pb.Array(dtype=77, shape=[1], data=b"\0"), "codes.dtype: wanted one of float32"),  # type: ignore[arg-type]
        (pb.Array(dtype=pb.DTYPE_FLOAT32, shape=[2, 3], data=b"\0" * 23), "codes.data: wanted 24 bytes .*got 23 bytes"),
        (pb.Array(dtype=pb.DTYPE_FLOAT64, shape=[2**32 - 1], data=b""), "codes.data: wanted 34359738360 bytes"),
        (pb.Array(dtype=pb.DTYPE_FLOAT64, shape=[2**32 - 1] * 8, data=b""), "codes.shape: wanted at most"),
        (pb.Array(dtype=pb.DTYPE_UINT8, shape=[1] * 9, data=b"\0"), "codes.shape: wanted at most 8 dimensions, got 9"),
        (pb.Array(dtype=pb.DTYPE_UINT8, data=b""), "codes.data: wanted 1 bytes"),
        (pb.Array(dtype=pb.DTYPE_UINT8, shape=[0] + [2**32 - 1] * 7, data=b""), "codes.shape"),
    ],
)
def test_malformed_arrays_are_refused_by_field(message: pb.Array, fault: str) -> None:
    with pytest.raises(SpecError, match=fault):
        array_from_proto(message, field="codes")


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([object()]), np.array([1j]), np.array([True])])
def test_arrays_without_a_wire_type_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(SpecError, match=r"codes\.dtype"):
        array_to_proto(array, field="codes")


def test_arrays_of_a_request_are_at_most_three_mebibytes_together() -> None:
    assert len(array_to_proto(np.zeros(MAX_INLINE_BYTES, np.uint8)).data) == MAX_INLINE_BYTES
    with pytest.raises(SpecError, match="UploadArray"):
        array_to_proto(np.zeros(MAX_INLINE_BYTES + 1, np.uint8))
    check_inline_size([1 << 20, 2 << 20], field="codes")
    with pytest.raises(SpecError, match="UploadArray"):
        check_inline_size([1 << 20, 2 << 20, 1], field="codes")
