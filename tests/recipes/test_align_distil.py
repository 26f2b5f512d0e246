"""AlignDistil: a student against what a DPO model and its reverse make together."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from jaxkd.distillation import forward
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import huggingface
from jaxkd.recipes.align_distil import AlignDistil
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.runtime import configs
from jaxkd.runtime.trained_params import origins, write_origins
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache
from jaxkd.tokenizers import vocabulary
from jaxkd.training.stage_folder import read_evaluations
from tests.recipes import numpy_losses as oracle
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_and_gradient_on, loss_and_gradients, weights_by_numpy


@pytest.fixture(scope="module")
def reverse(tiny_folder, tmp_path_factory):
    """A checkpoint of the tiny model's shape, its parameters a little away from it."""
    start = Pretrained(path=str(tiny_folder))
    random = np.random.default_rng(3)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * leaf.std() * random.normal(size=leaf.shape), start.load())
    params = jax.tree.map(np.float32, params)
    folder = tmp_path_factory.mktemp("reverse") / "model"
    huggingface.save(folder, start.config(), params, tokenizer=start.tokenizer())
    return Pretrained(path=str(folder))


@pytest.fixture
def recipe(tiny, reverse):
    return AlignDistil(student=tiny.narrow, teacher=tiny.teacher, reverse=reverse, data=tiny.text)


def logits(checkpoint, batch, size):
    """Logits of the first tokens at the batch's targets, from a loaded checkpoint."""
    return oracle.logits(oracle.hiddens(checkpoint.config(), checkpoint.load(), batch), size)


OPTIONS = [
    {},
    {"reward": "vanilla", "scale": 2.0, "floor": 0.1, "kd_rate": 0.75},
    {"scale": 0.0, "floor": 1.5, "beta": 0.4, "mean": "tokens"},
    {"shift": "reference"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_formula_on_all_logits(tiny, recipe, tiny_batch, options):
    recipe, batch = dataclasses.replace(recipe, **options), tiny_batch
    recipe.validate()
    value, output, gradients, _ = loss_and_gradients(recipe, batch)
    if recipe.shift == "reference":
        batch = dataclasses.replace(batch, target_positions=batch.target_positions + batch.loss_mask)
    size = vocabulary.common_prefix_size(tiny.narrow, tiny.teacher)
    z_q, z_1, z_2 = (logits(model, batch, size) for model in (tiny.narrow, tiny.teacher, recipe.reverse))
    p_1, p_2 = (np.exp(oracle.log_softmax(z)) for z in (z_1, z_2))
    distance = np.abs(p_1 - p_2).sum(-1) / 2
    strength = recipe.scale * distance + recipe.floor
    ours = strength if recipe.reward == "vanilla" else 1 + strength
    nats = oracle.reverse_kl(z_q, ours[..., None] * z_1 + (1 - ours[..., None]) * z_2) * recipe.beta / strength
    mask, ids = batch.loss_mask, batch.example_ids
    if recipe.mean == "answers":
        answers = {(row, index) for row, index in zip(np.nonzero(mask)[0], ids[mask], strict=True)}
        expected = np.mean([nats[row][mask[row] & (ids[row] == index)].mean() for row, index in answers])
    else:
        expected = nats[mask].mean()
    gold = oracle.cross_entropy(z_q, batch.labels)[mask].mean()
    expected = recipe.kd_rate * expected + (1 - recipe.kd_rate) * gold
    assert value == pytest.approx(expected, rel=1e-4)
    apart = distance[mask].mean() if recipe.scale else 0.0
    assert float(output.metrics["distance"].value()) == pytest.approx(apart, rel=1e-3)
    assert 0 <= float(output.metrics["at_floor"].value()) <= 1
    assert all_zero(gradients[1]), "nothing to the DPO model or its reverse"


def test_the_reference_positions_are_those_of_the_labels(recipe, tiny_batch, monkeypatch):
    """Prompt of n tokens, L in all: n - 1 to L - 2 in the paper, n to L - 1 in the reference code."""
    real, mask = forward.hiddens, tiny_batch.loss_mask

    def positions(shifted):
        seen = []

        def spied(architecture, params, batch, **options):
            seen.append(batch.target_positions)
            return real(architecture, params, batch, **options)

        monkeypatch.setattr(forward, "hiddens", spied)

        def of_batch(variables, batch):
            shifted.loss(variables, batch, shifted.counts(batch), jax.random.key(0))
            return seen

        return jax.jit(of_batch)(initial(recipe), tiny_batch)

    for shift, later in (("paper", 0), ("reference", 1)):
        found = positions(dataclasses.replace(recipe, shift=shift))
        assert len(found) == 3
        for one in found:
            np.testing.assert_array_equal(np.asarray(one)[mask], (tiny_batch.target_positions + later)[mask])
        labels = np.take_along_axis(tiny_batch.tokens, tiny_batch.target_positions + 1, axis=1)
        np.testing.assert_array_equal(labels[mask], tiny_batch.labels[mask])


def test_micro_batches_add_up(recipe, tiny_batch):
    """Half of the rows at a time beside empty ones, divided by the counts of all."""
    counts, upper = recipe.counts(jax.device_put(tiny_batch)), np.arange(len(tiny_batch.tokens)) < 4
    whole, *halves = (
        loss_and_gradients(recipe, jax.tree.map(lambda leaf, rows=rows: leaf * rows[:, None], tiny_batch), counts)
        for rows in (np.ones_like(upper), upper, ~upper)
    )
    assert halves[0][0] + halves[1][0] == pytest.approx(float(whole[0]), rel=1e-5)
    added = jax.tree.map(np.add, halves[0][2][0], halves[1][2][0])
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
    for name, params in initial(cached).frozen.items():
        assert len(jax.tree.leaves(params)) < len(jax.tree.leaves(whole[name].load()))
    expected, found = loss_and_gradients(recipe, tiny_batch), loss_and_gradients(cached, filled)
    assert found[0] == pytest.approx(float(expected[0]), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), found[2][0], expected[2][0])


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 1, 8)])
def test_eight_devices_equal_one(recipe, tiny_batch, sizes):
    value, _, (gradient, _), _ = loss_and_gradients(recipe, tiny_batch)
    found = loss_and_gradient_on(MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2]), recipe, tiny_batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), found, (value, gradient))


