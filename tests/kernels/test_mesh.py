"""Losses from hidden states over eight devices: equal to one device, and no logits gathered.

Equal is to 1e-6 of the largest element of an array: the order of the additions is all that differs.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.typing import DATA, FSDP, TENSOR
from tests.hlo import all_gathers, assert_gathers_nothing_but
from tests.kernels.cases import hiddens, lengthened, pair, targets, with_head, with_values

KERNELS = {"token_chunk": TokenChunk(chunk=2), "vocab_tile": VocabTile(tile=3)}
SEPARABLE = {
    "forward_kl": ForwardKL(temperature=2.0, gradient_to="both"),
    "jensen_shannon": losses.JensenShannon(gradient_to="both"),
}
WHOLE = {"adaptive_kl": losses.AdaptiveKL(gradient_to="both")}

every_kernel = pytest.mark.parametrize("name", KERNELS)
every_mesh = pytest.mark.parametrize("shape", [(2, 2, 2), (8, 1, 1), (1, 8, 1), (1, 1, 8), (1, 2, 4)], ids=str)


def on_mesh(*shape):
    return jax.set_mesh(jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3))


def sides(seed, **options):
    """Heads that every mesh divides, with all that a head may have; the tokens are divided by none."""
    options = {"tokens": (3, 7), "rows": 24, "vocabulary": 21, "bias": True, "softcap": 10.0} | options
    return hiddens(seed, 8, **options), hiddens(seed + 100, 16, **options)


def given(seed, vocabulary=21):
    return targets(seed, tokens=(3, 7), vocabulary=vocabulary)


def loss_and_gradient(function, *sides):
    def total(*sides):
        loss = function(*sides)
        return loss.total, loss

    (_, loss), gradient = jax.value_and_grad(total, tuple(range(len(sides))), has_aux=True)(*sides)
    return loss, gradient


def every_loss(name, student, teacher, given):
    """All losses that a kernel takes, in one program."""
    kernel = KERNELS[name]
    divergences = SEPARABLE if isinstance(kernel, VocabTile) else SEPARABLE | WHOLE
    results = {
        name: loss_and_gradient(
            functools.partial(linear_divergence, divergence=divergence, implementation=kernel, **given),
            student,
            teacher,
        )
        for name, divergence in divergences.items()
    }

    def cross_entropy(student):
        return linear_cross_entropy(student, given["labels"], weights=given["label_weights"], implementation=kernel)

    return results | {"cross_entropy": loss_and_gradient(cross_entropy, student)}


def assert_equal(spread, alone, tolerance=1e-6):
    for (path, leaf), other in zip(jax.tree.leaves_with_path(spread), jax.tree.leaves(alone), strict=True):
        leaf, other = np.asarray(leaf), np.asarray(other)
        np.testing.assert_allclose(
            leaf, other, rtol=0, atol=tolerance * np.abs(other).max(), err_msg=jax.tree_util.keystr(path)
        )


@every_kernel
@every_mesh
def test_equals_one_device(name, shape):
    run = jax.jit(functools.partial(every_loss, name))
    arguments = *sides(0), given(0)
    alone = run(*arguments)
    with on_mesh(*shape):
        spread = run(*arguments)
    assert_equal(spread, alone)


@every_kernel
@every_mesh
def test_equals_one_device_without_jit(name, shape):
    student, teacher = sides(1)
    function = functools.partial(
        linear_divergence, divergence=SEPARABLE["forward_kl"], implementation=KERNELS[name], **given(1)
    )
    alone = loss_and_gradient(function, student, teacher)
    with on_mesh(*shape):
        spread = loss_and_gradient(function, student, teacher)
    assert_equal(spread, alone)


UNDIVIDED = {
    "vocabulary": lambda: sides(2, rows=21),
    "widths": lambda: pair(2, tokens=(3, 7), rows=24, vocabulary=21),
    "heads of unequal length": lambda: (lengthened(sides(2)[0], 32), sides(2)[1]),
    "one token": lambda: sides(2, tokens=()),
    "a flat list": lambda: sides(2, tokens=(21,)),
}


@every_kernel
@pytest.mark.parametrize("case", UNDIVIDED)
def test_what_the_mesh_does_not_divide_stays_whole(name, case):
    student, teacher = UNDIVIDED[case]()
    run = jax.jit(functools.partial(every_loss, name))
    arguments = student, teacher, targets(2, tokens=student.values.shape[:-1], vocabulary=21)
    alone = run(*arguments)
    with on_mesh(1, 2, 4):
        spread = run(*arguments)
    # The gradient of a single token is small differences of probabilities, and has no large element beside them.
    assert_equal(spread, alone, tolerance=5e-6)


def test_the_reference_equals_one_device_too():
    run = jax.jit(
        lambda *sides: loss_and_gradient(
            functools.partial(
                linear_divergence, divergence=SEPARABLE["forward_kl"], implementation="reference", **given(3)
            ),
            *sides,
        )
    )
    alone = run(*sides(3))
    with on_mesh(2, 2, 2):
        spread = run(*sides(3))
    assert_equal(spread, alone)


@every_kernel
@pytest.mark.parametrize("shape", [(2, 2, 2), (4, 1, 2), (8, 1, 1)], ids=str)
def test_axes_that_the_caller_made_manual_are_left_alone(name, shape):
    student, teacher = sides(4, tokens=(8, 3))
    weights = jnp.asarray(np.random.default_rng(4).random((8, 3)), jnp.float32)

    def local(student, teacher, weights):
        function = functools.partial(
            linear_divergence, weights=weights, divergence=SEPARABLE["forward_kl"], implementation=KERNELS[name]
        )
        loss, gradient = loss_and_gradient(function, student, teacher)
        heads = jax.lax.psum([side.head for side in gradient], DATA)
        return jax.lax.psum(loss.total, DATA), loss.divergence, [side.values for side in gradient], heads

    def whole(student, teacher, weights):
        function = functools.partial(
            linear_divergence, weights=weights, divergence=SEPARABLE["forward_kl"], implementation=KERNELS[name]
        )
        loss, gradient = loss_and_gradient(function, student, teacher)
        return loss.total, loss.divergence, [side.values for side in gradient], [side.head for side in gradient]

    alone = jax.jit(whole)(student, teacher, weights)
    rows, everywhere = PartitionSpec(DATA), PartitionSpec()
    specs = [with_values(jax.tree.map(lambda _: everywhere, side), rows) for side in (student, teacher)]
    with on_mesh(*shape):
        spread = jax.shard_map(
            local,
            in_specs=(*specs, rows),
            out_specs=(everywhere, rows, rows, everywhere),
            axis_names={DATA},
            check_vma=False,
        )
        assert_equal(jax.jit(spread)(student, teacher, weights), alone)


@every_kernel
def test_a_vocabulary_of_151_936_tokens_is_finite_and_equal(name):
    kernel = {"token_chunk": TokenChunk(chunk=4), "vocab_tile": VocabTile(tile=8192)}[name]
    student, teacher = (hiddens(seed, 2, tokens=(8,), rows=151_936, vocabulary=151_669) for seed in (5, 6))
    function = functools.partial(
        linear_divergence,
        divergence=SEPARABLE["forward_kl"],
        implementation=kernel,
        **targets(5, tokens=(8,), vocabulary=151_669),
    )
    run = jax.jit(functools.partial(loss_and_gradient, function))
    alone = run(student, teacher)
    with on_mesh(1, 1, 8):
        spread = run(student, teacher)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(spread))
    # Sums of so many terms are rounded to 1e-6 themselves.
    assert_equal(spread, alone, tolerance=3e-6)


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


@every_kernel
@pytest.mark.parametrize("shape", [(1, 1, 8), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("divergence", SEPARABLE)
def test_only_heads_are_gathered(name, shape, divergence):
    student, teacher = sides(7, tokens=(8, 7))
    text = program(KERNELS[name], SEPARABLE[divergence], shape, student, teacher)
    _, fsdp, tensor = shape
    # A device's rows of a head, with the whole width.
    heads = [(24 // tensor, side.values.shape[-1]) for side in (student, teacher)] if fsdp > 1 else []
    assert_gathers_nothing_but(text, heads)
    assert len(all_gathers(text)) >= len(heads)


def test_a_divergence_of_the_whole_distribution_fails_the_same_assertion():
    text = program(KERNELS["token_chunk"], WHOLE["adaptive_kl"], (1, 1, 8), *sides(7, tokens=(8, 7)))
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
