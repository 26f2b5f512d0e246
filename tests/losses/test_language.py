"""Losses on labels: hand values, laws, oracles, masks, gradients, extreme logits, transforms, errors."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses import cross_entropy, segment_log_prob, sequence_log_prob

OPTIONS = {
    "plain": {},
    "label_smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.02},
    "both": {"label_smoothing": 0.3, "z_loss": 0.01},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
every_reduction = pytest.mark.parametrize("reduction", ["sum", "mean"])

MASK = jnp.array([[True, True, False, True, False], [False, False, False, False, True], [True] * 5])
SEGMENTS = jnp.array([[1, 1, 1, 2, 0], [1, 1, 1, 1, 2], [1, 2, 2, 3, 3]])
NUM_SEGMENTS = 4


def case(seed=0, shape=(3, 5), vocabulary=11):
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(size=(*shape, vocabulary)) * 3, jnp.float32)
    return logits, jnp.asarray(rng.integers(0, vocabulary, shape), jnp.int32)


def exact_log_probs(logits):
    """Log-softmax and log Z in float64; logits of -inf are rows that do not exist."""
    logits = np.asarray(logits, np.float64)
    largest = logits.max(-1)
    log_z = np.log(np.exp(logits - largest[..., None]).sum(-1)) + largest
    return logits - log_z[..., None], log_z


def exact_cross_entropy(logits, labels, label_smoothing=0.0, z_loss=0.0):
    log_q, log_z = exact_log_probs(logits)
    values = np.empty(labels.shape)
    for place in np.ndindex(*labels.shape):
        tokens = np.isfinite(log_q[place])
        target = np.zeros(tokens.size)
        target[tokens] = label_smoothing / tokens.sum()
        target[labels[place]] += 1 - label_smoothing
        values[place] = -(target[tokens] * log_q[place][tokens]).sum() + z_loss * log_z[place] ** 2
    return values


def exact_segments(logits, labels, mask, segments, reduction, num_segments=NUM_SEGMENTS):
    log_q, _ = exact_log_probs(logits)
    label_log_probs = np.take_along_axis(log_q, np.asarray(labels)[..., None], -1)[..., 0]
    values = np.zeros((len(labels), num_segments))
    for row in range(len(labels)):
        for segment in range(1, num_segments + 1):
            chosen = label_log_probs[row][np.asarray(mask[row]) & (np.asarray(segments[row]) == segment)]
            if chosen.size:
                values[row, segment - 1] = getattr(chosen, reduction)()
    return values


def exact_sequences(logits, labels, mask, reduction):
    return exact_segments(logits, labels, mask, np.ones(mask.shape), reduction, num_segments=1)[:, 0]


def test_uniform_logits_cost_log_v():
    np.testing.assert_allclose(cross_entropy(jnp.zeros((2, 8)), jnp.array([0, 7])), np.log(8), rtol=1e-6)


def test_hand_values_of_the_options():
    logits, label = jnp.log(jnp.array([6.0, 2.0])), jnp.array(0)  # q = (3/4, 1/4), Z = 8
    smoothed = cross_entropy(logits, label, label_smoothing=0.2)
    np.testing.assert_allclose(smoothed, -0.9 * np.log(0.75) - 0.1 * np.log(0.25), rtol=1e-6)
    penalised = cross_entropy(logits, label, z_loss=0.5)
    np.testing.assert_allclose(penalised, -np.log(0.75) + 0.5 * np.log(8) ** 2, rtol=1e-6)


@every_option
def test_equals_float64_numpy(options):
    logits, labels = case()
    np.testing.assert_allclose(
        cross_entropy(logits, labels, **options), exact_cross_entropy(logits, labels, **options), rtol=2e-6, atol=1e-6
    )


def test_only_the_penalty_sees_a_constant():
    logits, labels = case(4)
    for smoothing in (0.0, 0.3):
        np.testing.assert_allclose(
            cross_entropy(logits + 2.0, labels, label_smoothing=smoothing),
            cross_entropy(logits, labels, label_smoothing=smoothing),
            rtol=1e-5,
            atol=1e-6,
        )
    normalised = jax.nn.log_softmax(logits)
    np.testing.assert_allclose(cross_entropy(normalised, labels, z_loss=1.0), cross_entropy(logits, labels), atol=2e-6)
    assert (cross_entropy(normalised + 2.0, labels, z_loss=1.0) > cross_entropy(logits, labels) + 3.9).all()


@every_option
def test_gradient_of_cross_entropy(options):
    logits, labels = case(1)

    @jax.jit
    def loss(logits):
        return cross_entropy(logits, labels, **options).sum()

    smoothing = options.get("label_smoothing", 0.0)
    log_q, log_z = exact_log_probs(logits)
    target = (1 - smoothing) * jax.nn.one_hot(labels, 11) + smoothing / 11
    closed = np.exp(log_q) * (1 + 2 * options.get("z_loss", 0.0) * log_z[..., None]) - target
    np.testing.assert_allclose(jax.grad(loss)(logits), closed, atol=2e-6)
    check_grads(loss, (logits,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2)


@every_option
def test_rows_that_are_not_tokens_change_neither_value_nor_gradient(options):
    logits, labels = case(2)
    total = jax.value_and_grad(lambda logits: cross_entropy(logits, labels, **options).sum())
    widths = ((0, 0), (0, 0), (0, 2))
    value, gradient = total(logits)
    padded, padded_gradient = total(jnp.pad(logits, widths, constant_values=-jnp.inf))
    np.testing.assert_allclose(padded, value, rtol=1e-6)
    np.testing.assert_allclose(padded_gradient, jnp.pad(gradient, widths), atol=1e-6)


@every_option
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e4), (1.0, -1e4), (1e4, 0.0)])
def test_large_logits_stay_exact_and_their_gradient_finite(options, scale, shift):
    logits, labels = case(2)
    logits = logits * scale + shift
    np.testing.assert_allclose(
        cross_entropy(logits, labels, **options), exact_cross_entropy(logits, labels, **options), rtol=2e-6, atol=1e-6
    )
    gradient = jax.grad(lambda logits: cross_entropy(logits, labels, **options).sum())(logits)
    assert jnp.isfinite(gradient).all()


@every_option
def test_degenerate_distributions_have_a_finite_gradient(options):
    one_token = jnp.full((2, 4), -jnp.inf).at[:, 1].set(3.0)
    value, gradient = jax.value_and_grad(lambda logits: cross_entropy(logits, jnp.array([1, 1]), **options).sum())(
        one_token
    )
    np.testing.assert_allclose(value, 2 * options.get("z_loss", 0.0) * 9.0, rtol=1e-6)
    assert jnp.isfinite(gradient).all()
    assert jnp.isfinite(jax.grad(lambda logits: cross_entropy(logits, jnp.array(0), **options))(jnp.zeros(4))).all()


def test_an_impossible_label_and_nan_are_not_hidden():
    logits = jnp.array([[0.0, -jnp.inf], [0.0, jnp.nan], [0.0, 0.0]])
    value = cross_entropy(logits, jnp.array([1, 0, 0]), label_smoothing=0.1)
    assert value[0] == jnp.inf
    assert jnp.isnan(value[1])
    assert jnp.isfinite(value[2])


@every_option
def test_bfloat16_is_summed_in_float32_and_float64_is_kept(options):
    logits, labels = case(3)
    half = logits.astype(jnp.bfloat16)
    assert cross_entropy(half, labels, **options).dtype == jnp.float32
    np.testing.assert_array_equal(
        cross_entropy(half, labels, **options), cross_entropy(half.astype(jnp.float32), labels, **options)
    )
    # bfloat16 moves each logit by at most 2^-9 of its size; the loss moves by at most twice that, and the
    # penalty by 2 z_loss log Z of it more.
    moved = np.abs(logits).max(-1) * 2**-9
    bound = moved * (2 + 2 * options.get("z_loss", 0.0) * np.abs(exact_log_probs(logits)[1])) * 1.01
    assert (np.abs(cross_entropy(half, labels, **options) - cross_entropy(logits, labels, **options)) <= bound).all()
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(logits, np.float64))
        value = cross_entropy(wide, labels, **options)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, exact_cross_entropy(wide, labels, **options), rtol=1e-12)


@every_option
def test_transforms_of_cross_entropy_change_nothing(options):
    logits, labels = case(5)
    loss = functools.partial(cross_entropy, **options)
    eager = loss(logits, labels)
    np.testing.assert_allclose(jax.jit(loss)(logits, labels), eager, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(loss)(logits, labels), eager, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jnp.stack([*map(loss, logits, labels)]), eager, rtol=2e-6, atol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_labels_that_are_not_ids_and_options_out_of_range():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"labels must have the leading shape of logits, \(3, 5\), got \(5,\)"):
        cross_entropy(logits, labels[0])
    with pytest.raises(TypeError, match=r"labels must be token ids of an integer dtype, got float32"):
        cross_entropy(logits, labels.astype(jnp.float32))
    for value in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=rf"label_smoothing must be in \[0, 1\), got {value}\. .* 0\.1, say"):
            cross_entropy(logits, labels, label_smoothing=value)
    for value in (-1e-4, math.nan):
        with pytest.raises(ValueError, match=rf"z_loss must be 0 or more, got {value}\. .* 1e-4, say"):
            cross_entropy(logits, labels, z_loss=value)


def test_hand_values_of_sequences_and_segments():
    logits = jnp.log(jnp.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]]))
    labels, mask = jnp.array([0, 0, 1]), jnp.array([True, True, False])
    np.testing.assert_allclose(sequence_log_prob(logits, labels, mask), np.log(1 / 8), rtol=1e-6)
    np.testing.assert_allclose(sequence_log_prob(logits, labels, mask, reduction="mean"), np.log(1 / 8) / 2, rtol=1e-6)
    segments = segment_log_prob(logits, labels, mask, jnp.array([1, 2, 2]), num_segments=3)
    np.testing.assert_allclose(segments, [np.log(1 / 2), np.log(1 / 4), 0], rtol=1e-6)


@every_reduction
def test_sequences_and_segments_equal_float64_numpy(reduction):
    logits, labels = case(6)
    np.testing.assert_allclose(
        sequence_log_prob(logits, labels, MASK, reduction=reduction),
        exact_sequences(logits, labels, MASK, reduction),
        rtol=2e-6,
    )
    np.testing.assert_allclose(
        segment_log_prob(logits, labels, MASK, SEGMENTS, num_segments=NUM_SEGMENTS, reduction=reduction),
        exact_segments(logits, labels, MASK, SEGMENTS, reduction),
        rtol=2e-6,
    )


@every_reduction
def test_one_segment_is_the_sequence_and_packing_changes_nothing(reduction):
    logits, labels = case(7)
    rows = sequence_log_prob(logits, labels, MASK, reduction=reduction)
    alone = segment_log_prob(logits, labels, MASK, jnp.ones((3, 5), jnp.int32), num_segments=1, reduction=reduction)
    np.testing.assert_allclose(alone[:, 0], rows, rtol=1e-6)
    packed = segment_log_prob(
        logits.reshape(15, 11),
        labels.reshape(15),
        MASK.reshape(15),
        jnp.repeat(jnp.arange(1, 4), 5),
        num_segments=3,
        reduction=reduction,
    )
    np.testing.assert_allclose(packed, rows, rtol=1e-6)


def test_a_segment_beyond_the_last_is_left_out():
    logits, labels = case(7)
    options = {"mask": MASK, "segment_ids": SEGMENTS}
    whole = segment_log_prob(logits, labels, **options, num_segments=NUM_SEGMENTS)
    np.testing.assert_array_equal(segment_log_prob(logits, labels, **options, num_segments=2), whole[:, :2])


@every_reduction
def test_padded_equals_truncated_whatever_the_padding_holds(reduction):
    logits, labels = case(8)
    mask = jnp.arange(5)[None, :] < jnp.array([3, 3, 3])[:, None]
    spoilt = jnp.where(mask[..., None], logits, jnp.nan), jnp.where(mask, labels, -100)

    @jax.value_and_grad
    def sequences(logits, labels, mask):
        return sequence_log_prob(logits, labels, mask, reduction=reduction).sum()

    @jax.value_and_grad
    def segments(logits, labels, mask):
        ids = jnp.where(mask, SEGMENTS[:, : mask.shape[1]], 99)
        return segment_log_prob(logits, labels, mask, ids, num_segments=NUM_SEGMENTS, reduction=reduction).sum()

    for function in (sequences, segments):
        value, gradient = function(*spoilt, mask)
        short, short_gradient = function(logits[:, :3], labels[:, :3], mask[:, :3])
        np.testing.assert_allclose(value, short, rtol=1e-6)
        np.testing.assert_allclose(gradient[:, :3], short_gradient, rtol=1e-6)
        np.testing.assert_array_equal(gradient[:, 3:], 0)


@every_reduction
def test_no_tokens_give_zero_and_a_zero_gradient(reduction):
    logits, labels = case(9)
    nothing = jnp.zeros((3, 5), bool)

    def total(logits):
        sequences = sequence_log_prob(logits, labels, nothing, reduction=reduction)
        segments = segment_log_prob(logits, labels, nothing, SEGMENTS, num_segments=NUM_SEGMENTS, reduction=reduction)
        return sequences.sum() + segments.sum()

    value, gradient = jax.value_and_grad(total)(logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@every_reduction
def test_gradients_of_sequences_and_segments(reduction):
    logits, labels = case(10)

    @jax.jit
    def sequences(logits):
        return sequence_log_prob(logits, labels, MASK, reduction=reduction)

    @jax.jit
    def segments(logits):
        return segment_log_prob(logits, labels, MASK, SEGMENTS, num_segments=NUM_SEGMENTS, reduction=reduction)

    closed = jax.nn.one_hot(labels, 11) - jax.nn.softmax(logits)
    tokens = MASK.sum(1)[:, None, None] if reduction == "mean" else 1
    gradient = jax.grad(lambda logits: sequences(logits).sum())(logits)
    np.testing.assert_allclose(gradient, jnp.where(MASK[..., None], closed, 0.0) / tokens, atol=1e-6)
    for function in (sequences, segments):
        check_grads(function, (logits,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2)


@every_reduction
def test_large_and_bfloat16_logits_of_sequences_and_segments(reduction):
    logits, labels = case(11)
    options = {"num_segments": NUM_SEGMENTS, "reduction": reduction}
    for scale, shift in ((1.0, 1e4), (1e4, 0.0)):
        large = logits * scale + shift
        np.testing.assert_allclose(
            sequence_log_prob(large, labels, MASK, reduction=reduction),
            exact_sequences(large, labels, MASK, reduction),
            rtol=2e-6,
            atol=1e-5,
        )
        np.testing.assert_allclose(
            segment_log_prob(large, labels, MASK, SEGMENTS, **options),
            exact_segments(large, labels, MASK, SEGMENTS, reduction),
            rtol=2e-6,
            atol=1e-5,
        )
        assert jnp.isfinite(
            jax.grad(lambda logits: sequence_log_prob(logits, labels, MASK, reduction=reduction).sum())(large)
        ).all()
    half = logits.astype(jnp.bfloat16)
    value = sequence_log_prob(half, labels, MASK, reduction=reduction)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, exact_sequences(half, labels, MASK, reduction), rtol=2e-6)
    segments = segment_log_prob(half, labels, MASK, SEGMENTS, **options)
    np.testing.assert_allclose(segments, exact_segments(half, labels, MASK, SEGMENTS, reduction), rtol=2e-6)
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(logits, np.float64))
        value = sequence_log_prob(wide, labels, MASK, reduction=reduction)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, exact_sequences(wide, labels, MASK, reduction), rtol=1e-12)


@every_reduction
def test_transforms_of_sequences_and_segments_change_nothing(reduction):
    arrays = (*case(12), MASK, SEGMENTS)
    segments = functools.partial(segment_log_prob, num_segments=NUM_SEGMENTS, reduction=reduction)
    for function, inputs in (
        (functools.partial(sequence_log_prob, reduction=reduction), arrays[:3]),
        (segments, arrays),
    ):
        eager = function(*inputs)
        np.testing.assert_allclose(jax.jit(function)(*inputs), eager, rtol=2e-6)
        np.testing.assert_allclose(jax.vmap(function)(*inputs), eager, rtol=2e-6)
        np.testing.assert_allclose(jnp.stack([*map(function, *inputs)]), eager, rtol=2e-6)


def test_eight_devices_change_nothing():
    logits, labels = case(13, (8, 3), 16)
    mask, segments = labels < 12, jnp.broadcast_to(jnp.array([1, 2, 2]), (8, 3))
    mesh = jax.make_mesh((2, 4), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    rows = NamedSharding(mesh, PartitionSpec("data"))
    placed = (
        jax.device_put(logits, NamedSharding(mesh, PartitionSpec("data", None, "tensor"))),
        *jax.device_put((labels, mask, segments), rows),
    )
    function = jax.jit(functools.partial(segment_log_prob, num_segments=2, reduction="mean"))
    np.testing.assert_allclose(function(*placed), function(logits, labels, mask, segments), rtol=2e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_masks_segments_and_reductions_that_do_not_fit():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"mask must have the shape of labels, \(3, 5\), got \(3,\)\. It marks"):
        sequence_log_prob(logits, labels, MASK[:, 0])
    with pytest.raises(ValueError, match=r"labels must have the leading shape of logits, \(3, 5\), got \(5,\)"):
        sequence_log_prob(logits, labels[0], MASK)
    with pytest.raises(ValueError, match=r"reduction must be one of sum, mean, got 'max'"):
        sequence_log_prob(logits, labels, MASK, reduction="max")
    with pytest.raises(ValueError, match=r"segment_ids must have the shape of values, \(3, 5\), got \(5,\)\. Take"):
        segment_log_prob(logits, labels, MASK, SEGMENTS[0], num_segments=2)
    with pytest.raises(ValueError, match=r"num_segments must be 1 or more, got 0\. Give"):
        segment_log_prob(logits, labels, MASK, SEGMENTS, num_segments=0)
