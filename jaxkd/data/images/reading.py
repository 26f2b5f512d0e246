"""Images and masks, read from files.

Images become uint8 red, green and blue:

- Grey, black and white, and palette images have the colours that they show; CMYK is converted by formula.  Embedded
  colour profiles are ignored.
- Transparent images are composited over black, so that colours hidden under transparent pixels do not come to light.
- Of 16 bits a channel the high byte is read, floor(value / 256): the scale is that of the type, not of an image.
- Images rotated by EXIF are upright, as viewers show them; masks too, by their own EXIF.

Masks have at most two values, of which 0 (black) is the background.

Thermal images stay in the levels of their files, of 8 or 16 bits.
"""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8, UInt16
from PIL import Image, ImageOps

_DAMAGED = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    Image.DecompressionBombError,
)
"""Errors that Pillow's decoders raise for damaged files."""

_COLOURS = ("1", "L", "P", "RGB", "RGBX", "RGBA", "LA", "PA", "CMYK", "YCbCr")
"""Modes of Pillow that convert to red, green and blue."""

_DARK = 16
"""Number of grey levels that a 16-bit image must exceed once it has 8 bits: 12 bits of it were empty otherwise."""

_MOST_COLOUR = 8
"""Mean difference of the channels of a grey image, in levels."""

