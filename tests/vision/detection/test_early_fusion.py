"""Early fusion: what each stem reads, shapes, statistics, and gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.detection.modules import stem
from jaxkd.vision.detection.modules.stem import FusionStem
from tests.vision.detection.tiny import IMAGES, assert_equal, early, forward, outputs_of, paths
from tests.vision.segmentation.modules import drawn, drawn_params
from tests.vision.segmentation.structure import parameters_without_effect

VISIBLE = drawn_params(early(stem="visible"))
"""Parameters of the networks without a stem of their own."""


@pytest.fixture
def weights(monkeypatch):
    """Weights that a test gives in the place of those by shape, and the options that they are asked with."""
    asked = {}

    def shape_weights(visible, thermal, **options):
        asked.update(options, shapes=(visible.shape, thermal.shape))
        return jnp.broadcast_to(jnp.asarray(asked["weights"], jnp.float32), (*visible.shape[:3], 2))

    monkeypatch.setattr(stem, "shape_weights", shape_weights)
    return asked


def test_maps_have_the_shapes_of_their_levels():
    network = early(levels=5)
    images = jax.ShapeDtypeStruct((2, 136, 144, 4), jnp.uint8)
    maps, state = jax.eval_shape(network.apply, *network.abstract(), images)
    cells = [(17, 18), (9, 9), (5, 5), (3, 3), (2, 2)]
    assert maps.strides == (8, 16, 32, 64, 128)
    assert [one.shape for one in maps.class_logits] == [(2, *each, 2) for each in cells]
    assert [one.shape for one in maps.edge_logits] == [(2, *each, 4, 3) for each in cells]
    assert [one.shape for one in maps.tower] == [(2, *each, 4) for each in cells]
    assert [one.shape for one in maps.backbone] == [(2, 34, 36, 4), (2, 17, 18, 8), (2, 9, 9, 16), (2, 5, 5, 32)]
    assert maps.modality_weights is None
    assert maps.weak is None
    assert state == {}


def test_the_visible_stem_reads_three_channels_and_the_thermal_one_the_fourth():
    visible, thermal = early(stem="visible"), early(stem="thermal")
    grey = jnp.repeat(IMAGES[..., 3:], 3, axis=-1)
    of_colours = forward(visible)(VISIBLE, IMAGES[..., :3])
    assert_equal(forward(visible)(VISIBLE, IMAGES), of_colours)
    of_grey = forward(visible)(VISIBLE, grey)
    assert_equal(forward(thermal)(VISIBLE, IMAGES), of_grey)
    assert float(jnp.abs(of_grey.class_logits[0] - of_colours.class_logits[0]).max()) > 0.1


def test_a_plain_stem_that_copies_one_image_is_that_images_network():
    """In a kernel of size 7, weights of 1 in its middle copy."""
    visible = forward(early(stem="visible"))
    for first, images in ((0, IMAGES[..., :3]), (3, jnp.repeat(IMAGES[..., 3:], 3, axis=-1))):
        kernel = np.zeros((7, 7, 6, 3), np.float32)
        kernel[3, 3, range(first, first + 3), range(3)] = 1
        params = VISIBLE | {"stem": {"conv": {"kernel": jnp.asarray(kernel)}}}
        assert_equal(forward(early())(params, IMAGES), visible(VISIBLE, images))


def test_a_stem_by_shape_multiplies_each_image_by_its_weight(weights):
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 9, 4)), jnp.float32)
    stem = drawn(lambda rngs: FusionStem(weighted=True, edge_norm="none", temperature=0.5, rngs=rngs))
    weights["weights"] = (0.25, 0.75)
    fused, given = stem(images)
    assert given.shape == (2, 8, 9, 2)
    assert weights["shapes"] == ((2, 8, 9, 3), (2, 8, 9, 3))
    assert (weights["edge_norm"], weights["temperature"]) == ("none", 0.5)
    kernel = np.asarray(stem.conv.kernel[...])
    parts = np.concatenate([0.25 * images[..., :3], *[0.75 * images[..., 3:]] * 3], axis=-1)
    padded = np.pad(parts, ((0, 0), (3, 3), (3, 3), (0, 0)))
    expected = sum(padded[:, r : r + 8, c : c + 9] @ kernel[r, c] for r in range(7) for c in range(7))
    np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-4)


def test_weights_of_1_make_the_stem_by_shape_the_plain_one(weights):
    weights["weights"] = (1.0, 1.0)
    params = drawn_params(early())
    maps = forward(early(stem="shape"))(params, IMAGES)
    assert_equal(maps, forward(early())(params, IMAGES))
    assert maps.modality_weights.shape == (2, 32, 40, 2)


@pytest.mark.parametrize("changes", [{}, {"stem": "visible", "levels": 5, "stacked": 2, "depth": 50}])
def test_every_parameter_has_an_effect(changes):
    network = early(**changes)
    assert parameters_without_effect(network, 128, channels=4, outputs=outputs_of) == []


def test_gradients_and_statistics_in_training():
    network = early(weak_branch=True, norm="batch")
    params = drawn_params(network)
    state = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), network.abstract()[1])

    def loss(params):
        maps, moved = network.apply(params, state, IMAGES, train=True, key=jax.random.key(0))
        leaves = (*outputs_of(maps), *maps.weak.image_logits, *maps.weak.mask_logits)
        return sum(jnp.mean(jnp.sin(leaf + place)) for place, leaf in enumerate(leaves)), (maps.weak, moved)

    gradient, (weak, moved) = jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(params))
    scores = gradient["weak"].pop("scores")  # they are of the scores of classes alone, which are no images
    assert not any(leaf.any() for leaf in jax.tree.leaves(scores))
    reached = [leaf.any() for leaf in jax.tree.leaves(gradient)]
    assert [path for path, found in zip(paths(gradient), reached, strict=True) if not found] == []
    assert [leaf.shape for leaf in weak.image_logits] == [(2, 2)] * 3
    assert [leaf.shape for leaf in weak.mask_logits] == [(2, 4, 5, 2), (2, 2, 3, 2), (2, 1, 2, 2)]
    assert all((new != 1).any() for new in jax.tree.leaves(moved))


def test_a_loss_on_class_scores_trains_their_layers():
    network = early(weak_branch=True, classes=4)
    params = drawn_params(network)
    scores = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 4)), jnp.float32)
    key = jax.random.key(0)
    gradient = jax.grad(lambda params: jnp.sum(network.score_logits(params, scores, key=key) ** 2))
    gradient = jax.device_get(jax.jit(gradient)(params))
    assert all(leaf.any() for leaf in jax.tree.leaves(gradient["weak"].pop("scores")))
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))
    with pytest.raises(ValueError, match=r"weak_branch must be True for logits of class scores, got False\."):
        dataclasses.replace(network, weak_branch=False).score_logits(params, scores)


def test_evaluation_does_not_read_the_branch():
    network = early(weak_branch=True)
    images = jax.ShapeDtypeStruct(IMAGES.shape, IMAGES.dtype)
    maps, _ = jax.eval_shape(network.apply, *network.abstract(), images)
    assert maps.weak is None
    whole, without = network.abstract()[0], early().abstract()[0]
    assert {name: part for name, part in whole.items() if name != "weak"} == without
