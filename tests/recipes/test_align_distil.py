"""AlignDistil: a student against what a DPO model and its reverse make together."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import config, forward
from jaxkd import mesh as meshes
from jaxkd.cache_teacher import Cache
from jaxkd.data import vocabulary
from jaxkd.kernels import head_logits
from jaxkd.losses.divergence import reverse_kl
from jaxkd.mesh import MeshShape
from jaxkd.models import decoder, huggingface
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipes.align_distil import AlignDistil
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.stage import read_evaluations
from jaxkd.trained import origins
from tests.tiny_runs import loss_and_gradients


@pytest.fixture(scope="module")
def reverse(tiny_folder, tmp_path_factory):
    """Of the tiny model's shape, a little away from it."""
    start = Pretrained(path=str(tiny_folder))
    noise = iter(jax.random.split(jax.random.key(3), 100))
    params = jax.tree.map(
        lambda leaf: leaf + 0.05 * jnp.std(leaf) * jax.random.normal(next(noise), leaf.shape), start.load()
    )
    folder = tmp_path_factory.mktemp("reverse") / "model"
    huggingface.save(folder, start.config(), params, tokenizer=start.tokenizer())
    return Pretrained(path=str(folder))


@pytest.fixture
def recipe(tiny, reverse):
    return AlignDistil(student=tiny.narrow, teacher=tiny.teacher, reverse=reverse, data=tiny.text)


def logits(checkpoint, batch):
    """At the batch's targets, of a loaded checkpoint."""
    params = jax.tree.map(jnp.asarray, checkpoint.load())
    states = decoder.hidden_states(
        checkpoint.config(), params, batch.tokens, positions=batch.positions, segment_ids=batch.segment_ids
    )
    values = jnp.take_along_axis(states, batch.target_positions[..., None], axis=1)
    return head_logits(forward.Hiddens(values=values, head=decoder.head(checkpoint.config(), params)))


OPTIONS = [
    {},
    {"reward": "vanilla", "scale": 2.0, "floor": 0.1},
    {"scale": 0.0, "floor": 1.5, "beta": 0.4, "mean": "tokens"},
    {"kd_rate": 0.75},
    {"shift": "reference"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_formula_on_all_logits(tiny, recipe, tiny_batch, options):
    recipe = dataclasses.replace(recipe, **options)
    recipe.validate()
    value, output, gradients, _ = loss_and_gradients(recipe, tiny_batch)
    batch = jax.tree.map(jnp.asarray, tiny_batch)
    if recipe.shift == "reference":
        batch = dataclasses.replace(batch, target_positions=batch.target_positions + batch.loss_mask)
    size = vocabulary.compared_size(tiny.narrow, tiny.teacher)
    z_q, z_1, z_2 = (logits(model, batch)[..., :size] for model in (tiny.narrow, tiny.teacher, recipe.reverse))
    distance = jnp.abs(jax.nn.softmax(z_1) - jax.nn.softmax(z_2)).sum(-1) / 2
    strength = recipe.scale * distance + recipe.floor
    ours = strength if recipe.reward == "vanilla" else 1 + strength
    nats = reverse_kl(z_q, ours[..., None] * z_1 + (1 - ours[..., None]) * z_2) * recipe.beta / strength
    nats, mask, ids = (np.asarray(one) for one in (nats, batch.loss_mask, batch.example_ids))
    if recipe.mean == "answers":
        answers = {(row, index) for row, index in zip(np.nonzero(mask)[0], ids[mask], strict=True)}
        expected = np.mean([nats[row][mask[row] & (ids[row] == index)].mean() for row, index in answers])
    else:
        expected = nats[mask].mean()
    gold = -np.take_along_axis(np.asarray(jax.nn.log_softmax(z_q)), np.asarray(batch.labels)[..., None], -1)[mask]
    expected = recipe.kd_rate * expected + (1 - recipe.kd_rate) * gold.mean()
    assert value == pytest.approx(expected, rel=1e-4)
    apart = np.asarray(distance)[mask].mean() if recipe.scale else 0.0
    assert float(output.metrics["distance"].value()) == pytest.approx(apart, rel=1e-3)
    assert 0 <= float(output.metrics["at_floor"].value()) <= 1
    # None to the DPO model or its reverse.
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients[1]) if leaf.dtype == jnp.float32)


def test_the_reference_positions_are_those_of_the_labels(recipe, tiny_batch, monkeypatch):
    """Prompt of n tokens, L in all: n - 1 to L - 2 in the paper, n to L - 1 in the reference code."""
    seen = []
    real = forward.hiddens

    def spied(architecture, params, batch, **options):
        seen.append(np.asarray(batch.target_positions))
        return real(architecture, params, batch, **options)

    monkeypatch.setattr(forward, "hiddens", spied)
    batch = jax.tree.map(jnp.asarray, tiny_batch)
    variables = recipe.init(jax.random.key(0))
    for shift, later in (("paper", 0), ("reference", 1)):
        seen.clear()
        shifted = dataclasses.replace(recipe, shift=shift)
        shifted.loss(variables, batch, shifted.counts(batch), jax.random.key(0))
        for found in seen:
            np.testing.assert_array_equal(
                found[tiny_batch.loss_mask], (tiny_batch.target_positions + later)[tiny_batch.loss_mask]
            )
        labels = np.take_along_axis(tiny_batch.tokens, tiny_batch.target_positions + 1, axis=1)
        np.testing.assert_array_equal(labels[tiny_batch.loss_mask], tiny_batch.labels[tiny_batch.loss_mask])


