"""The arithmetic of every implementation: NaN, large logits, bfloat16, float64, degenerate distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import TokenChunk, VocabTile
from tests.kernels.cases import (
    assert_all_finite,
    assert_all_zero,
    assert_equals,
    assert_trees_close,
    cast,
    compiled,
    every_implementation,
    exact_loss,
    hiddens,
    implementations_of,
    pair,
    targets,
    with_head,
    with_values,
)
from tests.losses.divergence.rows import ROWS

DIVERGENCE = {"temperature": 2.0, "gradient_to": "both"}
SYMMETRIC = ROWS["symmetric_kl"].dataclass(**DIVERGENCE)

# From means, from sums, and from whole distributions.
every_computation = implementations_of(
    rest=ROWS,
    reference=("symmetric_kl", "jensen_shannon"),
    token_chunk=("symmetric_kl", "jensen_shannon", "adaptive_kl"),
    vocab_tile=("symmetric_kl", "jensen_shannon"),
)


def spoilt(array, place):
    """With NaN at one place."""
    array = np.array(array)
    array[place] = np.nan
    return array


@every_computation
@pytest.mark.parametrize("side", [0, 1], ids=["student", "teacher"])
def test_nan_at_a_used_position_is_not_hidden(implementation, row, side):
    sides, given = [*pair(0, bias=True)], targets(0)
    assert given["weights"][0, 0] > 0
    sides[side] = with_values(sides[side], spoilt(sides[side].values, (0, 0, 1)))
    loss, _ = compiled(implementation, row.dataclass(**DIVERGENCE))(*sides, given)
    assert np.isnan(loss.total)
    np.testing.assert_array_equal(np.isnan(loss.divergence), np.arange(15).reshape(3, 5) == 0)


@every_implementation
def test_nan_is_not_hidden_from_the_cross_entropy(implementation):
    student, teacher = pair(1, bias=True)
    given = targets(1) | {"label_weights": np.ones((3, 5), np.float32)}
    for broken in (
        with_values(student, spoilt(student.values, (0, 0, 1))),
        with_head(student, weight=spoilt(student.head.weight, (7, 1))),
    ):
        assert np.isnan(compiled(implementation, None)(broken, teacher, given)[0].total)


@every_computation
def test_large_logits_equal_float64_numpy(implementation, row):
    """Logits up to 3e4: relative to the largest value, a few roundings of float32."""
    student, teacher = (with_values(side, np.asarray(side.values) * 1e4) for side in pair(2, bias=True))
    given = targets(2)
    loss, gradient = compiled(implementation, row.dataclass(**DIVERGENCE))(student, teacher, given)
    exact = exact_loss(student, teacher, given, row.oracle, 2.0)
    for name in ("total", "divergence", "cross_entropy", "lse"):
        atol = 2e-7 * max(1, np.abs(exact[name]).max())
        np.testing.assert_allclose(getattr(loss, name), exact[name], rtol=1e-5, atol=atol)
    assert_all_finite(gradient)


@implementations_of(
    reference=(), token_chunk=("symmetric_kl", "jensen_shannon"), vocab_tile=("symmetric_kl", "jensen_shannon")
)
@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_logits_far_from_zero_are_compared_as_if_they_were_near(implementation, row, shift):
    """Float32 rounds logits of 1e4 to 5e-4, and so far they move a divergence; from there on no digit is lost."""
    student, teacher = (
        with_head(side, bias=np.full(16, sign * shift, np.float32)) for side, sign in zip(pair(3), (1, -1), strict=True)
    )
    given = targets(3)
    divergence = row.dataclass(**DIVERGENCE)
    loss, gradient = compiled(implementation, divergence)(student, teacher, given)
    exact = exact_loss(student, teacher, given, row.oracle, 2.0)
    for column in ("divergence", "cross_entropy"):
        np.testing.assert_allclose(getattr(loss, column), exact[column], atol=2e-3)
    assert_trees_close((loss, gradient), compiled("reference", divergence)(student, teacher, given))


@every_implementation
@pytest.mark.parametrize("offset", [0.0, 30.0, 100.0])
def test_a_small_divergence_survives_an_offset_between_the_models(implementation, offset):
    """A constant in all logits of a model is invisible to a softmax, and models differ in it by tens of nats.

    The teacher's logits are the student's and two small products more, of numbers of which float32 rounds none.
    """
    student, teacher = (jax.tree.map(lambda leaf: np.round(16 * np.asarray(leaf)) / 16, side) for side in pair(10))
    values, weight = np.array(teacher.values), np.array(teacher.head.weight)
    values[..., :4], weight[:, :4] = student.values, student.head.weight
    values[..., 4:] = np.round(values[..., 4:]) / 16
    teacher = with_head(with_values(teacher, values), weight=weight, bias=np.zeros(16, np.float32))
    student = with_head(student, bias=np.full(16, offset, np.float32))
    given = targets(10)
    loss, _ = compiled(implementation, SYMMETRIC)(student, teacher, given)
    exact = exact_loss(student, teacher, given, ROWS["symmetric_kl"].oracle, 2.0)["divergence"]
    assert 1e-4 < exact[exact > 0].mean() < 4e-3
    np.testing.assert_allclose(loss.divergence.sum(), exact.sum(), rtol=2e-4)


# With parts of one token, and with parts of many.
SIZES = {
    "reference": "reference",
    "token_chunk 1": TokenChunk(chunk=1),
    "token_chunk 64": TokenChunk(chunk=64),
    "vocab_tile 1": VocabTile(tile=1),
    "vocab_tile 64": VocabTile(tile=64),
}


def half(seed, width):
    return cast(hiddens(seed, width, tokens=(512,), rows=64, vocabulary=64, bias=True), jnp.bfloat16)


@pytest.mark.parametrize(
    ("name", "divergence"),
    [
        *((name, "forward_kl") for name in SIZES),
        ("token_chunk 64", "jensen_shannon"),
        ("vocab_tile 64", "jensen_shannon"),
        pytest.param("token_chunk 64", "reverse_kl", marks=pytest.mark.slow),
        pytest.param("vocab_tile 64", "reverse_kl", marks=pytest.mark.slow),
    ],
)
def test_bfloat16_inputs_keep_a_small_divergence(name, divergence):
    """Some 1e-3 nats may lose at most 1e-3 of themselves: bfloat16 arithmetic would lose it all."""
    row = ROWS[divergence]
    student = half(4, 8)
    student = with_values(student, student.values / 2)
    wider = [(0, 0), (0, 4)]
    teacher = with_head(
        with_values(student, np.pad((student.values.astype(np.float32) * 1.03).astype(jnp.bfloat16), wider)),
        weight=np.pad(student.head.weight, wider),
    )
    given = targets(4, tokens=(512,), vocabulary=64)
    loss, _ = compiled(SIZES[name], row.dataclass(gradient_to="both"))(student, teacher, given)
    assert loss.total.dtype == loss.divergence.dtype == jnp.float32
    exact = exact_loss(*cast((student, teacher), np.float32), given, row.oracle, 1.0)["divergence"]
    assert 1e-4 < exact[exact > 0].mean() < 4e-3
    np.testing.assert_allclose(np.asarray(loss.divergence, np.float64).sum(), exact.sum(), rtol=1e-3)


@pytest.mark.parametrize("name", SIZES)
def test_bfloat16_gradients_do_not_depend_on_the_number_of_parts(name):
    """Relative to its norm a gradient is off by 2^-8 at most: the gradient of each logit and the sum are rounded to
    2^-9.  Summed in bfloat16, 512 parts of one token would lose tens of percent.
    """
    student, teacher = half(5, 8), half(6, 12)
    given = targets(5, tokens=(512,), vocabulary=64)
    divergence = ROWS["forward_kl"].dataclass(gradient_to="both")
    _, found = compiled(SIZES[name], divergence)(student, teacher, given)
    _, single = compiled("reference", divergence)(*cast((student, teacher), np.float32), given)
    for leaf, expected in zip(jax.tree.leaves(found), jax.tree.leaves(single), strict=True):
        assert leaf.dtype == jnp.bfloat16
        leaf, expected = np.asarray(leaf, np.float32), np.asarray(expected)
        assert np.linalg.norm(leaf - expected) < 2**-8 * np.linalg.norm(expected)


@implementations_of(
    rest=("symmetric_kl", "jensen_shannon", "adaptive_kl"),
    reference=("symmetric_kl",),
    token_chunk=("jensen_shannon", "adaptive_kl"),
    vocab_tile=("symmetric_kl",),
)
def test_float64_is_kept(implementation, row):
    with jax.enable_x64(True):
        student, teacher, given = cast((*pair(7, bias=True, softcap=5.0), targets(7)), np.float64)
        divergence = row.dataclass(**DIVERGENCE)
        loss, gradient = compiled(implementation, divergence)(student, teacher, given)
        assert_equals(loss, exact_loss(student, teacher, given, row.oracle, 2.0), rtol=1e-12, atol=1e-13)
        _, expected = compiled("reference", divergence)(student, teacher, given)
        assert_trees_close(gradient, expected, rtol=1e-11, atol=1e-13)
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves((loss.total, loss.divergence, gradient)))


@every_implementation
def test_zeros_and_a_vocabulary_of_one_token_have_a_finite_gradient(implementation):
    given = targets(8)
    zeros = jax.tree.map(np.zeros_like, pair(8, bias=True))
    loss, gradient = compiled(implementation, SYMMETRIC)(*zeros, given)
    np.testing.assert_allclose(loss.divergence, 0, atol=1e-6)
    np.testing.assert_allclose(loss.total, np.asarray(given["label_weights"]).sum() * np.log(13), rtol=1e-6)
    assert_all_finite(gradient)
    one = [with_head(side, vocab_size=1) for side in pair(8, bias=True)]
    loss, gradient = compiled(implementation, SYMMETRIC)(*one, given | {"labels": np.zeros((3, 5), np.int32)})
    assert loss.total == 0
    assert_all_zero(gradient)


@every_implementation
def test_a_token_whose_probability_underflows_keeps_its_cost(implementation):
    """The student's second token lies 200 nats below the others: exp(-200) is 0 in float32."""
    student, teacher = jax.tree.map(np.zeros_like, pair(9, bias=True))
    student.head.bias[1] = -400
    given = targets(9) | {"weights": np.ones((3, 5), np.float32)}
    loss, _ = compiled(implementation, SYMMETRIC)(student, teacher, given)
    forward, reverse = 200 / 13 + np.log(12 / 13), np.log(13 / 12)
    np.testing.assert_allclose(loss.divergence, (forward + reverse) / 2, rtol=1e-6)


@every_implementation
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e4), (jnp.bfloat16, 1), (np.float64, 1)])
def test_cross_entropy_alone_is_exact_in_every_precision(implementation, dtype, scale):
    """From the same inputs: bfloat16 ones are multiplied out and summed in float32."""
    student, teacher = (with_values(side, np.asarray(side.values) * scale) for side in pair(9, bias=True))
    given = targets(9)
    with jax.enable_x64(dtype == np.float64):
        student = cast(student, dtype)
        loss, (gradient, _) = compiled(implementation, None)(student, cast(teacher, dtype), given)
    assert loss.total.dtype == jnp.promote_types(jnp.float32, dtype)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(gradient))
    assert_all_finite(cast(gradient, np.float64))
    wide = cast(student, np.float64)
    exact = exact_loss(wide, wide, given | {"weights": np.zeros((3, 5))}, ROWS["forward_kl"].oracle, 1.0)
    np.testing.assert_allclose(loss.total, exact["total"], rtol=1e-7 if dtype == np.float64 else 2e-6)
