"""The small regressor: its count, its units, independence of the rows, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime import configs
from jaxkd.vision.hands.regressor import HandRegressor
from tests.losses.compiled import jitted
from tests.vision.segmentation.modules import drawn_params

TINY = {"size": 16, "widths": (8, 16), "blocks": (0, 1), "reduced": 3, "joints": 4, "wrist": 2}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)


@functools.lru_cache(maxsize=4)
def gradients(network):
    """Outputs, and gradients of a sum of their squares, compiled once."""

    def total(params, images):
        outputs, _ = network.apply(params, {}, images, train=True, key=jax.random.key(0))
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs)), outputs

    return jitted(jax.grad(total, has_aux=True))


def count(network):
    """Parameters by hand: convolutions, two numbers a normalised channel, and the two linear maps."""
    total = 0
    for before, width, blocks in zip((3, *network.widths), network.widths, network.blocks, strict=False):
        total += 9 * before * width + 2 * width + blocks * 2 * (9 * width**2 + 2 * width)
    last, cells = network.reduced, (network.size // 2 ** len(network.widths)) ** 2
    return total + (network.widths[-1] + 1) * last + (cells * last + 1) * (5 * network.joints + network.root_depth)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 240_426), ({"size": 112}, 262_474), (TINY, None), (TINY | {"root_depth": False}, None)],
)
def test_counts_follow_from_the_fields(fields, expected):
    network = HandRegressor(**fields)
    params, state = network.abstract()
    found = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert found == count(network)
    assert state == {}
    if expected is not None:
        assert found == expected <= 270_000


def test_an_output_of_zero_is_the_centre_at_an_arms_length():
    network = HandRegressor(**TINY)
    params = drawn_params(network)
    params["head"] = jax.tree.map(np.zeros_like, params["head"])
    found = gradients(network)(params, IMAGES)[1]
    np.testing.assert_array_equal(found.pixels, np.full((2, 4, 2), 7.5))
    np.testing.assert_array_equal(found.points, np.zeros((2, 4, 3)))
    np.testing.assert_array_equal(found.root_depth, [0.5, 0.5])


def test_outputs_are_pixels_metres_and_a_positive_depth():
    network = HandRegressor(**TINY)
    params = drawn_params(network)
    params["head"]["kernel"] = np.zeros_like(params["head"]["kernel"])
    params["head"]["bias"] = np.float32([*range(-10, 10), -3])
    found = gradients(network)(params, IMAGES)[1]
    np.testing.assert_allclose(found.pixels[0], 7.5 + 4 * (np.arange(8.0) - 10).reshape(4, 2), rtol=1e-6)
    # The points are 3 units of 5 cm apart; the wrist is the third.
    expected = 0.05 * 3 * np.array([-2, -1, 0, 1])[:, None] * np.ones(3)
    np.testing.assert_allclose(found.points[1], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.root_depth, 0.5 * np.exp(-3), rtol=1e-6)


def test_gradients_reach_all_parameters_and_rows_do_not_see_one_another():
    network = HandRegressor(**TINY)
    params = drawn_params(network)
    by_params, found = gradients(network)(params, IMAGES)
    assert all(np.isfinite(leaf).all() and np.any(leaf != 0) for leaf in jax.tree.leaves(by_params))
    np.testing.assert_array_equal(found.points[:, 2], np.zeros((2, 3)))
    changed = gradients(network)(params, np.stack([IMAGES[0], 255 - IMAGES[1]]))[1]
    jax.tree.map(lambda one, two: np.testing.assert_array_equal(one[0], two[0]), found, changed)
    assert np.all(found.pixels[1] != changed.pixels[1])


def test_evaluation_is_training_and_half_precision_keeps_float32_outputs():
    network = HandRegressor(**TINY | {"root_depth": False})
    params = drawn_params(network)
    halves = jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.bfloat16), params)
    found, state = jax.eval_shape(network.apply, halves, {}, IMAGES)
    assert state == {}
    assert found.root_depth is None
    assert (found.pixels.shape, found.points.shape) == ((2, 4, 2), (2, 4, 3))
    assert found.pixels.dtype == found.points.dtype == jnp.float32
    in_training = jax.make_jaxpr(lambda images: network.apply(params, {}, images, train=True, key=jax.random.key(0)))
    in_evaluation = jax.make_jaxpr(lambda images: network.apply(params, {}, images))
    assert convolutions(in_training(IMAGES)) == convolutions(in_evaluation(IMAGES)) > 0


def convolutions(program):
    return str(program).count("conv_general_dilated")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widths": ()}, r"widths and blocks must have one number for each of one stage or more, got \(\) and"),
        ({"blocks": (1,)}, r"widths and blocks must have one number for each .* got \(8, 16\) and \(1,\)\."),
        (
            {"widths": (8, 12)},
            r"widths must be positive multiples of 8, the channels that are normalised together, got",
        ),
        ({"widths": (0, 8)}, r"widths must be positive multiples of 8, .* got \(0, 8\)\."),
        ({"blocks": (0, -1)}, r"blocks must be at least 0, got -1\."),
        ({"reduced": 0}, r"reduced must be at least 1, got 0\."),
        ({"joints": 1}, r"joints must be at least 2, got 1\."),
        ({"wrist": 4}, r"wrist must be the index of one of the 4 joints, got 4\."),
        ({"wrist": -1}, r"wrist must be the index of one of the 4 joints, got -1\."),
        ({"size": 18}, r"size must be a positive multiple of 4, the stride of the last of 2 stages, got 18\."),
        ({"size": 0}, r"size must be a positive multiple of 4, .* got 0\."),
    ],
)
def test_values_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        HandRegressor(**TINY | fields)


@pytest.mark.parametrize("shape", [(2, 16, 20, 3), (2, 32, 32, 3)])
def test_images_of_another_size_are_refused(shape):
    network = HandRegressor(**TINY)
    with pytest.raises(ValueError, match=r"images must be of 16 x 16 pixels, which the heads are for, got .* Crop or"):
        network.apply(*network.abstract(), np.zeros(shape, np.uint8))


def test_a_description_survives_json(tmp_path):
    network = HandRegressor(size=112, wrist=20)
    configs.save(tmp_path / "config.json", network)
    assert configs.load(tmp_path / "config.json") == network
