"""DSKD and DSKDv2 against float64 re-derivations, their limits, their gradient maps and what must not matter."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import projector
from jaxkd.distillation import forward
from jaxkd.losses import ForwardKL, ReverseKL
from jaxkd.models import LoRA
from jaxkd.sharding import MeshShape
from tests.recipes import numpy_losses as oracle
from tests.recipes.paired_batches import all_zero
from tests.tiny_runs import initial, loss_alone, loss_and_gradient_on, loss_and_gradients

METHODS = pytest.mark.parametrize("method", ["dskd", "dskdv2"])


def build(tiny, method, **changes):
    """One recipe for all that does not depend on its options, so that it is compiled once."""
    return getattr(tiny, method)(**{"kd_rate": 0.3, "divergence": ReverseKL(temperature=1.5)} | changes)


def both_hiddens(recipe, variables, batch):
    student = oracle.hiddens(recipe.student.config(), variables.params["student"], batch)
    return student, oracle.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch)


def mean(values, batch):
    return values[np.asarray(batch.loss_mask)].mean()


def test_the_first_version_equals_float64_numpy(tiny, tiny_batch):
    recipe, batch = build(tiny, "dskd"), tiny_batch
    value, output, _, variables = loss_and_gradients(recipe, batch)
    student, teacher = both_hiddens(recipe, variables, batch)
    projectors = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables.params["projectors"])
    t2s_hiddens = np.asarray(teacher.values, np.float64) @ projectors["t2s"]["weight"] + projectors["t2s"]["bias"]
    s2t_hiddens = np.asarray(student.values, np.float64) @ projectors["s2t"]["weight"] + projectors["s2t"]["bias"]
    t2s = t2s_hiddens @ np.asarray(student.head.weight, np.float64).T
    s2t = s2t_hiddens @ np.asarray(teacher.head.weight, np.float64).T
    q, p = oracle.logits(student), oracle.logits(teacher)
    terms = {
        "cross_entropy": mean(oracle.cross_entropy(q, batch.labels), batch),
        "t2s_cross_entropy": mean(oracle.cross_entropy(t2s, batch.labels), batch),
        "t2s_divergence": mean(oracle.reverse_kl(q, t2s, 1.5), batch),
        "s2t_divergence": mean(oracle.forward_kl(s2t, p, 1.5), batch),
    }
    for name, expected in terms.items():
        np.testing.assert_allclose(output.metrics[name].value(), expected, rtol=2e-6)
    dual = sum(terms.values()) - terms["cross_entropy"]
    np.testing.assert_allclose(value, 0.7 * terms["cross_entropy"] + 0.3 * dual, rtol=1e-6)
    np.testing.assert_allclose(
        output.metrics["t2s_accuracy"].value(), mean(t2s.argmax(-1) == np.asarray(batch.labels), batch)
    )


@pytest.mark.parametrize(
    ("normalisation", "head_fit"), [("tokens", "plain"), ("reference", "plain"), ("tokens", "centred")]
)
def test_the_second_version_equals_float64_numpy(tiny, tiny_batch, normalisation, head_fit):
    recipe, batch = build(tiny, "dskdv2", normalisation=normalisation, head_fit=head_fit), tiny_batch
    if recipe == build(tiny, "dskdv2"):  # by the program that other tests share
        value, output, _, variables = loss_and_gradients(recipe, batch)
    else:
        value, output, variables = loss_alone(recipe, batch)
    student, teacher = both_hiddens(recipe, variables, batch)
    heads = [np.asarray(one.head.weight, np.float64).T for one in (student, teacher)]
    ours, theirs = (head - head.mean(1, keepdims=True) if head_fit == "centred" else head for head in heads)
    t2s_hiddens = np.asarray(teacher.values, np.float64) @ (theirs @ np.linalg.pinv(ours))
    s2t_hiddens = np.asarray(student.values, np.float64) @ (ours @ np.linalg.pinv(theirs))
    t2s, s2t = t2s_hiddens @ heads[0], s2t_hiddens @ heads[1]
    q, p = oracle.logits(student), oracle.logits(teacher)
    likeliest = p.argmax(-1)
    agree = (t2s.argmax(-1) == likeliest) & np.asarray(batch.loss_mask)
    assert 0 < agree.sum() < np.asarray(batch.loss_mask).sum()
    per = oracle.reverse_kl(q, t2s, 1.5)
    t2s_divergence = per[agree].sum() / (agree.sum() if normalisation == "reference" else batch.loss_mask.sum())
    terms = {
        "cross_entropy": mean(oracle.cross_entropy(q, batch.labels), batch),
        "t2s_cross_entropy": mean(oracle.cross_entropy(t2s, likeliest), batch),
        "s2t_divergence": mean(oracle.reverse_kl(s2t, p, 1.5), batch),
    }
    for name, expected in terms.items():
        np.testing.assert_allclose(output.metrics[name].value(), expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["t2s_divergence"].value(), per[agree].mean(), rtol=1e-5)
    np.testing.assert_allclose(output.metrics["t2s_agreement"].value(), mean(agree, batch), rtol=1e-6)
    dual = t2s_divergence + terms["t2s_cross_entropy"] + terms["s2t_divergence"]
    np.testing.assert_allclose(value, 0.7 * terms["cross_entropy"] + 0.3 * dual, rtol=1e-6)


def test_the_references_threshold_decides_which_tokens_are_compared(tiny, tiny_batch):
    """Above it that code compares all tokens and divides by their number."""
    recipe, batch = build(tiny, "dskdv2", normalisation="reference"), tiny_batch
    agreeing, *_ = loss_alone(recipe, batch)
    value, _, variables = loss_alone(dataclasses.replace(recipe, t2s_agreement=0.0), batch)
    student, teacher = both_hiddens(recipe, variables, batch)
    heads = [np.asarray(one.head.weight, np.float64).T for one in (student, teacher)]
    t2s = np.asarray(teacher.values, np.float64) @ (heads[1] @ np.linalg.pinv(heads[0])) @ heads[0]
    q, p = oracle.logits(student), oracle.logits(teacher)
    per, agree = oracle.reverse_kl(q, t2s, 1.5), (t2s.argmax(-1) == p.argmax(-1)) & batch.loss_mask
    assert value != agreeing
    np.testing.assert_allclose(value, agreeing + 0.3 * (mean(per, batch) - per[agree].mean()), rtol=1e-6)


@METHODS
def test_each_space_alone_has_its_own_terms(tiny, tiny_batch, method):
    recipe = build(tiny, method)
    whole, output, *_ = loss_and_gradients(recipe, tiny_batch)
    gold = 0.7 * output.metrics["cross_entropy"].value()
    one, in_student, _ = loss_alone(dataclasses.replace(recipe, spaces="student"), tiny_batch)
    other, in_teacher, _ = loss_alone(dataclasses.replace(recipe, spaces="teacher"), tiny_batch)
    np.testing.assert_allclose(other, gold + 0.3 * output.metrics["s2t_divergence"].value(), rtol=1e-5)
    np.testing.assert_allclose(one + other - gold, whole, rtol=1e-5)
    assert in_student.metrics.keys() | in_teacher.metrics.keys() == output.metrics.keys()
    assert not [name for name in in_student.metrics if name.startswith("s2t")]
    assert not [name for name in in_teacher.metrics if name.startswith("t2s")]


def test_the_first_version_from_ideal_projectors_starts_with_the_terms_of_the_second(tiny, tiny_batch):
    recipe = build(tiny, "dskd", projector_start="ideal", divergence=ForwardKL(temperature=1.5))
    _, output, variables = loss_alone(recipe, tiny_batch)
    _, reference, _ = loss_alone(build(tiny, "dskdv2", divergence=recipe.divergence), tiny_batch)
    for name in ("cross_entropy", "s2t_divergence"):
        np.testing.assert_allclose(output.metrics[name].value(), reference.metrics[name].value(), rtol=1e-4)
    shapes = {name: leaf.shape for name, leaf in recipe.abstract().params["projectors"]["t2s"].items()}
    assert {name: leaf.shape for name, leaf in variables.params["projectors"]["t2s"].items()} == shapes
    assert all(not np.any(one["bias"]) for one in variables.params["projectors"].values())


def test_the_teachers_own_distribution_in_the_students_space_is_logit_distillation(tiny, tiny_batch):
    recipe = build(tiny, "dskdv2", student_target="teacher")
    kd = tiny.logit_kd(student=recipe.student, kd_rate=recipe.kd_rate, divergence=recipe.divergence)
    expected, reference, *_ = loss_alone(kd, tiny_batch)
    in_student, output, _ = loss_alone(dataclasses.replace(recipe, spaces="student"), tiny_batch)
    np.testing.assert_allclose(in_student, expected, rtol=1e-6)
    assert output.metrics.keys() == reference.metrics.keys()
    value, output, _ = loss_alone(recipe, tiny_batch)
    np.testing.assert_allclose(value, expected + 0.3 * output.metrics["s2t_divergence"].value(), rtol=1e-5)
    _, _, (gradient, _), _ = loss_and_gradients(recipe, tiny_batch)
    assert all_zero(gradient["projectors"]), "nothing is projected into the student's space"


def dense(recipe, method, variables, batch):
    """The same loss from whole logits, with the gradient stopped where the paper stops it."""
    stop = jax.lax.stop_gradient
    student = forward.hiddens(recipe.student.config(), variables.params["student"], batch)
    teacher = forward.hiddens(recipe.teacher.config(), variables.frozen["teacher"], batch)
    projectors = variables.params["projectors"] | variables.derived
    t2s_hiddens = projector.project(projectors["t2s"], stop(teacher.values))
    s2t_hiddens = projector.project(projectors["s2t"], student.values)
    head, teacher_head = student.head.weight.T, stop(teacher.head.weight).T
    t2s, s2t, p, q = t2s_hiddens @ stop(head), s2t_hiddens @ teacher_head, teacher.values @ teacher_head, None
    q = student.values @ head
    labels = batch.labels if method == "dskd" else jnp.argmax(p, axis=-1)
    agree = batch.loss_mask & ((jnp.argmax(t2s, axis=-1) == labels) | (method == "dskd"))

    def cross_entropy(logits, labels):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]

    of_teacher = ForwardKL(temperature=1.5) if method == "dskd" else recipe.divergence
    dual = jnp.sum(jnp.where(batch.loss_mask, cross_entropy(t2s, labels) + of_teacher(s2t, stop(p)), 0))
    dual += jnp.sum(jnp.where(agree, recipe.divergence(q, stop(t2s)), 0))
    gold = jnp.sum(jnp.where(batch.loss_mask, cross_entropy(q, batch.labels), 0))
    return ((1 - recipe.kd_rate) * gold + recipe.kd_rate * dual) / jnp.sum(batch.loss_mask)


@METHODS
def test_the_gradient_stops_where_the_paper_stops_it(tiny, tiny_batch, method):
    recipe = build(tiny, method)
    value, _, (to_params, to_frozen), variables = loss_and_gradients(recipe, tiny_batch)
    variables = variables.replace(derived=recipe.prepare(variables))
    compiled = jax.jit(
        jax.value_and_grad(lambda params, batch: dense(recipe, method, variables.replace(params=params), batch))
    )
    expected, gradient = jax.device_get(compiled(variables.params, tiny_batch))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max()), to_params, gradient)
    assert all_zero(to_frozen["teacher"]["blocks"]), "nothing reaches the teacher's body"


def test_ideal_projectors_of_one_head_are_the_identity_and_the_method_is_twice_kd(tiny, tiny_batch):
    """A student made of the teacher's layers: both spaces are one, and the loss is known."""
    recipe = tiny.dskdv2(student=tiny.student, kd_rate=1.0)
    value, output, variables = loss_alone(recipe, tiny_batch)
    width = recipe.teacher.config().width
    for weight in (variables.params["projectors"]["t2s"]["weight"], recipe.prepare(variables)["s2t"]["weight"]):
        np.testing.assert_allclose(weight, np.eye(width), atol=2e-4)
    kd, *_ = loss_alone(tiny.logit_kd(kd_rate=1.0), tiny_batch)
    np.testing.assert_allclose(output.metrics["t2s_agreement"].value(), 1)
    np.testing.assert_allclose(value, 2 * kd + output.metrics["t2s_cross_entropy"].value(), rtol=1e-4)


