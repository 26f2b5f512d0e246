"""Losses from hidden states over eight devices: equal to one device, and no logits gathered.

Both are computed in float64, where the order of the additions is all that differs.  An element is made of some 60
additions (16 of a logit, 24 of a softmax, 21 tokens), each of which may round by 2^-53 of what is added up; that is at
most a hundred times the largest element of its array, so that 60 * 100 * 2^-53 < 1e-12 of that element bounds it.
"""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Hiddens
from jaxkd.typing import DATA, FSDP, TENSOR
from tests.hlo import all_gathers, assert_gathers_nothing_but
from tests.kernels.cases import (
    assert_all_finite,
    cast,
    compiled,
    float32,
    hiddens,
    lengthened,
    pair,
    targets,
    unless,
    with_head,
    with_values,
)

KERNELS = {"token_chunk": TokenChunk(chunk=2), "vocab_tile": VocabTile(tile=3)}
SEPARABLE = {
    "forward_kl": ForwardKL(temperature=2.0, gradient_to="both"),
    "jensen_shannon": losses.JensenShannon(gradient_to="both"),
    "cross_entropy": None,
}
LOSSES = SEPARABLE | {"adaptive_kl": losses.AdaptiveKL(gradient_to="both")}

MESHES = {
    (2, 2, 2): {"token_chunk": "jensen_shannon", "vocab_tile": "forward_kl"},
    (8, 1, 1): {"token_chunk": "forward_kl", "vocab_tile": "cross_entropy"},
    (1, 8, 1): {"token_chunk": "cross_entropy", "vocab_tile": "jensen_shannon"},
    (1, 1, 8): {"token_chunk": "adaptive_kl", "vocab_tile": "jensen_shannon"},
    (1, 2, 4): {"token_chunk": "forward_kl", "vocab_tile": "cross_entropy"},
}
"""With the loss of each kernel that is not slow: each is seen on the tensor axis and on the others."""
CROSSED = {(2, 2, 2), (1, 2, 4)}
"""Meshes of several axes, which the slow level crosses with all losses."""

every_kernel = pytest.mark.parametrize("name", KERNELS)


def on_mesh(*shape):
    return jax.set_mesh(jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3))


def sides(seed, **options):
    """Heads that every mesh divides, with all that a head may have; the tokens are divided by none."""
    options = {"tokens": (3, 7), "rows": 24, "vocabulary": 21, "bias": True, "softcap": 10.0} | options
    return hiddens(seed, 8, **options), hiddens(seed + 100, 16, **options)


def given(seed, vocabulary=21):
    return targets(seed, tokens=(3, 7), vocabulary=vocabulary)


def assert_equal(spread, alone, tolerance=1e-6):
    for (path, leaf), other in zip(jax.tree.leaves_with_path(spread), jax.tree.leaves(alone), strict=True):
        leaf, other = np.asarray(leaf), np.asarray(other)
        np.testing.assert_allclose(
            leaf, other, rtol=0, atol=tolerance * np.abs(other).max(), err_msg=jax.tree_util.keystr(path)
        )


def assert_equals_one_device(run, shape, loss, student, teacher, given, tolerance=1e-12):
    """Loss and gradient of a function on a mesh are those of the reference on one device."""
    with jax.enable_x64(True):
        arguments = cast((student, teacher, given), np.float64)
        alone = compiled("reference", LOSSES[loss])(*arguments)
        with on_mesh(*shape):
            spread = run(*arguments)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(spread)} == {"float64", "int32"}
    assert_equal(spread, alone, tolerance)


@pytest.mark.parametrize(
    ("shape", "name", "loss"),
    [
        pytest.param(shape, name, loss, id=f"{shape}-{name}-{loss}", marks=unless(loss == fast[name]))
        for shape, fast in MESHES.items()
        for name, kernel in KERNELS.items()
        for loss in (SEPARABLE if isinstance(kernel, VocabTile) else LOSSES)
        if shape in CROSSED or loss == fast[name]
    ],
)
def test_equals_one_device(shape, name, loss):
    assert_equals_one_device(compiled(KERNELS[name], LOSSES[loss]), shape, loss, *sides(0), given(0))


