"""The axes of a decoder's parameters that depend on a size in its config."""

import dataclasses
from typing import Any

import jax

from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params


def axis_map(config: DecoderConfig, **changes: Any) -> Params:
    """Return the axes of each parameter whose length changes with these fields of the config, often none.

    The map is derived from the model itself, norms and biases included, for any family.
    """
    before, after = decoder.abstract(config), decoder.abstract(dataclasses.replace(config, **changes))

    def changed(one: jax.ShapeDtypeStruct, other: jax.ShapeDtypeStruct) -> tuple[int, ...]:
        return tuple(axis for axis, pair in enumerate(zip(one.shape, other.shape, strict=True)) if len(set(pair)) == 2)

    return jax.tree.map(changed, before, after)


def vocabulary_tables(config: DecoderConfig) -> tuple[str, ...]:
    """Return the names of the parameters that have a row for each token: the embedding and, if untied, the head."""
    changed = axis_map(config, vocab_size=2 * config.vocab_size)
    return tuple(name for name, axes in changed.items() if axes == (0,))