def test_micro_batches_add_up(recipe, tiny_batch):
    counts = recipe.counts(jax.tree.map(jnp.asarray, tiny_batch))
    whole = loss_and_gradients(recipe, tiny_batch)
    halves = [
        loss_and_gradients(recipe, jax.tree.map(lambda leaf, rows=rows: leaf[rows], tiny_batch), counts)
        for rows in (slice(0, 4), slice(4, 8))
    ]
    assert halves[0][0] + halves[1][0] == pytest.approx(float(whole[0]), rel=1e-5)
    added = jax.tree.map(jnp.add, halves[0][2][0], halves[1][2][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), added, whole[2][0])


def test_caches_of_both_models_give_the_same_loss(tiny, recipe, tiny_batch, reverse, tmp_path):
    for name, model in (("first", tiny.teacher), ("second", reverse)):
        Cache(name=name, model=model, data=tiny.text, mesh=MeshShape(data=1)).run(tmp_path / name, seed=0, stages={})
    cached = dataclasses.replace(recipe, teacher_cache=str(tmp_path / "first"), reverse_cache=str(tmp_path / "second"))
    cached.validate()
    filled = next(iter(cached.batches("train", 0)))
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), cached.abstract_batch())
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), filled) == described
    whole = {"teacher": tiny.teacher, "reverse": reverse}
    for name, params in cached.init(jax.random.key(0)).frozen.items():
        assert len(jax.tree.leaves(params)) < len(jax.tree.leaves(whole[name].load()))
    expected, found = loss_and_gradients(recipe, tiny_batch), loss_and_gradients(cached, filled)
    assert found[0] == pytest.approx(float(expected[0]), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), found[2][0], expected[2][0])


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 1, 8)])
def test_eight_devices_equal_one(recipe, tiny_batch, sizes):
    def loss_on(shape):
        with jax.set_mesh(meshes.make(shape)):
            variables = recipe.init(jax.random.key(0))
            placed = meshes.on_ambient(tiny_batch)

            def loss(params):
                given = variables.replace(params=params)
                return recipe.loss(given, placed, recipe.counts(placed), jax.random.key(1)).loss

            return jax.device_get(jax.jit(jax.value_and_grad(loss))(variables.params))

    found, expected = loss_on(MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2])), loss_on(MeshShape(data=1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), found, expected)


@pytest.mark.parametrize("on_policy", [False, True])
def test_a_run_learns_on_answers_of_the_data_and_on_its_own(tiny, recipe, tmp_path, on_policy):
    wrapped = OnPolicy(recipe=recipe, cross_entropy="none", max_new_tokens=6) if on_policy else recipe
    assert config.decode(config.encode(wrapped)) == wrapped
    train = tiny.train(wrapped, steps=3)
    train.run(tmp_path, seed=0, stages={})
    assert np.isfinite(read_evaluations(tmp_path)["bits_per_byte"].metrics["bits_per_byte"])


def test_bad_choices_are_refused(tiny, recipe):
    cases = [
        ({"scale": -1.0}, r"scale must be 0 or more, got -1\.0"),
        ({"floor": 0.0}, r"floor must be > 0, got 0\.0"),
        ({"beta": -0.1}, r"beta must be > 0, got -0\.1"),
        ({"reward": "both"}, r"reward must be one of vanilla, contrastive, got 'both'"),
        ({"mean": "rows"}, r"mean must be one of answers, tokens, got 'rows'"),
        ({"shift": "left"}, r"shift must be one of paper, reference, got 'left'"),
        ({"teacher_cache": "x"}, r"teacher_cache and reverse_cache must be given together, got 'x' and None"),
        ({"shift": "reference", "kd_rate": 0.5}, r'kd_rate must be 1 and teachers live with shift="reference"'),
        ({"reverse": tiny.foreign}, r"must share one vocabulary in AlignDistil"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(recipe, **changes).validate()
    assert "reverse:" in recipe.provenance()


def test_it_is_planned_without_weights(tiny, recipe):
    described, real = recipe.abstract(), recipe.init(jax.random.key(0))
    assert described.frozen.keys() == real.frozen.keys() == recipe.load_frozen().keys()
    assert "trainable" in tiny.train(recipe).plan()


def test_a_contrast_of_two_references_is_refused(tiny, tiny_preferences, recipe, tmp_path):
    runs = {}
    for name, prefer, start in [
        ("dpo", "chosen", tiny.teacher),
        ("reverse", "rejected", tiny.teacher),
        ("elsewhere", "rejected", recipe.reverse),
    ]:
        train = tiny.train(DPO(student=start, data=tiny_preferences, prefer=prefer), steps=2)
        train.run(tmp_path / name, seed=0, stages={})
        runs[name] = dataclasses.replace(tiny.teacher, trained=str(tmp_path / name))
    assert origins(tmp_path / "dpo") == {"reference": tiny.teacher.fingerprint()}
    good = dataclasses.replace(recipe, teacher=runs["dpo"], reverse=runs["reverse"])
    good.init(jax.random.key(0))
    bad = dataclasses.replace(good, reverse=runs["elsewhere"])
    message = (
        r"teacher and reverse must have been trained against one reference, got \S+dpo with \w{64} and \S+elsewhere"
    )
    for start in (lambda: bad.init(jax.random.key(0)), bad.load_frozen):
        with pytest.raises(ValueError, match=message):
            start()
    # The reference itself has none, and neither has a model that was trained elsewhere.
    dataclasses.replace(bad, reward="vanilla").load_frozen()
    dataclasses.replace(bad, reverse=recipe.reverse).load_frozen()
