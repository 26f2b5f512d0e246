import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.models.surgery import Importance, KeptWidth, most_important, prune_width
from jaxkd.models.transformer import decoder
from tests.models import tiny

GEMMA = dataclasses.replace(
    tiny.LLAMA, norm="rms_plus_one", branch_output_norms=True, scaled_embedding=True, query_key_norm=True
)
CONFIGS = {
    "llama": tiny.LLAMA,
    "untied": dataclasses.replace(tiny.LLAMA, tied=False, output_bias=True, mlp_bias=True),
    "gemma": GEMMA,
    "gpt2": tiny.GPT2,
}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


def importance_of(config, **changes):
    """Made by hand: the later a part, the more important."""
    layers = np.ones((config.depth, 1))
    rising = Importance(
        heads=layers * np.arange(config.heads),
        neurons=layers * np.arange(config.mlp_width),
        channels=np.arange(config.width) * 1.0,
    )
    return dataclasses.replace(rising, **changes)


def test_the_kept_parts_are_those_of_a_hand_made_importance():
    # Groups of two heads: 0 + 3 against 2 + 2 in the first layer, 5 + 0 against 2 + 2 in the second.
    heads = np.array([[0.0, 3.0, 2.0, 2.0], [5.0, 0.0, 2.0, 2.0]])
    neurons = np.zeros((2, 24))
    neurons[0, [3, 9]], neurons[1, [23, 4]] = 1.0, 1.0
    channels = np.zeros(16)
    channels[[15, 2, 7]] = 1.0
    importance = Importance(heads=heads, neurons=neurons, channels=channels)
    kept = most_important(tiny.LLAMA, importance, heads=2, mlp_width=3, width=4)
    np.testing.assert_array_equal(kept.groups, [[1], [0]])
    np.testing.assert_array_equal(kept.neurons, [[0, 3, 9], [0, 4, 23]])
    np.testing.assert_array_equal(kept.channels, [0, 2, 7, 15])


def test_every_tensor_keeps_the_same_parts():
    config, params = tiny.LLAMA, tiny.random_params(tiny.LLAMA)
    kept = KeptWidth(groups=np.array([[1], [0]]), neurons=np.array([[1, 4], [0, 23]]), channels=np.array([2, 3, 9]))
    smaller, cut = prune_width(config, params, kept)
    assert (smaller.heads, smaller.kv_heads, smaller.mlp_width, smaller.width) == (2, 1, 2, 3)
    assert smaller.head_dim == config.head_dim
    blocks, whole = cut["blocks"], params["blocks"]
    np.testing.assert_array_equal(cut["embedding"], params["embedding"][:, [2, 3, 9]])
    attention, whole_attention = blocks["attention"], whole["attention"]
    for layer, (group, heads, units) in enumerate([(1, [2, 3], [1, 4]), (0, [0, 1], [0, 23])]):
        channels = [2, 3, 9]
        query, key = whole_attention["query"]["kernel"][layer], whole_attention["key"]["kernel"][layer]
        np.testing.assert_array_equal(attention["query"]["kernel"][layer], query[channels][:, heads])
        np.testing.assert_array_equal(attention["key"]["kernel"][layer], key[channels][:, [group]])
        output = whole_attention["output"]["kernel"][layer]
        np.testing.assert_array_equal(attention["output"]["kernel"][layer], output[heads][..., channels])
        up, down = whole["mlp"]["up"]["kernel"][layer], whole["mlp"]["down"]["kernel"][layer]
        np.testing.assert_array_equal(blocks["mlp"]["up"]["kernel"][layer], up[channels][:, units])
        np.testing.assert_array_equal(blocks["mlp"]["down"]["kernel"][layer], down[units][:, channels])
    scale = whole["mlp_norm"]["scale"][:, [2, 3, 9]]
    np.testing.assert_allclose(blocks["mlp_norm"]["scale"], scale * np.sqrt(16 / 3), rtol=1e-6)
    assert smaller.norm_eps == pytest.approx(config.norm_eps * 16 / 3)


def test_the_parameters_are_those_of_the_smaller_config(config):
    group = config.heads // config.kv_heads
    kept = most_important(config, importance_of(config), heads=group, mlp_width=10, width=8)
    smaller, cut = prune_width(config, tiny.random_params(config), kept)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), cut) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), decoder.abstract(smaller)
    )


def test_a_cut_to_the_full_width_is_the_model_itself(config):
    params = tiny.random_params(config)
    same, cut = prune_width(config, params, most_important(config, importance_of(config)))
    assert same == config
    jax.tree.map(np.testing.assert_array_equal, cut, params)


def test_units_and_heads_that_do_nothing_can_be_left_out(config):
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    group = config.heads // config.kv_heads
    attention, mlp = params["blocks"]["attention"], params["blocks"]["mlp"]
    mlp["down"]["kernel"][:, :14] = 0
    attention["output"]["kernel"][:, :group] = 0
    kept = most_important(config, importance_of(config), heads=config.heads - group, mlp_width=10)
    smaller, cut = prune_width(config, params, kept)
    np.testing.assert_allclose(tiny.logits(smaller, cut, tokens), tiny.logits(config, params, tokens), atol=1e-5)


def without_channels(config, params, channels):
    """The same parameters, with these channels of the residual stream at 0 everywhere."""
    params["embedding"][:, channels] = 0
    attention, mlp = params["blocks"]["attention"]["output"], params["blocks"]["mlp"]["down"]
    for linear in (attention, mlp):
        linear["kernel"][..., channels] = 0
        if "bias" in linear:
            linear["bias"][..., channels] = 0
    return params


@pytest.mark.parametrize("name", ["llama", "untied", "gemma"])
def test_channels_that_are_zero_can_be_left_out(name):
    config = CONFIGS[name]
    params = without_channels(config, tiny.random_params(config), slice(0, 6))
    tokens = tiny.random_tokens(config, 2, 6)
    kept = most_important(config, importance_of(config), width=10)
    smaller, cut = prune_width(config, params, kept)
    # eps of the norms within heads grows with that of the others: 1e-5 / 2 of their size.
    np.testing.assert_allclose(tiny.logits(smaller, cut, tokens), tiny.logits(config, params, tokens), atol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"heads": 3}, r"heads must be a multiple of 2, the query heads that read one key/value head, got 3\."),
        ({"heads": 0}, r"heads must be between 1 and the model's 4, got 0\."),
        ({"mlp_width": 25}, r"mlp_width must be between 1 and the model's 24, got 25\. Pruning cannot enlarge a model"),
        ({"width": 17}, r"width must be between 1 and the model's 16, got 17\."),
    ],
)
def test_sizes_that_cannot_be_kept_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        most_important(tiny.LLAMA, importance_of(tiny.LLAMA), **sizes)
