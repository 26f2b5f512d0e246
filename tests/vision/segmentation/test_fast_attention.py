"""The two forms of the attention, the comb of the released one, and its formula in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from jaxkd.networks.functional import stateful
from jaxkd.vision.segmentation.fast_attention import FastAttention

FEATURES, HEADS = 8, 3


def attention(variant, form, rate=0.0):
    return stateful(lambda rngs: FastAttention(FEATURES, heads=HEADS, variant=variant, form=form, rate=rate, rngs=rngs))


def random_params(generator):
    """Parameters of the size at which weights of different tokens differ much."""
    shapes = attention("released", "closed").params
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), shapes)


@pytest.mark.parametrize(
    ("variant", "sides"), [("released", (3, 5)), ("intended", (3, 5)), ("released", (1, 1)), ("intended", (2, 1))]
)
def test_both_forms_agree_in_value_and_gradient(variant, sides):
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = random_params(generator)
        images, gradient = (jnp.asarray(generator.normal(size=(2, *sides, FEATURES))) for _ in range(2))
        found = {}
        for form in ("closed", "quadratic"):
            function = jax.jit(lambda params, images, form=form: attention(variant, form).apply(params, {}, images)[0])
            value, pull = jax.vjp(function, params, images)
            found[form] = value, pull(gradient)
        assert float(jnp.std(found["closed"][0])) > 0.1
        jax.tree.map(
            lambda closed, quadratic: np.testing.assert_allclose(closed, quadratic, rtol=1e-11, atol=1e-11),
            found["closed"],
            found["quadratic"],
        )


def test_blocks_of_rows_change_nothing(monkeypatch):
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        params, images = random_params(generator), jnp.asarray(generator.normal(size=(1, 3, 5, FEATURES)))
        whole, _ = attention("intended", "closed").apply(params, {}, images)
        monkeypatch.setattr("jaxkd.vision.segmentation.fast_attention.BLOCK", 4)
        parts, _ = attention("intended", "closed").apply(params, {}, images)
        np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_the_released_output_is_a_comb():
    """out[ch, s] = o[(ch N + s) mod C]: one vector, repeated and read channel by channel."""
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.normal(size=(2, 5, 3, FEATURES)), jnp.float32)
    with jax.enable_x64(False):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), random_params(generator))
    found, _ = attention("released", "closed").apply(params, {}, images)
    flat = np.moveaxis(np.asarray(found), 3, 1).reshape(2, -1)
    channel, pixel = np.meshgrid(np.arange(FEATURES), np.arange(15), indexing="ij")
    vector = flat[:, :FEATURES]
    np.testing.assert_array_equal(flat.reshape(2, FEATURES, 15), vector[:, (channel * 15 + pixel) % FEATURES])
    assert np.all(np.ptp(vector, axis=1) > 0)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def in_numpy(variant, params, images):
    """The published steps on one image of an even number of tokens, with loops over heads."""
    c = images.shape[-1]
    tokens = (np.moveaxis(images, 2, 0) if variant == "released" else images).reshape(-1, c)
    n = len(tokens)
    z = tokens @ params["transform"]["kernel"] + params["transform"]["bias"]
    z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    z = z * params["norm"]["scale"] + params["norm"]["bias"]
    z = 0.5 * z * (1 + erf(z / np.sqrt(2)))
    queries, keys = tokens @ params["query"]["kernel"], z @ params["key"]["kernel"]
    places = np.clip((np.arange(n) + 0.5) / 2 - 0.5, 0, n // 2 - 1)
    enlarge = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n // 2)))
    weights = np.zeros((n, n))
    for head in range(HEADS):
        if variant == "released":
            p, beta = queries.sum(1) * keys[:, head], np.ones(n)
        else:
            p = (softmax(queries[:, head], 0) @ queries[:, head]) * keys[:, head]
            beta = softmax(p, 0)
        pooled = np.outer(beta.reshape(-1, 2).mean(1), p.reshape(-1, 2).mean(1))
        weights += softmax((c // HEADS) ** -0.5 * enlarge @ pooled @ enlarge.T, 1)
    out = weights @ z @ params["value"]["kernel"] @ params["project"]["kernel"] + params["project"]["bias"]
    return np.moveaxis(out.reshape(c, *images.shape[:2]), 0, 2) if variant == "released" else out.reshape(images.shape)


@pytest.mark.parametrize("variant", ["released", "intended"])
@pytest.mark.parametrize("form", ["closed", "quadratic"])
def test_values_are_those_of_the_published_steps(variant, form):
    generator = np.random.default_rng(1)
    with jax.enable_x64(True):
        params = random_params(generator)
        image = generator.normal(size=(4, 3, FEATURES))
        found, _ = attention(variant, form).apply(params, {}, jnp.asarray(image)[None])
        expected = in_numpy(variant, jax.tree.map(np.asarray, params), image)
    np.testing.assert_allclose(found[0], expected, atol=1e-10)


@pytest.mark.parametrize(
    ("variant", "form", "shapes"),
    [
        ("released", "closed", ((2, 6, HEADS), (2, 6, FEATURES))),
        ("released", "quadratic", ((2, 6, 6, HEADS), (2, 6, FEATURES))),
    ],
)
def test_masks_drop_weights_and_outputs(variant, form, shapes):
    module = FastAttention(FEATURES, heads=HEADS, variant=variant, form=form, rate=0.5, rngs=nnx.Rngs(0))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 3, FEATURES)), jnp.float32)
    assert module.masks(images.shape) == shapes
    all_kept = [jnp.ones(shape, bool) for shape in shapes]
    no_weights, no_outputs = ([jnp.zeros_like(all_kept[0]), all_kept[1]], [all_kept[0], jnp.zeros_like(all_kept[1])])
    np.testing.assert_array_equal(module(images, no_outputs), 0)
    bias = 2 * module.project.bias[...]
    np.testing.assert_allclose(module(images, no_weights), jnp.broadcast_to(bias, images.shape), atol=1e-7)
    assert float(jnp.std(module(images, all_kept))) > 0
