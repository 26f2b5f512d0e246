"""A teacher whose logits are a combination of those of several models."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, head_logits, linear_divergence
from jaxkd.records import ComposedTeacher, Head, Hiddens
from jaxkd.typing import DATA, FSDP, TENSOR
from tests.kernels.cases import (
    IMPLEMENTATIONS,
    every_implementation,
    hiddens,
    lengthened,
    targets,
    with_head,
    with_values,
)
from tests.memory import assert_never_as_large_as_the_logits

SEPARABLE = [losses.ForwardKL(temperature=2.0), losses.ReverseKL(), losses.JensenShannon(beta=0.3)]


def composed(seed=0, *, tokens=(3, 5), **options):
    """Three models, one with a soft-cap and one with a scale, and coefficients of both signs."""
    models = (
        hiddens(seed + 1, 6, tokens=tokens, bias=True, **options),
        hiddens(seed + 2, 4, tokens=tokens, softcap=5.0, **options),
        hiddens(seed + 3, 5, tokens=tokens, scale=0.5, **options),
    )
    rng = np.random.default_rng(seed)
    return ComposedTeacher(models=models, coefficients=jnp.asarray(rng.normal(size=(*tokens, 3)), jnp.float32))


def combined(teacher, vocabulary=13):
    logits = [head_logits(model)[..., :vocabulary] for model in teacher.models]
    return sum(teacher.coefficients[..., [place]] * one for place, one in enumerate(logits))


def assert_close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def value_and_gradient(loss, student):
    def total(student):
        found = loss(student)
        return found.total, found

    (_, found), gradient = jax.value_and_grad(total, has_aux=True)(student)
    return found, gradient


@pytest.mark.parametrize(
    ("implementation", "divergence"),
    [
        pytest.param(implementation, divergence, id=f"{name}-{type(divergence).__name__}")
        for name, implementation in IMPLEMENTATIONS.items()
        for divergence in (*SEPARABLE, *(() if isinstance(implementation, VocabTile) else (losses.AdaptiveKL(),)))
    ],
)
def test_equals_the_divergence_of_the_combined_logits(implementation, divergence):
    student, teacher, given = hiddens(7, 4), composed(7), targets(7)

    def direct(student):
        nats = divergence(head_logits(student)[..., :13], combined(teacher))
        labelled = losses.cross_entropy(head_logits(student), given["labels"])
        return jnp.sum(given["weights"] * nats + given["label_weights"] * labelled), nats

    (total, nats), wanted = jax.value_and_grad(direct, has_aux=True)(student)
    found, gradient = value_and_gradient(
        lambda student: linear_divergence(
            student, teacher, divergence=divergence, implementation=implementation, **given
        ),
        student,
    )
    np.testing.assert_allclose(found.total, total, rtol=1e-5)
    counted = given["weights"] != 0
    np.testing.assert_allclose(found.divergence[counted], nats[counted], rtol=1e-5, atol=1e-5)
    assert_close(gradient, wanted)


@every_implementation
def test_one_model_is_itself_and_equal_models_are_one(implementation):
    student, teacher, given = hiddens(8, 4), hiddens(9, 6), targets(8)
    options = {"divergence": losses.ReverseKL(), "implementation": implementation, **given}
    expected, wanted = value_and_gradient(lambda student: linear_divergence(student, teacher, **options), student)
    ones = jnp.ones((3, 5, 1))
    for models, coefficients in (
        ((teacher,), ones),
        ((teacher, teacher), jnp.concatenate([1.7 * ones, -0.7 * ones], -1)),
    ):
        mixed = ComposedTeacher(models=models, coefficients=coefficients)
        found, gradient = value_and_gradient(
            lambda student, mixed=mixed: linear_divergence(student, mixed, **options), student
        )
        np.testing.assert_allclose(found.total, expected.total, rtol=1e-5)
        assert_close(gradient, wanted)


@every_implementation
def test_heads_may_be_padded_differently_and_positions_without_weight_hold_anything(implementation):
    student, teacher = hiddens(10, 4), composed(10)
    given = targets(10) | {"divergence": losses.ReverseKL(), "implementation": implementation}
    del given["labels"], given["label_weights"]
    expected = value_and_gradient(lambda student: linear_divergence(student, teacher, **given), student)
    first, *others = teacher.models
    padded = dataclasses.replace(teacher, models=(lengthened(first, 21), *others))
    unused = (given["weights"] == 0)[..., None]
    spoilt = dataclasses.replace(
        padded,
        models=tuple(with_values(model, jnp.where(unused, jnp.nan, model.values)) for model in padded.models),
        coefficients=jnp.where(unused, jnp.nan, padded.coefficients),
    )
    for other in (padded, spoilt):
        found = value_and_gradient(lambda student, other=other: linear_divergence(student, other, **given), student)
        np.testing.assert_allclose(found[0].total, expected[0].total, rtol=1e-5)
        assert_close(found[1], expected[1])


@pytest.mark.parametrize("kernel", [TokenChunk(chunk=4), VocabTile(tile=5)], ids=["token_chunk", "vocab_tile"])
def test_no_gradient_reaches_the_models_or_their_coefficients(kernel):
    teacher = composed(11)

    def total(teacher):
        given = targets(11) | {"divergence": losses.ReverseKL(), "implementation": kernel}
        return linear_divergence(hiddens(11, 4), teacher, **given).total

    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(jax.grad(total)(teacher)))


@pytest.mark.parametrize("kernel", [TokenChunk(chunk=2), VocabTile(tile=3)], ids=["token_chunk", "vocab_tile"])
@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 1, 8)], ids=str)
def test_eight_devices_equal_one(kernel, shape):
    tokens = (3, 7)
    student, teacher = hiddens(12, 8, tokens=tokens, rows=24), composed(12, tokens=tokens, rows=24)
    given = targets(12, tokens=tokens) | {"divergence": losses.ReverseKL(), "implementation": kernel}

    def run(student):
        return value_and_gradient(lambda student: linear_divergence(student, teacher, **given), student)

    expected = run(student)
    with jax.set_mesh(jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3)):
        found = jax.jit(run)(student)
    assert_close(found, expected)


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
