"""Windows that slide over images, with TensorFlow's two kinds of padding."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

Padding = Literal["SAME", "VALID"]
"""`SAME`: as many outputs as strides fit in, with zeros around; `VALID`: windows within the image alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """Steps of a window of any size: rows, then columns."""

    padding: Padding
    strides: tuple[int, int] = (1, 1)
    """Distance between two outputs."""
    dilations: tuple[int, int] = (1, 1)
    """Distance between the pixels that neighbouring weights read."""

    def __post_init__(self) -> None:
        if min(*self.strides, *self.dilations) < 1:
            raise ValueError(f"strides and dilations must be at least 1, got {self.strides} and {self.dilations}.")

    def pads(self, lengths: Sequence[int], size: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the zeros before and after each axis: of an odd number, the greater half comes after.

        Args:
            lengths: rows and columns of the images.
            size: rows and columns of the window.

        Example:
            >>> Window(padding="SAME", strides=(2, 2)).pads((224, 7), (3, 3))
            ((0, 1), (1, 1))
        """
        rows, columns = (
            _pad(self.padding, length, side, stride, dilation)
            for length, side, stride, dilation in zip(lengths, size, self.strides, self.dilations, strict=True)
        )
        return rows, columns


def _pad(padding: Padding, length: int, side: int, stride: int, dilation: int) -> tuple[int, int]:
    if padding == "VALID":
        return 0, 0
    reach = dilation * (side - 1) + 1
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2
