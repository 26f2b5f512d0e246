"""The feature transform layer: laws of rigid motions, a loop over the points, and the fusion of views."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.networks.functional import stateful
from jaxkd.vision.hands.feature_transform import FeatureFusion, inverse_transform_features, transform_features
from tests.losses.compiled import jitted
from tests.vision.segmentation.modules import drawn

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(4, 2, 3, 8)).astype(np.float32)
N = 6
"""Channels that are points, of 8."""


def rotations(count):
    """Rotations from the QR decomposition of random matrices."""
    matrices = np.linalg.qr(RNG.normal(size=(count, 3, 3)))[0]
    return (matrices * np.linalg.det(matrices)[:, None, None]).astype(np.float32)


R, S = rotations(4), rotations(4)
T, U = (RNG.normal(size=(4, 3)).astype(np.float32) for _ in range(2))

there = jitted(transform_features, channels=N)
back = jitted(inverse_transform_features, channels=N)


def close(found, expected):
    """Within the rounding of float32 for values of size 1 to 10."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_channels_are_points_of_a_reshape():
    found = there(FEATURES, R, T)
    for image, matrix, translation, moved in zip(FEATURES, R, T, found, strict=True):
        first = np.asarray(image, np.float64).transpose(2, 0, 1)[:N].reshape(3, -1)  # (3, n / 3 * H * W)
        points = np.asarray(matrix, np.float64) @ first + np.asarray(translation, np.float64)[:, None]
        close(moved[..., :N], points.reshape(N, 2, 3).transpose(1, 2, 0))
        np.testing.assert_array_equal(moved[..., N:], image[..., N:])


def test_there_and_back_is_the_identity():
    moved = there(FEATURES, R, T)
    assert np.abs(moved - FEATURES)[..., :N].min(axis=(1, 2, 3)).max() > 1e-3
    close(back(moved, R, T), FEATURES)
    close(there(back(FEATURES, R, T), R, T), FEATURES)


def test_two_motions_are_their_composition():
    twice = there(there(FEATURES, R, T), S, U)
    both = np.einsum("bij,bjk->bik", S, R), np.einsum("bij,bj->bi", S, T) + U
    close(twice, there(FEATURES, *both))


def test_a_rotation_keeps_norms_and_a_translation_differences():
    def points(features):
        return features[..., :N].reshape(*features.shape[:3], 3, N // 3)

    turned = there(FEATURES, R, np.zeros_like(T))
    close(np.linalg.norm(points(turned), axis=3), np.linalg.norm(points(FEATURES), axis=3))
    shifted = there(FEATURES, np.broadcast_to(np.eye(3, dtype=np.float32), R.shape), T)
    close(points(shifted) - points(FEATURES), np.broadcast_to(T[:, None, None, :, None], points(FEATURES).shape))


def test_gradients_go_back_by_the_transposed_rotation():
    cotangent = RNG.normal(size=FEATURES.shape).astype(np.float32)

    def pulled(features, cotangent):
        _, pull = jax.vjp(lambda features: transform_features(features, R, T, channels=N), features)
        return pull(cotangent)[0]

    close(jitted(pulled)(FEATURES, cotangent), back(cotangent, R, np.zeros_like(T)))


def test_half_precision_stays():
    assert there(FEATURES.astype(jnp.bfloat16), R, T).dtype == jnp.bfloat16


@pytest.mark.parametrize("channels", [0, 4, 9, -3])
@pytest.mark.parametrize("function", [transform_features, inverse_transform_features])
def test_channels_that_are_no_points_are_refused(function, channels):
    message = rf"channels must be a multiple of 3, from 3 to the 8 channels of the features, .* got {channels}\."
    with pytest.raises(ValueError, match=message):
        function(FEATURES, R, T, channels=channels)


def arrays_of(module):
    return [nnx.to_pure_dict(nnx.state(module, kind)) for kind in (nnx.Param, nnx.BatchStat)]


def fusion(**changes):
    return drawn(lambda rngs: FeatureFusion(8, **{"after": 7, "views": 2, "channels": N} | changes, rngs=rngs))


VIEWS = FEATURES.reshape(2, 2, 2, 3, 8), R.reshape(2, 2, 3, 3), T.reshape(2, 2, 3)


def test_all_views_get_the_same_map_in_their_frames():
    module = fusion()
    # First block: 16 to 7 channels, second 7 to 7, each without a bias, and two numbers a normalised channel.
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))) == 16 * 7 + 7 * 7 + 2 * 2 * 7
    network = stateful(lambda rngs: FeatureFusion(8, 7, views=2, channels=N, rngs=rngs))
    found, _ = jitted(functools.partial(network.apply, train=True))(*arrays_of(module), *VIEWS)
    assert found.shape == (2, 2, 2, 3, 7)
    canonical = there(found.reshape(4, 2, 3, 7), R, T).reshape(found.shape)
    close(canonical[:, 0], canonical[:, 1])
    assert (canonical >= -1e-5).all(), "the fused map follows ReLU"
    # By hand: the views beside one another, and a matrix for each block.
    moved = there(FEATURES, R, T).reshape(2, 2, 2, 3, 8)
    fused = np.concatenate([moved[:, 0], moved[:, 1]], axis=-1, dtype=np.float64)
    for name in ("block0", "block1"):
        fused = fused @ np.asarray(module.convs[name].kernel[0, 0], np.float64)
        fused = (fused - fused.mean((0, 1, 2))) / np.sqrt(fused.var((0, 1, 2)) + 1e-5)
        fused = np.maximum(fused * np.asarray(module.norms[name].scale) + np.asarray(module.norms[name].bias), 0)
    np.testing.assert_allclose(canonical[:, 0], fused, rtol=1e-4, atol=1e-4)


def test_gradients_reach_all_weights_and_each_view():
    network = stateful(lambda rngs: FeatureFusion(8, 7, views=2, channels=N, rngs=rngs))
    params, state = arrays_of(fusion())

    def total(params, features):
        found, _ = network.apply(params, state, features, *VIEWS[1:], train=True)
        return jnp.sum(jnp.sin(found))

    by_params, by_features = jitted(jax.grad(total, (0, 1)))(params, VIEWS[0])
    assert all(np.isfinite(leaf).all() and np.any(leaf != 0) for leaf in jax.tree.leaves(by_params))
    assert np.any(by_features != 0, axis=(0, 2, 3, 4)).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"views": 0}, r"views must be at least 1, got 0\."),
        ({"blocks": 0}, r"blocks must be at least 1, got 0\."),
        ({"after": 5}, r"channels must be a multiple of 3, from 3 to the 5 channels of the features, .* got 6\."),
        ({"channels": 7}, r"channels must be a multiple of 3, from 3 to the 8 channels of the features, .* got 7\."),
    ],
)
def test_numbers_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        fusion(**fields)


def test_other_views_are_refused():
    module = fusion(views=3)
    with pytest.raises(ValueError, match=r"features must be of 3 views with 8 channels, .* got 2 with 8\."):
        module(*VIEWS, train=False)
