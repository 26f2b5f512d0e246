import dataclasses

import numpy as np
import pytest

from jaxkd.models.surgery import activation_importance, most_important, prune_width
from jaxkd.records import TokenBatch
from tests.models import tiny


def batch_of(tokens, segment_ids=None):
    rows, length = tokens.shape
    none = np.zeros((rows, 1), np.int32)
    return TokenBatch(
        tokens=tokens,
        positions=np.tile(np.arange(length, dtype=np.int32), (rows, 1)),
        segment_ids=np.ones_like(tokens) if segment_ids is None else segment_ids,
        target_positions=none,
        labels=none,
        loss_mask=none > 0,
        example_ids=none,
    )


@pytest.mark.parametrize("statistic", ["mean_absolute", "root_mean_square"])
def test_the_first_layer_by_hand(statistic):
    """One token: it attends to itself alone, so that a head's result is its value."""
    config = dataclasses.replace(tiny.GPT2, depth=1, norm="rms", query_key_value_bias=False, mlp_bias=False)
    config = dataclasses.replace(config, output_bias=False, activation="relu")
    params = tiny.random_params(config)
    tokens = np.array([[5], [9]], np.int32)
    importance = activation_importance(config, params, [batch_of(tokens)], statistic=statistic)

    def normed(values, scale):
        return values / np.sqrt((values**2).mean(-1, keepdims=True) + config.norm_eps) * scale

    def aggregated(values):
        if statistic == "mean_absolute":
            return np.abs(values).mean(0)
        return np.sqrt((values**2).mean(0))

    blocks = params["blocks"]
    stream = (params["embedding"][tokens[:, 0]] + params["positions"][0]).astype(np.float64)
    first = normed(stream, blocks["attention_norm"]["scale"][0])
    heads = np.einsum("nd,dhk->nhk", first, blocks["attention"]["value"]["kernel"][0])
    stream = stream + np.einsum("nhk,hkd->nd", heads, blocks["attention"]["output"]["kernel"][0])
    second = normed(stream, blocks["mlp_norm"]["scale"][0])
    units = np.maximum(second @ blocks["mlp"]["up"]["kernel"][0], 0)
    last = normed(stream + units @ blocks["mlp"]["down"]["kernel"][0], params["final_norm"]["scale"])
    np.testing.assert_allclose(importance.heads[0], aggregated(np.linalg.norm(heads, axis=-1)), rtol=1e-5)
    np.testing.assert_allclose(importance.neurons[0], aggregated(units), rtol=1e-4, atol=1e-5)
    channels = sum(aggregated(part) for part in (first, second, last))
    np.testing.assert_allclose(importance.channels, channels, rtol=1e-5)


def test_padding_and_the_cut_into_batches_change_nothing():
    config, params = tiny.LLAMA, tiny.random_params(tiny.LLAMA)
    tokens = tiny.random_tokens(config, 4, 6)
    whole = activation_importance(config, params, [batch_of(tokens)])
    padded = np.pad(tokens, ((0, 0), (0, 2)))
    segment_ids = np.pad(np.ones_like(tokens), ((0, 0), (0, 2)))
    parts = [batch_of(padded[rows], segment_ids[rows]) for rows in (slice(0, 1), slice(1, 4))]
    together = activation_importance(config, params, parts)
    for name in ("heads", "neurons", "channels"):
        np.testing.assert_allclose(getattr(together, name), getattr(whole, name), rtol=1e-5)


@pytest.mark.parametrize("config", [tiny.LLAMA, tiny.GPT2], ids=["llama", "gpt2"])
def test_what_does_nothing_is_found_and_leaving_it_out_changes_no_logit(config):
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    random = np.random.default_rng(0)
    idle_units = np.sort(random.permutation(config.mlp_width)[:14])
    idle_group = 1
    group = config.heads // config.kv_heads
    mlp, attention = params["blocks"]["mlp"], params["blocks"]["attention"]
    for linear in (mlp["up"], attention["value"]):
        idle = idle_units if linear is mlp["up"] else idle_group
        for leaf in linear.values():
            # Axes after the layers: [d, f] and [f], [d, kv_heads, head_dim] and [kv_heads, head_dim].
            leaf[(slice(None),) * (leaf.ndim - (1 if linear is mlp["up"] else 2)) + (idle,)] = 0
    importance = activation_importance(config, params, [batch_of(tokens)])
    kept = most_important(config, importance, heads=config.heads - group, mlp_width=10)
    assert not np.isin(kept.neurons, idle_units).any()
    assert not (kept.groups == idle_group).any()
    smaller, cut = prune_width(config, params, kept)
    np.testing.assert_allclose(tiny.logits(smaller, cut, tokens), tiny.logits(config, params, tokens), atol=1e-5)


def test_batches_without_a_token_are_refused():
    empty = batch_of(np.zeros((1, 4), np.int32), np.zeros((1, 4), np.int32))
    for batches in ([], [empty]):
        with pytest.raises(ValueError, match="batches must hold at least one token that is not padding, got none"):
            activation_importance(tiny.LLAMA, tiny.random_params(tiny.LLAMA), batches)


def test_an_unknown_statistic_is_refused(unchecked_shapes):
    with pytest.raises(ValueError, match="statistic must be one of mean_absolute, root_mean_square, got 'median'"):
        activation_importance(tiny.LLAMA, {}, [], statistic="median")
