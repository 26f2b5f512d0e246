"""A teacher whose logits are a combination of those of several models."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, head_logits, linear_divergence
from jaxkd.records import ComposedTeacher, Head, Hiddens
from tests.kernels.cases import (
    IMPLEMENTATIONS,
    assert_all_zero,
    cast,
    counted,
    every_implementation,
    every_kernel,
    filled,
    float32,
    hiddens,
    lengthened,
    targets,
    unless,
    with_head,
    with_values,
)
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.memory import assert_never_as_large_as_the_logits

REVERSE = losses.ReverseKL()
SEPARABLE = [losses.ForwardKL(temperature=2.0), REVERSE, losses.JensenShannon(beta=0.3)]


def composed(seed=0, *, tokens=(3, 5), **options):
    """Three models, one with a soft-cap and one with a scale, and coefficients of both signs."""
    models = (
        hiddens(seed + 1, 6, tokens=tokens, bias=True, **options),
        hiddens(seed + 2, 4, tokens=tokens, softcap=5.0, **options),
        hiddens(seed + 3, 5, tokens=tokens, scale=0.5, **options),
    )
    rng = np.random.default_rng(seed)
    return ComposedTeacher(models=models, coefficients=float32(rng.normal(size=(*tokens, 3))))


def combined(teacher, vocabulary=13):
    logits = [head_logits(model)[..., :vocabulary] for model in teacher.models]
    return sum(teacher.coefficients[..., [place]] * one for place, one in enumerate(logits))


def assert_close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@functools.cache
def compiled(implementation, divergence):
    """A compiled function of student, teacher and targets: the loss, and the gradient of its total to both sides."""

    @jax.jit
    def run(student, teacher, given):
        def total(student, teacher):
            loss = linear_divergence(student, teacher, divergence=divergence, implementation=implementation, **given)
            return loss.total, counted(loss, given)

        (_, loss), gradient = jax.value_and_grad(total, (0, 1), has_aux=True)(student, teacher)
        return loss, gradient

    return run


@functools.cache
def direct(divergence):
    """The same total and values from logits, and the gradient to the student."""

    @jax.jit
    def run(student, teacher, given):
        def total(student):
            nats = divergence(head_logits(student)[..., :13], combined(teacher))
            labelled = losses.cross_entropy(head_logits(student), given["labels"])
            return jnp.sum(given["weights"] * nats + given["label_weights"] * labelled), nats

        return jax.value_and_grad(total, has_aux=True)(student)

    return run


@pytest.mark.parametrize(
    ("implementation", "divergence"),
    [
        pytest.param(
            IMPLEMENTATIONS[name],
            divergence,
            id=f"{name}-{type(divergence).__name__}",
            marks=unless(type(divergence).__name__ in fast),
        )
        for name, fast in {
            "reference": ["ReverseKL"],
            "token_chunk": ["ReverseKL", "JensenShannon", "AdaptiveKL"],
            "vocab_tile": ["ReverseKL", "ForwardKL"],
        }.items()
        for divergence in (*SEPARABLE, *([] if name == "vocab_tile" else [losses.AdaptiveKL()]))
    ],
)
def test_equals_the_divergence_of_the_combined_logits(implementation, divergence):
    student, teacher, given = hiddens(7, 4), composed(7), targets(7)
    (total, nats), wanted = direct(divergence)(student, teacher, given)
    found, (gradient, _) = compiled(implementation, divergence)(student, teacher, given)
    np.testing.assert_allclose(found.total, total, rtol=1e-5)
    used = np.asarray(given["weights"]) != 0
    np.testing.assert_allclose(np.asarray(found.divergence)[used], np.asarray(nats)[used], rtol=1e-5, atol=1e-5)
    assert_close(gradient, wanted)


@every_implementation
def test_one_model_is_itself_and_equal_models_are_one(implementation):
    """The third model has a scale of 1/2 and a width of 5: the first becomes it."""
    student, given = hiddens(8, 4), targets(8)
    models = composed(8).models
    wider = [(0, 0), (0, 1)]
    same = with_values(models[0], np.pad(models[2].values, [(0, 0), *wider]))
    same = with_head(same, weight=np.pad(models[2].head.weight, wider) / 2, bias=np.zeros(16, np.float32))
    for first, coefficients in ((models[0], [1, 0, 0]), (same, [1.7, 0, -0.7])):
        mixed = ComposedTeacher(models=(first, *models[1:]), coefficients=np.tile(np.float32(coefficients), (3, 5, 1)))
        expected, (wanted, _) = compiled("reference", REVERSE)(student, first, given)
        found, (gradient, _) = compiled(implementation, REVERSE)(student, mixed, given)
        np.testing.assert_allclose(found.total, expected.total, rtol=1e-5)
        assert_close(gradient, wanted)


def test_a_single_model_is_itself_too():
    student, model, given = hiddens(8, 4), composed(8).models[0], targets(8)
    mixed = ComposedTeacher(models=(model,), coefficients=np.ones((3, 5, 1), np.float32))
    expected, (wanted, _) = compiled("reference", REVERSE)(student, model, given)
    found, (gradient, _) = compiled(IMPLEMENTATIONS["token_chunk"], REVERSE)(student, mixed, given)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-5)
    assert_close(gradient, wanted)


@every_implementation
def test_heads_may_be_padded_differently_and_positions_without_weight_hold_anything(implementation):
    student, teacher, given = hiddens(10, 4), composed(10), targets(10)
    expected = compiled(implementation, REVERSE)(student, teacher, given)
    first, *others = teacher.models
    padded = dataclasses.replace(teacher, models=(lengthened(first, 21), *others))
    unused = np.asarray(given["weights"]) == 0
    spoilt = dataclasses.replace(
        padded,
        models=tuple(filled(model, unused, np.nan) for model in padded.models),
        coefficients=np.where(unused[..., None], np.float32(np.nan), padded.coefficients),
    )
    for other in (padded, spoilt):
        found = compiled(implementation, REVERSE)(student, other, given)
        np.testing.assert_allclose(found[0].total, expected[0].total, rtol=1e-5)
        assert_close(found[1][0], expected[1][0])


@every_kernel
def test_no_gradient_reaches_the_models_or_their_coefficients(kernel):
    _, (to_student, to_teacher) = compiled(kernel, REVERSE)(hiddens(11, 4), composed(11), targets(11))
    assert np.abs(to_student.values).max() > 0.1
    assert_all_zero(to_teacher)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param(name, shape, id=f"{name}-{shape}", marks=unless(shape == fast))
        for name, fast in {"token_chunk": (2, 2, 2), "vocab_tile": (1, 1, 8)}.items()
        for shape in [(2, 2, 2), (1, 1, 8)]
    ],
)
def test_eight_devices_equal_one(name, shape):
    """In float64, to what `test_mesh.py` derives."""
    with jax.enable_x64(True):
        arguments = cast((hiddens(12, 4), composed(12), targets(12)), np.float64)
        alone = compiled("reference", REVERSE)(*arguments)
        with on_mesh(*shape):
            spread = compiled(IMPLEMENTATIONS[name], REVERSE)(*arguments)
    assert_equal(spread, alone, tolerance=1e-12)


@pytest.mark.parametrize("kernel", [TokenChunk(chunk=32), VocabTile(tile=48)], ids=["token_chunk", "vocab_tile"])
def test_stores_no_logits(kernel):
    def side(width):
        head = Head(weight=jax.ShapeDtypeStruct((512, width), jnp.float32), vocab_size=509)
        return Hiddens(values=jax.ShapeDtypeStruct((256, width), jnp.float32), head=head)

    def loss(student, one, two):
        teacher = ComposedTeacher(models=(one, two), coefficients=jnp.ones((256, 2)))
        return linear_divergence(
            student, teacher, weights=jnp.ones(256), divergence=losses.ReverseKL(), implementation=kernel
        ).total

    sides = (side(8), side(16), side(16))
    assert_never_as_large_as_the_logits(loss, *sides, tokens=256, vocabulary=512, sizes=(32, 8, 16))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_combined():
    student, teacher = hiddens(13, 4), composed(13)
    given = targets(13) | {"divergence": losses.ReverseKL()}
    cases = [
        ({"models": ()}, r"teacher\.models must hold at least one model, got none"),
        (
            {"coefficients": teacher.coefficients[..., :2]},
            r"teacher\.coefficients must have one number for each position and model, \(3, 5, 3\), got \(3, 5, 2\)",
        ),
        (
            {"models": (*teacher.models[:2], with_head(teacher.models[2], vocab_size=12))},
            r"the vocab_size of teacher\.models\[2\] must equal the student's 13, got 12",
        ),
        (
            {"models": (with_values(teacher.models[0], teacher.models[0].values[:, :4]), *teacher.models[1:])},
            r"teacher\.models\[0\]\.values must have the leading shape of student\.values",
        ),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            linear_divergence(student, dataclasses.replace(teacher, **changes), **given)
    both = losses.ReverseKL(gradient_to="both")
    with pytest.raises(ValueError, match=r'gradient_to must be "student" for a composed teacher, got \'both\''):
        linear_divergence(student, teacher, **(given | {"divergence": both}))
