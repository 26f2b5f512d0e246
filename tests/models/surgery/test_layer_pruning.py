import numpy as np
import pytest

from jaxkd.models.surgery import check_layers, evenly_spaced, keep_layers
from jaxkd.models.transformer import decoder
from tests.models import tiny


def test_evenly_spaced_by_hand():
    assert evenly_spaced(30, 10) == (0, 3, 6, 10, 13, 16, 19, 23, 26, 29)
    assert evenly_spaced(12, 2) == (0, 11)
    assert evenly_spaced(5, 5) == (0, 1, 2, 3, 4)
    assert evenly_spaced(5, 1) == (0,)


@pytest.mark.parametrize("keep", [0, 6])
def test_evenly_spaced_refuses_more_layers_than_there_are(keep):
    with pytest.raises(ValueError, match=f"keep must be between 1 and depth, got {keep} of 5 layers"):
        evenly_spaced(5, keep)


def test_kept_layers_are_the_named_ones_in_order():
    params = tiny.random_params(tiny.LLAMA)
    config, kept = keep_layers(tiny.LLAMA, params, (1, 0, 1))
    assert config.depth == 3
    up = params["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_array_equal(kept["blocks"]["mlp"]["up"]["kernel"], up[[1, 0, 1]])
    assert isinstance(kept["blocks"]["mlp"]["up"]["kernel"], np.ndarray)
    assert kept["embedding"] is params["embedding"]
    assert kept["final_norm"] is params["final_norm"]


def test_a_block_that_adds_nothing_can_be_left_out():
    params = tiny.random_params(tiny.LLAMA)
    for branch in ("attention", "mlp"):
        output = params["blocks"][branch]["output" if branch == "attention" else "down"]["kernel"]
        output[1] = 0
    tokens = tiny.random_tokens(tiny.LLAMA, 2, 5)
    config, kept = keep_layers(tiny.LLAMA, params, (0,))
    np.testing.assert_allclose(tiny.logits(config, kept, tokens), tiny.logits(tiny.LLAMA, params, tokens), atol=1e-5)
    assert decoder.parameter_count(config) < decoder.parameter_count(tiny.LLAMA)


@pytest.mark.parametrize("layers", [(0, 2), (-1,)])
def test_a_layer_that_is_not_there_is_refused(layers):
    with pytest.raises(ValueError, match=r"layers must be between 0 and 1, got \[.*\]: the model has 2"):
        check_layers(tiny.LLAMA, layers)


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="layers must name at least one layer, got none"):
        check_layers(tiny.LLAMA, ())