@pytest.mark.parametrize(("shape", "name"), [((1, 2, 4), "token_chunk"), ((2, 2, 2), "vocab_tile")], ids=str)
def test_equals_one_device_without_jit(shape, name):
    def run(*arguments):
        return compiled(KERNELS[name], LOSSES["forward_kl"]).__wrapped__(*jax.device_put(arguments))

    assert_equals_one_device(run, shape, "forward_kl", *sides(0), given(0))


UNDIVIDED = {
    "vocabulary": ((1, 2, 4), lambda: sides(2, rows=21)),
    # The student's width of 4 is divided, the teacher's of 6 is not.
    "widths": ((1, 4, 2), lambda: pair(2, tokens=(3, 7), rows=24, vocabulary=21)),
    "heads of unequal length": ((1, 2, 4), lambda: (lengthened(sides(2)[0], 32), sides(2)[1])),
    "one token": ((1, 2, 4), lambda: sides(2, tokens=())),
    "a flat list": ((1, 2, 4), lambda: sides(2, tokens=(21,))),
}


@pytest.mark.parametrize(
    ("case", "name", "loss"),
    [
        ("vocabulary", "token_chunk", "adaptive_kl"),
        ("vocabulary", "vocab_tile", "jensen_shannon"),
        ("widths", "token_chunk", "forward_kl"),
        pytest.param("widths", "vocab_tile", "forward_kl", marks=pytest.mark.slow),
        pytest.param("heads of unequal length", "token_chunk", "jensen_shannon", marks=pytest.mark.slow),
        ("heads of unequal length", "vocab_tile", "jensen_shannon"),
        ("one token", "token_chunk", "cross_entropy"),
        pytest.param("one token", "vocab_tile", "cross_entropy", marks=pytest.mark.slow),
        pytest.param("a flat list", "token_chunk", "forward_kl", marks=pytest.mark.slow),
        ("a flat list", "vocab_tile", "forward_kl"),
    ],
)
def test_what_the_mesh_does_not_divide_stays_whole(case, name, loss):
    shape, make = UNDIVIDED[case]
    student, teacher = make()
    given = targets(2, tokens=student.values.shape[:-1], vocabulary=21)
    assert_equals_one_device(compiled(KERNELS[name], LOSSES[loss]), shape, loss, student, teacher, given)


def test_the_reference_equals_one_device_too():
    run = compiled("reference", SEPARABLE["forward_kl"])
    assert_equals_one_device(run, (2, 2, 2), "forward_kl", *sides(0), given(0))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((2, 2, 2), "token_chunk"),
        pytest.param((2, 2, 2), "vocab_tile", marks=pytest.mark.slow),
        pytest.param((4, 1, 2), "token_chunk", marks=pytest.mark.slow),
        ((4, 1, 2), "vocab_tile"),
        ((8, 1, 1), "token_chunk"),
        pytest.param((8, 1, 1), "vocab_tile", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_axes_that_the_caller_made_manual_are_left_alone(shape, name):
    loss = "forward_kl"
    student, teacher = sides(4, tokens=(8, 3))
    given = {"weights": float32(np.random.default_rng(4).random((8, 3)))}

    def local(student, teacher, given):
        found, gradient = compiled(KERNELS[name], LOSSES[loss])(student, teacher, given)
        # What a device knows of its own tokens alone.
        total, heads = jax.lax.psum((found.total, [side.head for side in gradient]), DATA)
        columns = found.divergence, found.cross_entropy, found.argmax, found.lse
        return (
            total,
            columns,
            [Hiddens(values=side.values, head=head) for side, head in zip(gradient, heads, strict=True)],
        )

    rows, everywhere = PartitionSpec(DATA), PartitionSpec()
    of_sides = [with_values(jax.tree.map(lambda _: everywhere, side), rows) for side in (student, teacher)]
    spread = jax.shard_map(
        local,
        in_specs=(*of_sides, rows),
        out_specs=(everywhere, rows, of_sides),
        axis_names={DATA},
        check_vma=False,
    )
    assert_equals_one_device(jax.jit(spread), shape, loss, student, teacher, given)


@every_kernel
def test_a_vocabulary_of_151_936_tokens_is_finite_and_equal(name):
    kernel = {"token_chunk": TokenChunk(chunk=4), "vocab_tile": VocabTile(tile=8192)}[name]
    student, teacher = (hiddens(seed, 2, tokens=(8,), rows=151_936, vocabulary=151_669) for seed in (5, 6))
    run = compiled(kernel, SEPARABLE["forward_kl"])
    arguments = student, teacher, targets(5, tokens=(8,), vocabulary=151_669)
    with on_mesh(1, 1, 8):
        assert_all_finite(run(*arguments))
    # 151,936 additions instead of 60.
    assert_equals_one_device(run, (1, 1, 8), "forward_kl", *arguments, tolerance=1e-9)


def placed(side):
    """A batch over data and fsdp, a head over the vocabulary and its width."""
    mesh = jax.sharding.get_mesh()

    def put(array, *spec):
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))

    head = side.head
    return with_head(
        with_values(side, put(side.values, (DATA, FSDP))),
        weight=put(head.weight, TENSOR, FSDP),
        bias=put(head.bias, TENSOR),
    )


