"""The course of a training: loss terms and KL per latent, one row per read, as Parquet and inside checkpoints."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class History:
    """Rows of numbers under fixed names; `loss`, the reported terms, `kl_<latent>`, `images_per_second`."""

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows = rows if rows is not None else []

    def add(self, step: int, terms: Mapping[str, float], kl_Z: tuple[float, ...], images_per_second: float) -> None:
        """One more row, the means over the steps since the last one."""
        kl = {f"kl_{latent}": value for latent, value in enumerate(kl_Z)}
        self.rows.append({"step": step, **terms, **kl, "images_per_second": images_per_second})

    def to_parquet(self) -> bytes:
        """A Parquet file with one column per name."""
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self.rows), stream)
        return stream.getvalue()

    def to_json(self) -> bytes:
        """For a checkpoint."""
        return json.dumps(self.rows).encode()

    @classmethod
    def from_json(cls, data: bytes) -> History:
        """The inverse of `to_json`."""
        rows: list[dict[str, Any]] = json.loads(data)
        return cls(rows)