@pytest.mark.parametrize("on_policy", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_run_learns_on_answers_of_the_data_and_on_its_own(tiny, recipe, tmp_path, on_policy):
    wrapped = OnPolicy(recipe=recipe, cross_entropy="none", max_new_tokens=6) if on_policy else recipe
    assert configs.decode(configs.encode(wrapped)) == wrapped
    changes = {"mesh": MeshShape(data=1), "validation": (), "evaluators": (tiny.bits_per_byte(),)}
    tiny.train(wrapped, steps=3, **changes).run(tmp_path, seed=0, stages={})
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
    with weights_by_numpy():
        assert recipe.abstract().frozen.keys() == initial(recipe).frozen.keys() == recipe.load_frozen().keys()
    assert "trainable" in tiny.train(recipe, mesh=MeshShape(data=1)).plan().description


def test_a_contrast_of_two_references_is_refused(tiny, tiny_preferences, recipe, tmp_path):
    changes = {"mesh": MeshShape(data=1), "validation": (), "evaluators": ()}
    train = tiny.train(DPO(student=tiny.teacher, data=tiny_preferences), steps=2, **changes)
    train.run(tmp_path / "dpo", seed=0, stages={})
    assert origins(tmp_path / "dpo") == {"reference": tiny.teacher.fingerprint()}
    # The others differ in nothing that is read here but their references.
    for name, reference in (("reverse", tiny.teacher), ("elsewhere", recipe.reverse)):
        shutil.copytree(tmp_path / "dpo", tmp_path / name)
        write_origins(tmp_path / name, {"reference": reference.fingerprint()})
    runs = {
        name: dataclasses.replace(tiny.teacher, trained=str(tmp_path / name))
        for name in ("dpo", "reverse", "elsewhere")
    }
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
