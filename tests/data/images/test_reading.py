"""Each kind of image and mask file, and the refusal of what cannot be read as one."""

import re

import numpy as np
import pytest
from PIL import Image

from jaxkd.data.images.reading import read_image, read_mask, read_orientation, read_thermal, resize_image, resize_mask
from tests.data.images import png_16

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)
GREY = COLOURS[..., 0]
SQUARE = np.zeros((6, 8), bool)
SQUARE[1:4, 2:5] = True


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def saved_palette(path, indices, colours):
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(np.asarray(colours, np.uint8).tobytes())
    image.save(path)
    return path


def test_colours_are_read_as_they_are(tmp_path):
    for suffix in ("png", "bmp", "tif"):
        np.testing.assert_array_equal(read_image(saved(tmp_path / f"a.{suffix}", COLOURS)), COLOURS)
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    found = read_image(saved(tmp_path / "a.jpg", smooth, quality=95)).astype(int)
    assert np.abs(found - smooth).max() <= 2


def test_grey_and_black_and_white_images_become_colours(tmp_path):
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", GREY)), np.stack([GREY] * 3, axis=-1))
    found = read_image(saved(tmp_path / "b.png", SQUARE))
    np.testing.assert_array_equal(found, np.repeat(255 * SQUARE[..., None], 3, axis=-1))


def test_a_palette_image_is_read_by_its_colours(tmp_path):
    colours = np.uint8([[200, 0, 7], [10, 20, 30], [1, 2, 3]])
    indices = np.arange(48).reshape(6, 8) % 3
    np.testing.assert_array_equal(read_image(saved_palette(tmp_path / "a.png", indices, colours)), colours[indices])


def test_transparency_is_composited_over_black(tmp_path):
    alpha = RNG.integers(0, 256, (6, 8, 1)).astype(np.uint8)
    alpha[0], alpha[1] = 0, 255
    found = read_image(saved(tmp_path / "a.png", np.concatenate([COLOURS, alpha], axis=-1)))
    expected = COLOURS * (alpha / 255)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1)  # rounding
    assert not found[0].any()
    np.testing.assert_array_equal(found[1], COLOURS[1])
    grey = read_image(saved(tmp_path / "b.png", np.concatenate([GREY[..., None], alpha], axis=-1)))
    np.testing.assert_allclose(grey[..., 1], GREY * (alpha[..., 0] / 255), rtol=0, atol=1)


def test_an_opaque_alpha_channel_changes_nothing(tmp_path):
    opaque = np.full((6, 8, 1), 255, np.uint8)
    found = read_image(saved(tmp_path / "a.png", np.concatenate([COLOURS, opaque], axis=-1)))
    np.testing.assert_array_equal(found, COLOURS)


