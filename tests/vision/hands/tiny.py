"""A tiny query decoder with random parameters, drawn by NumPy."""

import jax
import numpy as np

DECODER = {"inputs": 3, "width": 4, "heads": 2, "layers": 2, "hidden": 5, "joints": 3}
TOKENS = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)


def drawn_decoder(decoder):
    """Parameters from Normal(0, 0.5^2), so that none is 0 or 1."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: (0.5 * rng.normal(size=leaf.shape)).astype(leaf.dtype), decoder.abstract())
