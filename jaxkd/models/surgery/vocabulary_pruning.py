"""Students with fewer tokens: some rows of the embedding and of the head."""

import dataclasses

import numpy as np
from jaxtyping import Int

from jaxkd.models.surgery.axis_map import vocabulary_tables
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params


def keep_rows(
    config: DecoderConfig, params: Params, ids: Int[np.ndarray, " v"], *, rows: int | None = None
) -> tuple[DecoderConfig, Params]:
    """Build the model with these tokens alone, in this order: rows of the embedding and, if untied, of the head.

    The logits of the kept tokens are those of the whole model, up to the rounding of a product with another number of
    rows; their probabilities are renormalised over them.

    Args:
        config: config of the model with all tokens.
        params: parameters of that model.  Host arrays stay on the host.
        ids: rows to keep, as `prune_tokenizer` returns them.
        rows: rows of the new tables, the number of `ids` by default.  More rows, of zeros, pad the tables to a size
            that devices can share.

    Returns:
        The config with the new `vocab_size`, and the parameters.

    Raises:
        ValueError: an id without a row, or fewer rows than ids.

    Source: Ushio et al., Vocabulary Trimming, arXiv 2305.15020, section 3.  Deviation: none.
    """
    rows = len(ids) if rows is None else rows
    if not len(ids) or ids.min() < 0 or ids.max() >= config.vocab_size:
        got = f"{ids.min()} to {ids.max()}" if len(ids) else "none"
        raise ValueError(f"ids must be rows of the model's {config.vocab_size}, got {got}.")
    if rows < len(ids):
        raise ValueError(f"rows must be at least {len(ids)}, the tokens that are kept, got {rows}. Leave it out.")
    kept = dict(params)
    for name in vocabulary_tables(config):
        table = params[name][ids]
        padding = [(0, rows - len(ids)), *[(0, 0)] * (table.ndim - 1)]
        kept[name] = np.pad(table, padding) if rows > len(ids) else table
    tokens = None if rows == len(ids) else len(ids)
    return dataclasses.replace(config, vocab_size=rows, tokens=tokens), kept