def test_a_colour_that_is_marked_transparent_becomes_black(tmp_path):
    two = np.where(SQUARE[..., None], np.uint8([10, 20, 30]), np.uint8([200, 0, 7]))
    found = read_image(saved(tmp_path / "a.png", two, transparency=(200, 0, 7)))
    np.testing.assert_array_equal(found, two * SQUARE[..., None])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_of_16_bits_the_high_byte_is_read(tmp_path, channels):
    pixels = RNG.integers(0, 65536, (6, 8, channels)).astype(np.uint16)
    if channels == 4:
        pixels[..., 3] = 65535
    png_16.write(tmp_path / "a.png", pixels)
    expected = np.broadcast_to(pixels[..., :3] // 256, (6, 8, 3))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_a_16_bit_tiff_is_read_alike(tmp_path):
    pixels = RNG.integers(0, 65536, (6, 8)).astype(np.uint16)
    found = read_image(saved(tmp_path / "a.tif", pixels))
    np.testing.assert_array_equal(found, np.stack([pixels // 256] * 3, axis=-1))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_16_bit_image_that_would_be_nearly_black_is_refused(tmp_path, channels):
    """As a sensor of 12 bits writes it."""
    pixels = RNG.integers(0, 4096, (6, 8, channels)).astype(np.uint16)
    png_16.write(tmp_path / "dark.png", pixels)
    with pytest.raises(ValueError, match=r"dark\.png must use the range of its 16 bits, got no value of 4096 or more"):
        read_image(tmp_path / "dark.png")
    pixels[0, 0] = 4096
    png_16.write(tmp_path / "dark.png", pixels)
    assert read_image(tmp_path / "dark.png").max() == 16


def test_a_dark_8_bit_image_is_accepted(tmp_path):
    assert not read_image(saved(tmp_path / "a.png", np.zeros((4, 4), np.uint8))).any()


@pytest.mark.parametrize(("dtype", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_numbers_without_a_range_are_refused(tmp_path, dtype, mode):
    path = saved(tmp_path / "scan.tif", GREY.astype(dtype))
    with pytest.raises(
        ValueError,
        match=rf"scan\.tif must be grey, RGB, CMYK or a palette image .* got Pillow's mode {mode}, whose values",
    ):
        read_image(path)


def test_cmyk_is_converted(tmp_path):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:8] = (0, 255, 255, 0)  # magenta and yellow: red
    ink[8:] = (0, 0, 0, 255)  # black
    for suffix in ("tif", "jpg"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(ink, mode="CMYK").save(path, **({"quality": 95} if suffix == "jpg" else {}))
        found = read_image(path).astype(int)
        assert np.abs(found[2:6] - (255, 0, 0)).max() <= 3
        assert np.abs(found[10:14]).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_exif_turns_an_image_upright(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", COLOURS, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright(COLOURS))
    mask = saved(tmp_path / "m.png", np.uint8(255) * SQUARE, exif=exif)
    np.testing.assert_array_equal(read_mask(mask), upright(SQUARE))


damage_is_warned_of = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


@damage_is_warned_of
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_damaged_file_is_named(tmp_path, suffix, kept, read):
    path = saved(tmp_path / f"broken.{suffix}", RNG.integers(0, 256, (40, 40, 3)).astype(np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"broken\.{suffix} must be an image that can be read, got .*\. Replace"):
        read(path)


@damage_is_warned_of
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_no_damage_to_a_header_escapes_as_another_error(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # so that wrong sizes cost no memory
    path = saved(tmp_path / f"broken.{suffix}", COLOURS)
    content = bytearray(path.read_bytes())
    for place in range(min(len(content), 300)):
        for value in (0, 255):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                read_image(path)
            except ValueError as error:
                assert str(path) in str(error)


def test_a_missing_file_and_a_text_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name in ("missing.png", "text.png"):
        with pytest.raises(ValueError, match=rf"{name} must be an image that can be read"):
            read_image(tmp_path / name)


def test_several_pictures_in_one_file_are_refused(tmp_path):
    pages = [Image.fromarray(GREY)] * 3
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    for read in (read_image, read_mask):
        with pytest.raises(ValueError, match=r"stack\.tif must hold one picture, got 3\. Save each"):
            read(tmp_path / "stack.tif")


def test_a_photograph_with_a_preview_is_read(tmp_path):
    """Telephones write such files, named .jpg."""
    first = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    path = tmp_path / "a.jpg"
    first.save(path, format="MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    with Image.open(path) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    assert np.abs(read_image(path).astype(int) - 90).max() <= 2


RED = np.where(SQUARE[..., None], np.uint8([128, 0, 0]), np.uint8([0, 0, 0]))


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.uint8(255) * SQUARE, None),
        (np.uint8(1) * SQUARE, None),
        (np.uint8(7) * SQUARE, None),
        (SQUARE, None),
        (np.uint16(65535) * SQUARE, None),
        (np.repeat(np.uint8(255) * SQUARE[..., None], 3, axis=-1), None),
        (RED, None),
        (np.repeat(np.uint8(255) * SQUARE[..., None], 3, axis=-1), "RGBA"),
        (np.uint8(255) * SQUARE, "LA"),
    ],
    ids=["255", "1", "7", "bits", "65535", "colour", "red", "opaque", "opaque-grey"],
)
@pytest.mark.parametrize("threshold", [None, 5])
def test_masks_of_two_values_are_read(tmp_path, pixels, mode, threshold):
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", pixels, mode), threshold=threshold), SQUARE)


def test_a_palette_mask_is_read_by_its_colours(tmp_path):
    """Whichever index is black."""
    for index, colours in ((SQUARE, [[0, 0, 0], [128, 0, 0]]), (~SQUARE, [[255, 255, 255], [0, 0, 0]])):
        np.testing.assert_array_equal(read_mask(saved_palette(tmp_path / "m.png", index, colours)), SQUARE)
    classes = saved_palette(tmp_path / "m.png", np.arange(3)[None], [[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    with pytest.raises(ValueError, match=r"at most two values.* got 3: \[0, 0, 0\], \[0, 128, 0\], \[128, 0, 0\]"):
        read_mask(classes)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_may_be_all_of_one_value(tmp_path, value):
    found = read_mask(saved(tmp_path / "m.png", np.full((4, 5), value, np.uint8)))
    assert (found.shape, found.dtype, found.all(), found.any()) == ((4, 5), bool, value > 0, value > 0)


def test_a_threshold_leaves_masks_of_0_and_1_alone(tmp_path):
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", np.uint8(1) * SQUARE), threshold=128), SQUARE)


CLASSES = np.uint8([[0, 1, 2], [2, 1, 0]])


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (CLASSES, "got 3: 0, 1, 2. If"),
        (np.uint8([[76, 255]]), "got 2: 76, 255. If"),
        (np.uint8([[0, 50, 100, 150, 200]]), "got 5: 0, 50, 100, 150, .... If"),
        (np.uint8([[[0, 0, 0], [255, 0, 0], [0, 255, 0]]]), "got 3: [0, 0, 0], [0, 255, 0], [255, 0, 0]. If"),
    ],
)
def test_a_mask_of_other_values_is_refused(tmp_path, pixels, got):
    path = saved(tmp_path / "m.png", pixels)
    with pytest.raises(
        ValueError, match=rf"m\.png must have at most two values, 0 for the background and another, {re.escape(got)}"
    ):
        read_mask(path)


def test_antialiased_and_jpeg_masks_need_a_threshold(tmp_path):
    large = np.zeros((64, 64), np.uint8)
    large[20:40, 10:50] = 255
    small = np.asarray(Image.fromarray(large).resize((24, 24), Image.Resampling.BILINEAR))
    for path, truth in (
        (saved(tmp_path / "smooth.png", small), small >= 128),
        (saved(tmp_path / "lossy.jpg", large, quality=60), large > 0),
    ):
        with pytest.raises(ValueError, match=r"must have at most two values.*give mask_threshold=128"):
            read_mask(path)
        np.testing.assert_array_equal(read_mask(path, threshold=128), truth)


def test_a_transparent_mask_is_refused(tmp_path):
    pixels = np.zeros((6, 8, 4), np.uint8)
    pixels[..., 3] = 255 * SQUARE
    with pytest.raises(ValueError, match=r"m\.png must be an opaque mask, got transparent pixels, which may be"):
        read_mask(saved(tmp_path / "m.png", pixels))


def triangles(count, new):
    """Weights of bilinear antialiasing: a triangle over each new pixel, whose half width is a new pixel."""
    scale = max(count / new, 1)
    centres = (np.arange(new)[:, None] + 0.5) * count / new
    weights = np.maximum(0, 1 - np.abs(np.arange(count) + 0.5 - centres) / scale)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(3, 4), (6, 8), (13, 5)])
def test_images_are_resized_bilinearly_with_antialiasing(size):
    expected = np.einsum("ay,bx,yxc->abc", triangles(6, size[0]), triangles(8, size[1]), COLOURS.astype(float))
    # Rounding to a grey level, after each of the two axes.
    np.testing.assert_allclose(resize_image(COLOURS, *size), expected, rtol=0, atol=1.01)


def test_masks_are_foreground_from_one_half_on():
    smooth = np.zeros((60, 80), bool)
    y, x = np.mgrid[:60, :80]
    smooth[(y - 30) ** 2 + (x - 40) ** 2 < 400] = True
    found = resize_mask(smooth, 20, 20)
    part = np.einsum("ay,bx,yx->ab", triangles(60, 20), triangles(80, 20), smooth.astype(float))
    sure = np.abs(part - 0.5) > 0.01  # elsewhere rounding decides
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(found[sure], (part > 0.5)[sure])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(resize_mask(SQUARE, 6, 8), SQUARE)
    np.testing.assert_array_equal(resize_mask(SQUARE, 12, 16), np.repeat(np.repeat(SQUARE, 2, 0), 2, 1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thermal_levels_are_those_of_the_file(tmp_path, suffix, dtype):
    levels = GREY.astype(dtype) * (1 if dtype is np.uint8 else 257)
    found = read_thermal(saved(tmp_path / f"t.{suffix}", levels))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, levels)


def test_thermal_levels_may_be_in_three_channels(tmp_path):
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    repeated = np.repeat(smooth[..., None], 3, axis=-1)
    np.testing.assert_array_equal(read_thermal(saved(tmp_path / "t.png", repeated)), smooth)
    found = read_thermal(saved(tmp_path / "t.jpg", repeated, quality=90))
    assert np.abs(found.astype(int) - smooth).max() <= 8
    opaque = np.concatenate([repeated, np.full((32, 48, 1), 255, np.uint8)], axis=-1)
    np.testing.assert_array_equal(read_thermal(saved(tmp_path / "o.png", opaque)), smooth)


def test_what_is_no_thermal_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"c\.png must be grey, got colours that differ by \d+ levels on average"):
        read_thermal(saved(tmp_path / "c.png", COLOURS))
    transparent = np.repeat(GREY[..., None], 4, axis=-1)
    with pytest.raises(ValueError, match=r"a\.png must be an opaque thermal image, got transparent pixels"):
        read_thermal(saved(tmp_path / "a.png", transparent))
    with pytest.raises(ValueError, match=r"f\.tif must be a grey thermal image of 8 or 16 bits, got Pillow's mode F\."):
        read_thermal(saved(tmp_path / "f.tif", GREY.astype(np.float32)))
    png_16.write(tmp_path / "d.png", np.repeat(GREY[..., None].astype(np.uint16) * 257, 3, axis=-1))
    with pytest.raises(ValueError, match=r"d\.png must be a grey thermal image .* mode RGB of 16 bits a channel"):
        read_thermal(tmp_path / "d.png")


def test_the_orientation_is_that_of_exif(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_orientation(saved(tmp_path / "a.jpg", COLOURS, exif=exif)) == 6
    for name in ("b.jpg", "b.png", "b.tif"):
        assert read_orientation(saved(tmp_path / name, COLOURS)) == 1
