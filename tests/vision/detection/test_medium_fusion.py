"""Medium fusion: one backbone for both images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from tests.vision.detection.tiny import IMAGES, assert_equal, forward, medium, outputs_of
from tests.vision.segmentation.modules import drawn_params
from tests.vision.segmentation.structure import parameters_without_effect


@functools.cache
def with_equal_halves():
    """Parameters of which both halves of each fusion's kernel are the same."""
    params = drawn_params(medium())
    for part in params["fusion"].values():
        half = part["conv"]["kernel"][:, :, : part["conv"]["kernel"].shape[2] // 2]
        part["conv"]["kernel"] = jnp.concatenate([half, half], axis=2)
    return params


def grey_pair():
    """A grey visible image, a thermal one, and the two exchanged."""
    grey, thermal = IMAGES[..., :1], IMAGES[..., 3:]
    return (jnp.concatenate([one, one, one, two], axis=-1) for one, two in ((grey, thermal), (thermal, grey)))


def test_shapes():
    network = medium(levels=4)
    images = jax.ShapeDtypeStruct((3, 64, 72, 4), jnp.uint8)
    maps, state = jax.eval_shape(network.apply, *network.abstract(), images)
    assert [one.shape for one in maps.class_logits] == [(3, 8, 9, 2), (3, 4, 5, 2), (3, 2, 3, 2), (3, 1, 2, 2)]
    assert [one.shape for one in maps.backbone] == [(3, 16, 18, 4), (3, 8, 9, 8), (3, 4, 5, 16), (3, 2, 3, 32)]
    assert (maps.strides, maps.modality_weights, maps.weak, state) == ((8, 16, 32, 64), None, None, {})


def test_fusion_of_equal_halves_does_not_tell_the_images_apart():
    given, exchanged = grey_pair()
    found, expected = (forward(medium())(with_equal_halves(), images) for images in (exchanged, given))
    assert_equal(found, expected)


def test_fusion_of_other_halves_tells_the_images_apart():
    given, exchanged = grey_pair()
    one, two = (forward(medium())(drawn_params(medium()), images) for images in (given, exchanged))
    assert all(float(jnp.abs(a - b).max()) > 1e-2 for a, b in zip(outputs_of(one), outputs_of(two), strict=True))


def test_rows_do_not_mix():
    exchanged = forward(medium())(with_equal_halves(), IMAGES[::-1])
    expected = jax.tree.map(lambda leaf: leaf[::-1], forward(medium())(with_equal_halves(), IMAGES))
    assert_equal(exchanged, expected)


def test_all_but_the_finest_fusion_reaches_the_head():
    lost = ["fusion.c2.conv.kernel", "fusion.c2.norm.bias", "fusion.c2.norm.scale"]
    assert parameters_without_effect(medium(), 32, channels=4, outputs=outputs_of) == lost
    assert (
        parameters_without_effect(medium(), 32, channels=4, outputs=lambda maps: (*outputs_of(maps), *maps.backbone))
        == []
    )


@pytest.mark.slow
def test_eight_devices_equal_one():
    network = medium(norm="batch")
    images = jnp.asarray(np.random.default_rng(1).integers(0, 256, (8, 32, 32, 4)), jnp.uint8)
    params = drawn_params(network)
    state = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), network.abstract()[1])
    results = []
    for shape in (MeshShape(data=1), MeshShape(data=8)):
        with jax.set_mesh(meshes.make(shape)):
            rows = meshes.global_batch(np.asarray(images), jax.sharding.get_mesh())
            step = jax.jit(lambda rows: network.apply(params, state, rows, train=True, key=jax.random.key(0)))
            results.append(jax.device_get(step(rows)))
    # float32, and sums over the batch in another order, through 10 layers.
    for (maps, moved), (other, others) in [results]:
        assert_equal(maps, other)
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4), moved, others)
