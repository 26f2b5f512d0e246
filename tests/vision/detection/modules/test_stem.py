"""The stem of early fusion; the networks' tests have what it computes."""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxkd.vision.detection.modules.stem import FusionStem, split_modalities


def test_882_parameters():
    stem = nnx.eval_shape(lambda: FusionStem(weighted=True, edge_norm="l2", temperature=1.0, rngs=nnx.Rngs(0)))
    assert [leaf.shape for leaf in jax.tree.leaves(nnx.state(stem, nnx.Param))] == [(7, 7, 6, 3)]
    assert 7 * 7 * 6 * 3 == 882


def test_a_thermal_image_is_repeated():
    visible, thermal = split_modalities(jnp.arange(8.0).reshape(1, 1, 2, 4))
    assert visible.tolist() == [[[[0, 1, 2], [4, 5, 6]]]]
    assert thermal.tolist() == [[[[3, 3, 3], [7, 7, 7]]]]
