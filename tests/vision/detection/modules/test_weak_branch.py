"""The branch for weak supervision against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.detection.modules.weak_branch import ScoreMLP, WeakBranch
from tests.vision.segmentation.modules import drawn

MAPS = tuple(
    np.random.default_rng(place).normal(size=(2, side, side + 1, 3 + place)).astype(np.float32)
    for place, side in enumerate((3, 2, 1))
)


def batch_normalised(values, norm):
    mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2))
    return (values - mean) / np.sqrt(variance + 1e-5) * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


def test_logits_of_images_and_cells():
    branch = drawn(lambda rngs: WeakBranch((3, 4, 5), 6, classes=2, rngs=rngs))
    before = np.asarray(branch.cells_norm.mean[...])
    train = jax.jit(lambda branch, maps: (branch(maps, train=True), branch.cells_norm.mean[...]))
    found, moved = train(branch, tuple(map(jnp.asarray, MAPS)))
    for place, values in enumerate(MAPS):
        values = values @ np.asarray(branch.project[f"c{3 + place}"].kernel[...])[0, 0]
        expected = values.mean((1, 2)) @ np.asarray(branch.image.kernel[...])
        np.testing.assert_allclose(found.image_logits[place], expected, rtol=1e-4, atol=1e-4)
        cells = values @ np.asarray(branch.cells.kernel[...])[0, 0]
        cells = np.maximum(batch_normalised(cells, branch.cells_norm), 0)
        kernel = np.asarray(branch.smooth.kernel[...])
        rows, columns = cells.shape[1:3]
        padded = np.pad(cells, ((0, 0), (1, 1), (1, 1), (0, 0)))
        smooth = sum(padded[:, r : r + rows, c : c + columns] @ kernel[r, c] for r in range(3) for c in range(3))
        expected = batch_normalised(smooth, branch.smooth_norm)
        np.testing.assert_allclose(found.mask_logits[place], expected, rtol=1e-3, atol=1e-3)
    assert (np.asarray(moved) != before).all()


def layer_normalised(values, norm):
    mean, variance = values.mean(-1, keepdims=True), values.var(-1, keepdims=True)
    return (values - mean) / np.sqrt(variance + 1e-5) * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


def test_logits_of_class_scores():
    mlp = drawn(lambda rngs: ScoreMLP(5, rngs=rngs))
    assert mlp.first.kernel.shape == (5, 2)
    scores = np.random.default_rng(0).uniform(size=(3, 5)).astype(np.float32)
    values = scores
    for layer, norm in ((mlp.first, mlp.first_norm), (mlp.second, mlp.second_norm)):
        values = layer_normalised(values @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...]), norm)
        values = values / (1 + np.exp(-values))
    expected = values @ np.asarray(mlp.last.kernel[...]) + np.asarray(mlp.last.bias[...])
    found, dropped = jax.jit(
        lambda mlp, scores, key: (mlp(scores, rngs=None), mlp(scores, rngs=nnx.Rngs(dropout=key)))
    )(mlp, jnp.asarray(scores), jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert float(jnp.abs(dropped - expected).max()) > 0.01


@pytest.mark.parametrize(("classes", "constant"), [(3, True), (4, False)])
def test_with_three_classes_the_scores_do_not_matter(classes, constant):
    """A layer normalisation of a single unit gives its bias, as in the reference."""
    mlp = drawn(lambda rngs: ScoreMLP(classes, rngs=rngs))
    scores = jnp.asarray(np.random.default_rng(0).uniform(size=(2, classes)), jnp.float32)
    found = np.asarray(jax.jit(lambda mlp, scores: mlp(scores, rngs=None))(mlp, scores))
    assert (np.abs(found[0] - found[1]).max() < 1e-6) == constant
