"""Hidden states at the targets of a batch: of the last layer, and of chosen ones."""

import functools

import jax
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.layer_outputs import layer_outputs
from jaxkd.records import TokenBatch
from tests.models import tiny

CONFIG = tiny.golden_config("gemma3")


@pytest.fixture(scope="module")
def params():
    return tiny.random_params(CONFIG)


@pytest.fixture(scope="module")
def batch():
    targets = np.array([[1, 2, 4], [0, 5, 0]], np.int32)
    return TokenBatch(
        tokens=tiny.random_tokens(CONFIG, 2, 6),
        positions=np.array([[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]], np.int32),
        segment_ids=np.array([[1, 1, 1, 2, 2, 2], [1] * 6], np.int32),
        target_positions=targets,
        labels=np.zeros_like(targets),
        loss_mask=np.ones_like(targets, bool),
        example_ids=np.zeros_like(targets),
    )


@pytest.mark.parametrize(("switch", "policy"), [(False, "none"), (True, "full")])
def test_a_recipes_switch_is_a_policy(params, batch, switch, policy, monkeypatch):
    seen = []
    real = decoder.hidden_states
    monkeypatch.setattr(
        decoder, "hidden_states", lambda *args, remat, **kwargs: seen.append(remat) or real(*args, **kwargs)
    )
    jax.eval_shape(functools.partial(forward.hiddens, CONFIG, remat=switch), params, batch)
    assert seen == [policy]


@pytest.mark.parametrize("tap", ["none", "scores", "probs"])
def test_chosen_layers_are_gathered_at_the_targets(params, batch, tap):
    layers = (3, 1) if tap != "none" else (3, 0)

    @jax.jit
    def found(params, batch):
        places = {"positions": batch.positions, "segment_ids": batch.segment_ids}
        return (
            *forward.layer_hiddens(CONFIG, params, batch, layers=layers, tap=tap),
            layer_outputs(CONFIG, params, batch.tokens, **places, tap=tap),
            forward.hiddens(CONFIG, params, batch),
        )

    final, seen, everywhere, plain = found(params, batch)
    assert (seen.attention is None) == (tap == "none")
    (hiddens, attention), (all_hiddens, all_attention) = (
        [None if array is None else np.asarray(array) for array in (outputs.hiddens, outputs.attention)]
        for outputs in (seen, everywhere)
    )
    assert hiddens.shape == (2, 2, 3, CONFIG.width)
    for index, layer in enumerate(layers):
        for row, target in np.ndindex(2, 3):
            column = int(batch.target_positions[row, target])
            expected = all_hiddens[layer, row, column]
            np.testing.assert_allclose(hiddens[index, row, target], expected, atol=1e-5)
            if tap != "none":
                expected = all_attention[layer - 1, row, :, column]
                np.testing.assert_allclose(attention[index, row, :, target], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(final.values, plain.values, atol=1e-5)
    np.testing.assert_allclose(hiddens[0], plain.values, atol=1e-5)
    assert final.head.softcap == plain.head.softcap


@pytest.mark.parametrize(
    ("layers", "tap", "message"),
    [
        ((4,), "none", r"layers must be between 0 and 3 with tap='none', got \[4\]"),
        ((0, 1), "probs", r"layers must be between 1 and 3 with tap='probs', got \[0, 1\]\. .* has no attention"),
        ((), "none", r"got \[\]"),
    ],
)
def test_layers_that_are_not_there_are_refused(params, batch, layers, tap, message):
    with pytest.raises(ValueError, match=message):
        forward.layer_hiddens(CONFIG, params, batch, layers=layers, tap=tap)
