"""Glossary of array axes, and names of the mesh axes.

Signatures give shapes as jaxtyping strings; these letters mean the same everywhere:

    b   rows of a batch (a row may hold several packed examples)
    t   tokens of a row, prompt and padding included
    k   target positions of a row: those whose hidden state predicts a label
    v   vocabulary, including the rows that pad it to a round number
    d   hidden width of the model (`ds` student, `dt` teacher where both appear)
    l   decoder layers, stacked
    n   tokens in a flat list: rows times positions
    p   pairs of tokens of two tokenizations
    h   height of an image, in pixels
    w   width of an image, in pixels

The tests execute the annotations; nothing checks them at run time.
"""

from typing import Any, Literal, TypeAlias

from jaxtyping import Array, Float, PRNGKeyArray

DATA = "data"
"""Mesh axis over which rows are split and parameters replicated."""

FSDP = "fsdp"
"""Mesh axis over which rows are split and parameters sharded."""

TENSOR = "tensor"
"""Mesh axis over which heads, feed-forward units and the vocabulary are split."""

Params: TypeAlias = dict[str, Any]
"""A nested dict of arrays, or of one description per array."""

Split: TypeAlias = Literal["train", "validation", "test"]
"""Part of a data source."""

Better: TypeAlias = Literal["lower", "higher"]
"""Direction in which a metric is better."""

Key: TypeAlias = PRNGKeyArray
"""A typed key, made by `jax.random.key`."""

Scalar: TypeAlias = Float[Array, ""]
