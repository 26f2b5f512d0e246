"""Losses from hidden states on a mesh with explicit axes, which `jax.make_mesh` makes by default."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxkd.kernels import TokenChunk, VocabTile
from jaxkd.losses import ForwardKL
from tests.kernels.cases import cast, compiled, targets, unless
from tests.kernels.test_mesh import assert_equal, sides

TOKENS = (8, 3)
MESHES = {"dp": (8,), "data fsdp tensor": (2, 2, 2), "data tensor": (2, 4), "data model": (4, 2)}
"""Axes that the kernels know, and others."""


@pytest.mark.parametrize(
    ("axes", "split", "kernel"),
    [
        pytest.param(axes, split, kernel, id=f"{axes}-{split}-{type(kernel).__name__}", marks=unless(fast))
        for axes in MESHES
        for split in ("split", "replicated")
        for kernel in (TokenChunk(chunk=2), VocabTile(tile=3))
        for fast in [isinstance(kernel, TokenChunk) == ((split == "split") == (axes in ("dp", "data fsdp tensor")))]
    ],
)
def test_equals_one_device(axes, split, kernel):
    with jax.enable_x64(True):
        loss = ForwardKL(temperature=2.0, gradient_to="both")
        arguments = cast((*sides(0, tokens=TOKENS), targets(0, tokens=TOKENS, vocabulary=21)), np.float64)
        alone = compiled("reference", loss)(*arguments)
        names = tuple(axes.split())
        rows = PartitionSpec(names[0]) if split == "split" else PartitionSpec()
        with jax.set_mesh(jax.make_mesh(MESHES[axes], names)):
            placed = jax.tree.map(lambda leaf: jax.device_put(leaf, rows if leaf.shape[0] == 8 else None), arguments)
            spread = compiled(kernel, loss)(*placed)
    assert_equal(spread, alone, 1e-12)
    columns, gradients = spread
    for leaf in jax.tree.leaves((columns, gradients)):
        if leaf.shape[:1] == (8,):
            assert leaf.sharding.spec[0] == (names[0] if split == "split" else None)
