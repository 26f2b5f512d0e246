"""Masks of the boxes of each class against a full-size mask that is resized."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.records.boxes import Boxes
from jaxkd.vision.detection.union_masks import classes_present, union_masks

HEIGHT, WIDTH, STRIDE, CLASSES = 5, 7, 8, 3
LEVEL = {"classes": CLASSES, "height": HEIGHT, "width": WIDTH, "stride": STRIDE}


def boxes(seed, *batch):
    """Some objects outside the image, some in padding, some ignored; padding holds anything."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(-10, 70, (*batch, 6, 2, 2)), axis=-2).reshape(*batch, 6, 4)
    mask, ignored = rng.random((*batch, 6)) < 0.7, rng.random((*batch, 6)) < 0.2
    corners[~mask] = np.nan
    return Boxes(
        corners=corners.astype(np.float32),
        classes=np.where(mask, rng.integers(0, CLASSES, mask.shape), 99).astype(np.int32),
        mask=mask,
        ignored=ignored,
    )


def full_size(objects):
    """Mask of one image's pixels, [h, w, classes], pixel by pixel."""
    found = np.zeros((HEIGHT * STRIDE, WIDTH * STRIDE, CLASSES), bool)
    y, x = np.mgrid[: found.shape[0], : found.shape[1]] + 0.5
    counted = objects.mask & ~objects.ignored
    for (left, top, right, bottom), name in zip(objects.corners[counted], objects.classes[counted], strict=True):
        found[..., name] |= (left <= x) & (x < right) & (top <= y) & (y < bottom)
    return found


def images(batch):
    return [jax.tree.map(operator.itemgetter(place), batch) for place in range(len(batch.mask))]


@pytest.mark.parametrize(("resizing", "first"), [("nearest", 0), ("nearest-exact", STRIDE // 2)])
def test_it_is_every_strideth_pixel_of_the_mask_of_the_image(resizing, first):
    batch = boxes(0, 4)
    found = jax.jit(lambda batch: union_masks(batch, **LEVEL, resizing=resizing))(batch)
    expected = np.stack([full_size(one)[first::STRIDE, first::STRIDE] for one in images(batch)])
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)
    assert 0.05 < expected.mean() < 0.9


def test_edges_on_whole_pixels_cover_what_a_slice_does():
    corners = np.float32([[8, 16, 17, 24], [9, 0, 16, 40]])  # the second lies between the first pixels of two columns
    objects = Boxes(corners=corners, classes=np.array([0, 1]), mask=np.ones(2, bool), ignored=np.zeros(2, bool))
    found = np.asarray(union_masks(jax.tree.map(jnp.asarray, objects), **LEVEL))
    assert np.argwhere(found).tolist() == [[2, 1, 0], [2, 2, 0]]
    exact = np.asarray(union_masks(jax.tree.map(jnp.asarray, objects), **LEVEL, resizing="nearest-exact"))
    assert np.argwhere(exact[..., 0]).tolist() == [[2, 1]]
    assert np.argwhere(exact[..., 1]).tolist() == [[row, 1] for row in range(5)]


def test_classes_are_those_of_objects_that_count():
    batch = boxes(1, 4)
    found = classes_present(jax.tree.map(jnp.asarray, batch), classes=CLASSES)
    for row, one in zip(found, images(batch), strict=True):
        expected = {int(name) for name in one.classes[one.mask & ~one.ignored]}
        assert set(np.flatnonzero(row).tolist()) == expected
    assert 0 < np.asarray(found).mean() < 1


@pytest.mark.parametrize("name", LEVEL)
def test_refuses_numbers_that_are_not_positive(name):
    with pytest.raises(ValueError, match=rf"{name} must be at least 1, got 0\."):
        union_masks(boxes(2), **LEVEL | {name: 0})


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match=r"resizing must be one of nearest, nearest-exact, got 'area'"):
        union_masks(boxes(3), **LEVEL, resizing="area")  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.parametrize("resizing", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("stride", [1, 5, 8])
def test_equals_the_resizing_of_torch(resizing, stride):
    torch = pytest.importorskip("torch")
    batch, level = boxes(4, 3), (HEIGHT * STRIDE // stride, 50 // stride)
    size = tuple(length * stride for length in level)
    options = {"classes": CLASSES, "resizing": resizing}
    given = jax.tree.map(jnp.asarray, batch)
    whole = union_masks(given, **options, height=size[0], width=size[1], stride=1)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(whole, np.float32)).permute(0, 3, 1, 2), size=level, mode=resizing
    )
    found = union_masks(given, **options, height=level[0], width=level[1], stride=stride)
    np.testing.assert_array_equal(found, expected.permute(0, 2, 3, 1).numpy() > 0)