def test_the_analytic_projector_follows_the_students_head(tiny):
    recipe = build(tiny, "dskdv2")
    variables = initial(recipe)
    before = np.asarray(recipe.prepare(variables)["s2t"]["weight"])
    student = variables.params["student"]
    changed = student | {"head": jax.device_put(2 * np.asarray(student["head"]))}
    doubled = recipe.prepare(variables.replace(params=variables.params | {"student": changed}))
    np.testing.assert_allclose(doubled["s2t"]["weight"], 2 * before, rtol=1e-5, atol=1e-7)


@METHODS
def test_padding_does_not_touch_loss_or_gradient(tiny, tiny_batch, method):
    padding = tiny_batch.segment_ids == 0
    changed = dataclasses.replace(
        tiny_batch,
        tokens=np.where(padding, 7, tiny_batch.tokens),
        labels=np.where(tiny_batch.loss_mask, tiny_batch.labels, 3),
    )
    (value, _, (gradient, _), _), (other, _, (other_gradient, _), _) = (
        loss_and_gradients(build(tiny, method), one) for one in (tiny_batch, changed)
    )
    np.testing.assert_allclose(value, other, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), gradient, other_gradient)


@METHODS
def test_rows_are_added_up(tiny, tiny_batch, method):
    """Half of the rows at a time beside empty ones, divided by the count of all: what accumulation does."""
    recipe, upper = build(tiny, method), np.arange(len(tiny_batch.tokens)) < 4
    counts = recipe.counts(tiny_batch)
    whole, *halves = (
        loss_and_gradients(recipe, jax.tree.map(lambda leaf, rows=rows: leaf * rows[:, None], tiny_batch), counts)
        for rows in (np.ones_like(upper), upper, ~upper)
    )
    np.testing.assert_allclose(halves[0][0] + halves[1][0], whole[0], rtol=1e-6)
    added = jax.tree.map(np.add, halves[0][2][0], halves[1][2][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), added, whole[2][0])


