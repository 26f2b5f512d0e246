"""Images of any size in one size, with their proportions kept and black borders around them, and boxes with them."""

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from jaxkd.data.images import reading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letterbox:
    """Map from an image's own size to a given one: the largest that fits, in the middle, between borders of zeros.

    Rounded to whole pixels, height and width are scaled by factors that differ by less than a pixel; boxes are scaled
    by the same two.

    Example:
        >>> box = Letterbox(own=(100, 200), size=(96, 128))
        >>> box.inner, box.offset
        ((64, 128), (16, 0))
        >>> box.corners(np.array([[0, 0, 200, 100]], np.float32)).tolist()
        [[0.0, 16.0, 128.0, 80.0]]
    """

    own: tuple[int, int]
    """Height and width of the image."""
    size: tuple[int, int]
    """Height and width of the result."""

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the image in the result."""
        scale = min(new / old for new, old in zip(self.size, self.own, strict=True))
        height, width = (max(1, round(old * scale)) for old in self.own)
        return height, width

    @property
    def offset(self) -> tuple[int, int]:
        """Rows above the image and columns left of it."""
        (height, width), (inner_height, inner_width) = self.size, self.inner
        return (height - inner_height) // 2, (width - inner_width) // 2

    def image(self, pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h2 w2 c"]:
        """Return the image, resized bilinearly with antialiasing; a fourth channel by itself.

        Args:
            pixels: red, green and blue, and possibly thermal.
        """
        (height, width), (top, left) = self.inner, self.offset
        result = np.zeros((*self.size, pixels.shape[-1]), np.uint8)
        inside = result[top : top + height, left : left + width]
        inside[..., :3] = reading.resize_image(np.ascontiguousarray(pixels[..., :3]), height, width)
        # In one array of four channels, Pillow would take thermal for opacity.
        if pixels.shape[-1] > 3:
            inside[..., 3] = reading.resize_image(np.ascontiguousarray(pixels[..., 3]), height, width)
        return result

    def corners(self, corners: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
        """Return boxes in the result, float32.

        Args:
            corners: left, top, right and bottom edges in the image's own pixels.
        """
        (height, width), (top, left) = self.inner, self.offset
        scale = np.array([width / self.own[1], height / self.own[0]] * 2)
        return (corners * scale + np.array([left, top] * 2)).astype(np.float32)
