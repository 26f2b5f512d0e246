"""Padding that holds NaN: neither the loss of a recipe nor a gradient to anything that is trained notices it."""

import dataclasses
import unittest.mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.models.transformer import decoder
from jaxkd.recipes.align_distil import AlignDistil
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.feature_kd import FeatureKD
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.records import PairedBatch, PreferenceBatch
from tests.recipes import paired_batches
from tests.tiny_runs import initial


def one_vocabulary(method):
    return lambda tiny, _: method(student=tiny.narrow, teacher=tiny.teacher, data=tiny.text)


def two_vocabularies(method):
    return lambda tiny, _: tiny.cross(method)


RECIPES = {
    "SFT": lambda tiny, _: SFT(student=tiny.narrow, data=tiny.text),
    **{method.__name__: one_vocabulary(method) for method in (LogitKD, DSKD, DSKDv2, FeatureKD)},
    **{method.__name__: two_vocabularies(method) for method in (DSKDCrossAttention, DSKDv2ETA, ULD, MinED, ALM, GOLD)},
    "AlignDistil": lambda tiny, _: AlignDistil(
        student=tiny.student, teacher=tiny.teacher, reverse=tiny.student, data=tiny.text
    ),
    "DPO": lambda tiny, pairs: DPO(student=tiny.narrow, reference=tiny.narrow, data=pairs),
}

PROJECTING = ("DSKD", "DSKDv2", "FeatureKD", "DSKDCrossAttention", "DSKDv2ETA")
"""Recipes whose projectors read the hidden states of padding; the others differ in the kernel behind their mask."""


@pytest.fixture(scope="module")
def batches(tiny, tiny_batch, tiny_preferences):
    pairs = next(iter(tiny_preferences.training_stream("train", tiny.teacher.tokenizer(), 0)))
    return tiny_batch, paired_batches.first(tiny), pairs


def sides(batch):
    match batch:
        case PairedBatch():
            return batch.student, batch.teacher
        case PreferenceBatch():
            return (batch.answers,)
        case _:
            return (batch,)


def differentiated(recipe):
    """Loss and gradient of a batch whose first column of hidden states is filled with a number."""
    variables = initial(recipe)
    hidden_states, layer_outputs = decoder.hidden_states, forward.layer_outputs

    def loss(params, batch, fill):
        def filled(*args, **kwargs):
            return hidden_states(*args, **kwargs).at[:, 0].set(fill)

        def layers_filled(*args, **kwargs):
            outputs = layer_outputs(*args, **kwargs)
            return dataclasses.replace(outputs, hiddens=outputs.hiddens.at[:, :, 0].set(fill))

        given = variables.replace(params=params)
        given = given.replace(derived=jax.lax.stop_gradient(recipe.prepare(given)))
        with (
            unittest.mock.patch.object(decoder, "hidden_states", filled),
            unittest.mock.patch.object(forward, "layer_outputs", layers_filled),
        ):
            return recipe.loss(given, batch, recipe.counts(batch), jax.random.key(1)).loss

    compiled = jax.jit(jax.value_and_grad(loss))
    return lambda batch, fill: jax.device_get(compiled(variables.params, batch, fill))


@pytest.mark.parametrize(
    "name", [name if name in PROJECTING else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_nan_in_padding_reaches_no_gradient(tiny, tiny_preferences, batches, name):
    recipe = RECIPES[name](tiny, tiny_preferences)
    kind = type(recipe.abstract_batch())
    (batch,) = (batch for batch in batches if type(batch) is kind)
    # Padding among the targets is taken from the first column, where no answer begins.
    for side in sides(batch):
        assert not side.loss_mask.all()
        assert (side.target_positions[~side.loss_mask] == 0).all()
        assert (side.target_positions[side.loss_mask] > 0).all()
    loss_and_gradient = differentiated(recipe)
    found, expected = loss_and_gradient(batch, jnp.nan), loss_and_gradient(batch, 1.0)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