@pytest.mark.parametrize(
    ("method", "sizes"),
    [("dskd", (2, 2, 2)), ("dskdv2", (2, 2, 2)), pytest.param("dskdv2", (1, 1, 8), marks=pytest.mark.slow)],
)
def test_eight_devices_equal_one(tiny, tiny_batch, method, sizes):
    recipe = build(tiny, method)
    value, _, (gradient, _), _ = loss_and_gradients(recipe, tiny_batch)
    shape = MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2])
    found = loss_and_gradient_on(shape, recipe, tiny_batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, (value, gradient))


@METHODS
def test_abstract_variables_describe_the_real_ones(tiny, method):
    recipes = [build(tiny, method), build(tiny, method, lora=LoRA(rank=2))]
    recipes += [build(tiny, method, head_fit="centred")] if method == "dskdv2" else []
    for recipe in recipes:
        described, real = recipe.abstract(), initial(recipe)
        for name in ("params", "frozen", "state"):
            one, other = getattr(described, name), getattr(real, name)
            assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), one) == jax.tree.map(
                lambda leaf: (leaf.shape, leaf.dtype), other
            )


@METHODS
def test_a_cached_teacher_needs_only_its_head(tiny, method):
    recipe = build(tiny, method, teacher_cache="somewhere")
    assert set(recipe.abstract().frozen["teacher"]) == set(recipe.load_frozen()["teacher"]) == {"embedding"}


