"""FeatureKD against its formula in float64, what gets a gradient, and what is refused."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.models import LoRA
from jaxkd.recipes.feature_kd import FeatureKD
from tests.recipes import numpy_losses as oracle
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_and_gradients

PAIRS = ((1, 1), (2, 2))


@pytest.fixture
def recipe(tiny):
    return FeatureKD(student=tiny.narrow, teacher=tiny.teacher, data=tiny.text, kd_rate=0.3, layers=PAIRS)


def float64(leaf):
    return np.asarray(leaf, np.float64)


def layers_of(model, params, batch):
    """Final hidden states, and of both layers the hidden states and the attention scores at the targets, in float64."""
    final, found = _layer_hiddens(model.config(), params, batch)
    scores = np.moveaxis(float64(found.attention), 2, 3)[:, batch.loss_mask]  # [n targets heads t]
    return final, float64(found.hiddens)[:, batch.loss_mask], scores


_layer_hiddens = jax.jit(functools.partial(forward.layer_hiddens, layers=[1, 2], tap="scores"), static_argnums=0)


def distances(name, ours, theirs):
    lengths = [np.linalg.norm(states, axis=-1, keepdims=True) for states in (ours, theirs)]
    match name:
        case "mse":
            return ((ours - theirs) ** 2).mean(-1)
        case "unit mse":
            return ((ours / lengths[0] - theirs / lengths[1]) ** 2).mean(-1)
        case "cosine":
            return 1 - (ours / lengths[0] * theirs / lengths[1]).sum(-1)


@pytest.mark.parametrize(
    ("distance", "attention_rate", "heads"),
    [("cosine", 0.0, "matched"), ("mse", 0.5, "matched"), ("unit mse", 2.0, "mean")],
)
def test_it_equals_float64_numpy(recipe, tiny_batch, distance, attention_rate, heads):
    recipe = dataclasses.replace(recipe, distance=distance, attention_rate=attention_rate, attention_heads=heads)
    recipe.validate()
    value, output, _, variables = loss_and_gradients(recipe, tiny_batch)
    student, ours, our_scores = layers_of(recipe.student, variables.params["student"], tiny_batch)
    _, theirs, their_scores = layers_of(recipe.teacher, variables.frozen["teacher"], tiny_batch)
    projected = np.stack(
        [states @ float64(variables.params["projectors"][f"pair_{i}"]["weight"]) for i, states in enumerate(ours)]
    )
    hidden = distances(distance, projected, theirs).mean()
    probs = [np.exp(oracle.log_softmax(scores)) for scores in (our_scores, their_scores)]
    if heads == "mean":
        probs = [one.mean(-2, keepdims=True) for one in probs]
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = np.where(probs[1] > 0, probs[1] * (np.log(probs[1]) - np.log(probs[0])), 0).sum(-1).mean()
    gold = oracle.cross_entropy(oracle.logits(student), tiny_batch.labels)[tiny_batch.loss_mask].mean()
    np.testing.assert_allclose(value, 0.7 * gold + 0.3 * (hidden + attention_rate * nats), rtol=2e-6)
    np.testing.assert_allclose(output.metrics["hidden_distance"].value(), hidden, rtol=2e-6)
    assert ("attention_divergence" in output.metrics) == (attention_rate > 0)


def test_the_student_and_the_projectors_learn_and_the_teacher_does_not(recipe, tiny_batch):
    scrambled = dataclasses.replace(tiny_batch, tokens=np.where(tiny_batch.segment_ids == 0, 7, tiny_batch.tokens))
    recipe = dataclasses.replace(recipe, distance="mse", attention_rate=0.5)
    (value, _, (to_params, to_frozen), _), (other, _, _, _) = (
        loss_and_gradients(recipe, one) for one in (tiny_batch, scrambled)
    )
    assert all_zero(to_frozen)
    assert not all_zero(to_params["student"]["blocks"])
    assert all(not all_zero(tree) for tree in to_params["projectors"].values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(to_params))
    np.testing.assert_allclose(value, other, rtol=1e-6)


def test_a_student_that_is_its_teacher_has_nothing_to_imitate(tiny, tiny_batch):
    recipe = FeatureKD(student=tiny.teacher, teacher=tiny.teacher, data=tiny.text, attention_rate=1.0)
    value, output, _, variables = loss_and_gradients(recipe, tiny_batch)
    assert set(variables.params) == {"student"}
    np.testing.assert_allclose(value, 0.5 * output.metrics["cross_entropy"].value(), rtol=1e-5)


def test_abstract_variables_describe_the_real_ones(recipe):
    recipe = dataclasses.replace(recipe, lora=LoRA(rank=2))
    described, real = (
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (variables.params, variables.frozen))
        for variables in (recipe.abstract(), initial(recipe))
    )
    assert described == real


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"teacher_cache": "runs/cache"},
            "teacher_cache must be None in FeatureKD, got 'runs/cache'. A cache holds the",
        ),
        ({"attention_rate": -1.0}, "attention_rate must be at least 0, got -1.0"),
        ({"distance": "l1"}, "distance must be one of cosine, mse, unit mse, got 'l1'"),
        ({"attention_heads": "best"}, "attention_heads must be one of matched, mean, got 'best'"),
        ({"layers": ((1, 3),)}, r"layers must be between 0 and the depth of each model, 2 and 2, got \[\(1, 3\)\]"),
        ({"layers": ((0, 0),), "attention_rate": 1.0}, r"layers must be between 1 and .*0 is the embedding"),
    ],
)
def test_what_cannot_work_is_refused(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(recipe, **changes).validate()