def program(kernel, divergence, shape, student, teacher):
    """The compiled text of value and gradient, of what lies on a mesh as its layout asks, and stays there."""
    with on_mesh(*shape):
        student, teacher = placed(student), placed(teacher)
        function = functools.partial(
            linear_divergence,
            divergence=divergence,
            implementation=kernel,
            **targets(7, tokens=student.values.shape[:-1], vocabulary=21),
        )
        gradient = jax.grad(lambda *sides: function(*sides).total, (0, 1))
        shardings = jax.tree.map(lambda leaf: leaf.sharding, (student, teacher))
        return jax.jit(gradient, out_shardings=shardings).lower(student, teacher).compile().as_text()


@pytest.mark.parametrize(
    ("shape", "name", "loss"),
    [
        ((1, 1, 8), "token_chunk", "forward_kl"),
        pytest.param((1, 1, 8), "token_chunk", "jensen_shannon", marks=pytest.mark.slow),
        pytest.param((1, 1, 8), "vocab_tile", "forward_kl", marks=pytest.mark.slow),
        ((1, 1, 8), "vocab_tile", "jensen_shannon"),
        pytest.param((2, 2, 2), "token_chunk", "forward_kl", marks=pytest.mark.slow),
        ((2, 2, 2), "token_chunk", "jensen_shannon"),
        ((2, 2, 2), "vocab_tile", "forward_kl"),
        pytest.param((2, 2, 2), "vocab_tile", "jensen_shannon", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_only_heads_are_gathered(shape, name, loss):
    student, teacher = sides(7, tokens=(8, 7))
    text = program(KERNELS[name], LOSSES[loss], shape, student, teacher)
    _, fsdp, tensor = shape
    # A device's rows of a head, with the whole width.
    heads = [(24 // tensor, side.values.shape[-1]) for side in (student, teacher)] if fsdp > 1 else []
    assert_gathers_nothing_but(text, heads)
    assert len(all_gathers(text)) >= len(heads)


def test_a_divergence_of_the_whole_distribution_fails_the_same_assertion():
    text = program(KERNELS["token_chunk"], LOSSES["adaptive_kl"], (1, 1, 8), *sides(7, tokens=(8, 7)))
    with pytest.raises(AssertionError, match=r"all-gathers of \[\(2, 24\)\]"):
        assert_gathers_nothing_but(text, [])


def test_gathers_are_found_in_the_text_of_any_backend():
    text = """
  %p = f32[3,4]{1,0} parameter(0), metadata={op_name="all-gather"}
  %all-gather.1 = f32[3,8]{1,0} all-gather(%p), channel_id=1, dimensions={1}
  %start = (bf16[2]{0}, bf16[16]{0}) all-gather-start(%q), channel_id=2, dimensions={0}
  ROOT %done = bf16[16]{0:T(128)} all-gather-done(%start)
  %both = (f32[1,8]{1,0}, s32[5]{0}) all-gather(%p, %q), channel_id=3, dimensions={0}
"""
    assert all_gathers(text) == [(3, 8), (16,), (1, 8), (5,)]
    assert_gathers_nothing_but(text, [(3, 8), (16,), (8,), (5,)])