@pytest.mark.slow
def test_a_run_with_a_cache_trains_projectors_and_resumes(tiny, tmp_path):
    tiny.cache().run(tmp_path / "cache", seed=0, stages={})
    recipe = build(tiny, "dskd", teacher_cache=str(tmp_path / "cache"))
    train = tiny.train(recipe, steps=2, validation=(), evaluators=(), accumulation=2)
    train.run(tmp_path / "run", seed=0, stages={})
    train = dataclasses.replace(train, steps=3)
    train.run(tmp_path / "run", seed=0, stages={})
    rows = [line for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines() if "s2t_divergence" in line]
    assert rows


@METHODS
def test_values_out_of_range_are_refused(tiny, method):
    for rate in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"kd_rate must be in \(0, 1\], got {rate}\. Without"):
            build(tiny, method, kd_rate=rate).validate()


def test_unknown_choices_are_refused(tiny):
    with pytest.raises(ValueError, match="normalisation must be one of tokens, reference, got 'mean'"):
        tiny.dskdv2(normalisation="mean").validate()
    with pytest.raises(ValueError, match="head_fit must be one of plain, centred, got 'mean'"):
        tiny.dskdv2(head_fit="mean").validate()
    with pytest.raises(ValueError, match="student_target must be one of projected, teacher, got 'own'"):
        tiny.dskdv2(student_target="own").validate()
    with pytest.raises(ValueError, match="projector_start must be one of random, ideal, got 'zero'"):
        tiny.dskd(projector_start="zero").validate()
    for method in (tiny.dskd, tiny.dskdv2):
        with pytest.raises(ValueError, match="spaces must be one of both, student, teacher, got 'none'"):
            method(spaces="none").validate()
