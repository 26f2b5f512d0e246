import dataclasses

import numpy as np
import pytest

from jaxkd.models.surgery import keep_rows
from jaxkd.models.surgery.axis_map import vocabulary_tables
from tests.models import tiny

KEPT = np.array([3, 4, 9, 17, 30, 39])


@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_of_kept_tokens_are_the_same(tied):
    config = dataclasses.replace(tiny.LLAMA, tied=tied)
    params = tiny.random_params(config)
    assert vocabulary_tables(config) == (("embedding",) if tied else ("embedding", "head"))
    smaller, kept = keep_rows(config, params, KEPT)
    assert (smaller.vocab_size, smaller.tokens) == (6, None)
    assert isinstance(kept["embedding"], np.ndarray)
    places = np.array([[2, 0, 5, 5, 1, 3, 4, 0]])
    whole = tiny.logits(config, params, KEPT[places])
    # The hidden states are the same; a product with fewer rows may sum its `width` terms in another order.
    rounding = config.width * np.finfo(np.float32).eps * np.abs(whole).max()
    np.testing.assert_allclose(tiny.logits(smaller, kept, places), whole[..., KEPT], rtol=0, atol=rounding)
    for table in vocabulary_tables(config):
        np.testing.assert_array_equal(kept[table], params[table][KEPT])


def test_more_rows_are_never_predicted():
    config = dataclasses.replace(tiny.GPT2, tied=False)
    params = tiny.random_params(config)
    smaller, kept = keep_rows(config, params, KEPT, rows=8)
    assert (smaller.vocab_size, smaller.tokens) == (8, 6)
    np.testing.assert_array_equal(kept["head"][:6], params["head"][KEPT])
    assert not kept["head"][6:].any()
    logits = tiny.logits(smaller, kept, np.array([[2, 0, 5]]))
    assert np.isneginf(logits[..., 6:]).all() and np.isfinite(logits[..., :6]).all()


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        ([], None, "ids must be rows of the model's 40, got none."),
        ([3, 40], None, "ids must be rows of the model's 40, got 3 to 40."),
        ([3, 4], 1, "rows must be at least 2, the tokens that are kept, got 1. Leave it out."),
    ],
)
def test_rows_that_cannot_be_are_refused(ids, rows, message):
    with pytest.raises(ValueError, match=message):
        keep_rows(tiny.LLAMA, tiny.random_params(tiny.LLAMA), np.array(ids, int), rows=rows)
