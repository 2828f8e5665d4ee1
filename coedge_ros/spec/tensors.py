"""Tensors as the plan sees them: shape, type, and which axis holds the rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

ITEM_BYTES = {
    "uint8": 1, "int8": 1, "bool": 1, "int16": 2, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4,
    "int64": 8, "float64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape, element type and row axis of one tensor of the model.

    Attributes
    ----------
    shape : tuple of int
        Shape of the whole tensor, usually `(N, C, H, W)`.
    dtype : str
        NumPy name of the element type.
    row_axis : int or None
        Axis that holds the rows; None for a tensor without rows (a pooled vector, a logit).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    row_axis: int | None

    @property
    def height(self) -> int:
        """Rows of the whole tensor; 0 without a row axis."""
        return 0 if self.row_axis is None else self.shape[self.row_axis]

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row; of the whole tensor when it has no rows."""
        return self.total_bytes // self.height if self.height else self.total_bytes

    @property
    def wire_axes(self) -> tuple[int, ...]:
        """Order of the axes on the wire: rows first, channels last for an (N, C, H, W) map.

        With that order a band of a channels-last tensor is one contiguous block of memory, so sending needs no copy.
        """
        if self.row_axis is None:
            return tuple(range(len(self.shape)))
        if len(self.shape) == 4 and self.row_axis == 2:
            return (2, 0, 3, 1)
        return (
            self.row_axis,
            *(a for a in range(len(self.shape)) if a != self.row_axis),
        )

    def wire_shape(self, rows: int) -> tuple[int, ...]:
        """Shape on the wire of `rows` rows (ignored without a row axis)."""
        sizes = tuple(self.shape[a] for a in self.wire_axes)
        return sizes if self.row_axis is None else (rows, *sizes[1:])

    def wire_bytes(self, rows: int) -> int:
        """Bytes on the wire of `rows` rows."""
        return prod(self.wire_shape(rows)) * ITEM_BYTES[self.dtype]
