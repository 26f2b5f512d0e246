"""The head: levels share it, and each scales its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.detection.modules.gfl_head import GFLHead, classified
from tests.vision.segmentation.modules import call, drawn


def head():
    return drawn(lambda rngs: GFLHead(4, 4, classes=2, levels=2, stacked=2, groups=2, bins=3, rngs=rngs))


def test_levels_share_all_but_the_scale_of_the_edges():
    made = head()
    made.scales["level0"].set_value(jnp.asarray(1.0))
    made.scales["level1"].set_value(jnp.asarray(-2.0))
    values = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 4)), jnp.float32)
    found = call(made, (values, values))
    np.testing.assert_allclose(*found.class_logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(*found.tower, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(-2 * found.edge_logits[0], found.edge_logits[1], rtol=1e-4, atol=1e-4)
    assert found.edge_logits[0].shape == (2, 3, 4, 4, 3)
    np.testing.assert_array_equal(jnp.minimum(found.tower[0], 0), 0)


def test_bins_of_an_edge_are_neighbouring_channels():
    made = head()
    made.edges.kernel.set_value(jnp.zeros((3, 3, 4, 12)))
    made.edges.bias.set_value(jnp.arange(12.0))
    for name, scale in zip(made.scales, (1.0, 3.0), strict=True):
        made.scales[name].set_value(jnp.asarray(scale))
    found = call(made, (jnp.ones((1, 1, 1, 4)), jnp.ones((1, 1, 2, 4))))
    np.testing.assert_array_equal(found.edge_logits[0][0, 0, 0], np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(found.edge_logits[1][0, 0, 1], 3 * np.arange(12.0).reshape(4, 3))


def test_a_classification_equals_sums_over_windows():
    rng = np.random.default_rng(0)
    kernel, bias, tower = rng.normal(size=(3, 3, 4, 2)), rng.normal(size=2), rng.normal(size=(2, 3, 5, 4))
    padded = np.pad(tower, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = bias + sum(padded[:, r : r + 3, c : c + 5] @ kernel[r, c] for r in range(3) for c in range(3))
    classifier = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    np.testing.assert_allclose(classified(classifier, jnp.asarray(tower, jnp.float32)), expected, rtol=1e-4, atol=1e-4)
    half = classified(classifier, jnp.asarray(tower, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


def test_at_first_every_score_is_near_one_percent():
    @jax.jit
    def initial():
        made = GFLHead(8, 16, classes=5, levels=3, stacked=1, groups=2, rngs=nnx.Rngs(0))
        return nnx.to_pure_dict(nnx.state(made, nnx.Param))

    params = initial()
    np.testing.assert_allclose(jax.nn.sigmoid(params["classifier"]["bias"]), 0.01, rtol=1e-5)
    assert params["scales"] == {f"level{place}": 1 for place in range(3)}
    tower = params["class_tower"]["convs"]["layer0"]
    assert tower.keys() == {"kernel"}
    for kernel in (params["classifier"]["kernel"], params["edges"]["kernel"], tower["kernel"]):
        # The deviation of the deviation of n samples is that over sqrt(2 n): n is 720 and more.
        assert float(jnp.std(kernel)) == pytest.approx(0.01, rel=0.15)