_ORIENTATION = 0x0112
"""Tag of the orientation in EXIF."""


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return the red, green and blue of an image file, in its own size.

    Raises:
        ValueError: a damaged file, several pictures in one, numbers without a defined range (32-bit and floating-point
            images), or a 16-bit image all of whose values are below 4096.
    """
    image, sixteen_bits = _opened(path)
    grey_16 = image.mode.startswith("I;16")
    if not grey_16 and image.mode not in _COLOURS:
        raise ValueError(
            f"{path} must be grey, RGB, CMYK or a palette image of 1, 8 or 16 bits, got Pillow's mode {image.mode}, "
            "whose values have no defined range. Scale it to 0 to 255 and save it as PNG."
        )
    if grey_16:
        pixels = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    elif image.has_transparency_data:
        picture = image.convert("RGBA")
        pixels = np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture))[..., :3]
    else:
        pixels = np.asarray(image.convert("RGB"))
    if sixteen_bits and pixels.max() < _DARK:
        raise ValueError(
            f"{path} must use the range of its 16 bits, got no value of 4096 or more: 8 bits of it would be at most "
            "16 levels. Scale all images of the folder by one factor to 0 to 255, and save them as PNG."
        )
    return np.ascontiguousarray(pixels)


def read_mask(path: Path, *, threshold: int | None = None) -> Bool[np.ndarray, "h w"]:
    """Return whether each pixel of a mask file is foreground, in its own size.

    A mask may be black with one other value or colour: 0 and 255, 0 and 1, a palette image with a black background, or
    all of one.  Antialiasing and JPEG make values in between.  They are refused by default, since a mask with 0, 128
    and 255 may have three classes, and nothing in the file tells the two apart.

    Args:
        path: the file.
        threshold: grey level, from 1 to 255, from which a pixel of an 8-bit mask with other values than 0 and 1 is
            foreground.  None: refuse values in between.

    Raises:
        ValueError: a damaged file, several pictures in one, a transparent mask, or more than two values.
    """
    image, _ = _opened(path)
    if image.has_transparency_data:
        if np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise ValueError(
                f"{path} must be an opaque mask, got transparent pixels, which may be foreground or background. "
                "Save it without an alpha channel."
            )
        image = image.convert("RGB")
    if threshold is not None and image.mode[:1] not in ("I", "F"):
        grey = np.asarray(image.convert("L"))
        return grey >= (1 if grey.max() <= 1 else threshold)
    values = np.asarray(image.convert("RGB") if image.mode in ("P", "CMYK", "YCbCr") else image)
    foreground = np.asarray(values.any(axis=-1) if values.ndim == 3 else values != 0)
    colours = values[foreground]
    if len(colours) and (colours != colours[0]).any():
        found = np.unique(values.reshape(values.shape[0] * values.shape[1], -1), axis=0)
        listed = ", ".join(str(one.tolist() if len(one) > 1 else one.item()) for one in found[:4])
        raise ValueError(
            f"{path} must have at most two values, 0 for the background and another, got {len(found)}: {listed}"
            f"{', ...' if len(found) > 4 else ''}. If it is antialiased or JPEG, give mask_threshold=128; if its "
            "values are classes, write one mask a class."
        )
    return foreground


def read_thermal(path: Path) -> UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]:
    """Return the counts of a 16-bit thermal image, or the grey levels of an 8-bit one, in its own size.

    An 8-bit image may repeat its levels in three channels, as JPEG files of cameras do; those channels may differ by 8
    levels on average, for losses of compression.  More is a palette, whose colours say nothing about the order of
    temperatures.

    Raises:
        ValueError: a damaged file, several pictures in one, colours, transparent pixels, or numbers without a defined
            range.
    """
    image, sixteen_bits = _opened(path)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if sixteen_bits or image.mode not in _COLOURS:
        raise ValueError(
            f"{path} must be a grey thermal image of 8 or 16 bits, got Pillow's mode {image.mode}"
            f"{' of 16 bits a channel' if sixteen_bits else ''}. Save it with one channel."
        )
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError(f"{path} must be an opaque thermal image, got transparent pixels. Save it without alpha.")
    colours = np.asarray(image.convert("RGB")).astype(np.int16)
    difference = (colours.max(axis=-1) - colours.min(axis=-1)).mean()
    if difference > _MOST_COLOUR:
        raise ValueError(
            f"{path} must be grey, got colours that differ by {difference:.0f} levels on average. If it is a palette, "
            "export the temperatures or grey levels instead."
        )
    return np.asarray(image.convert("RGB").convert("L"))


def read_orientation(path: Path) -> int:
    """Return the orientation that an image's EXIF states, 1 without EXIF.

    1 is upright, 2 to 4 are mirrored or turned by half, 5 to 8 turned by a quarter, and mirrored or not.
    """
    with Image.open(path) as image:
        return int(image.getexif().get(_ORIENTATION, 1))


def resize_image(
    image: UInt8[np.ndarray, "h w *channels"], height: int, width: int
) -> UInt8[np.ndarray, "h2 w2 *channels"]:
    """Resize colours or grey levels bilinearly, with antialiasing where it shrinks.

    The triangle of the interpolation is as wide as a new pixel.
    """
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: Bool[np.ndarray, "h w"], height: int, width: int) -> UInt8[np.ndarray, "h2 w2"]:
    """Resize as an image: 1 where the result is at least one half, else 0.

    Nearest-neighbour sampling would need no threshold, but drops and doubles parts of outlines where it shrinks, which
    the antialiased image beside it does not.

    Example:
        >>> resize_mask(np.array([[True, True, False, False, False, True]]), 1, 3).tolist()
        [[1, 0, 0]]
    """
    grey = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    return (np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR)) >= 128).astype(np.uint8)


def _opened(path: Path) -> tuple[Image.Image, bool]:
    """Return the picture of a file, upright, and whether the file has 16 bits a channel: Pillow keeps 8 of a colour."""
    try:
        with Image.open(path) as image:
            # Samsung's and Apple's photographs hold a preview or a depth map beside the picture.
            pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            sixteen_bits = any(";16" in str(tile.args) for tile in image.tile)
            image.load()
            upright = ImageOps.exif_transpose(image)
    except _DAMAGED as error:
        raise ValueError(f"{path} must be an image that can be read, got {error}. Replace the file.") from error
    if pictures > 1:
        raise ValueError(f"{path} must hold one picture, got {pictures}. Save each to a file of its own.")
    return upright, sixteen_bits
