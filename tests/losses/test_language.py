"""Losses on labels: hand values, laws, oracles, masks, gradients, extreme logits, transforms, errors."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.losses import cross_entropy, segment_log_prob, sequence_log_prob
from tests.losses.compiled import assert_equals_finite_differences, compiled

OPTIONS = {
    "plain": {},
    "label_smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.02},
    "both": {"label_smoothing": 0.3, "z_loss": 0.01},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
every_reduction = pytest.mark.parametrize("reduction", ["sum", "mean"])

MASK = np.array([[True, True, False, True, False], [False, False, False, False, True], [True] * 5])
SEGMENTS = np.array([[1, 1, 1, 2, 0], [1, 1, 1, 1, 2], [1, 2, 2, 3, 3]])
NUM_SEGMENTS = 4


def case(seed=0, shape=(3, 5), vocabulary=11):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(*shape, vocabulary)) * 3).astype(np.float32)
    return logits, rng.integers(0, vocabulary, shape).astype(np.int32)


def loss(logits, labels, **options):
    """Cross-entropy and its gradient."""
    value, (gradient,) = compiled(cross_entropy, **options)(logits, labels=labels)
    return value, gradient


def sequences(logits, labels, mask=MASK, **options):
    """The log-probability of each row's labels, and its gradient."""
    value, (gradient,) = compiled(sequence_log_prob, **options)(logits, labels=labels, mask=mask)
    return value, gradient


def segments(logits, labels, mask=MASK, segment_ids=SEGMENTS, num_segments=NUM_SEGMENTS, **options):
    """The log-probability of each segment's labels, and its gradient."""
    run = compiled(segment_log_prob, num_segments=num_segments, **options)
    value, (gradient,) = run(logits, labels=labels, mask=mask, segment_ids=segment_ids)
    return value, gradient


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
    np.testing.assert_allclose(loss(np.zeros((3, 5, 11), np.float32), case()[1])[0], np.log(11), rtol=1e-6)


def test_hand_values_of_the_options():
    logits, label = np.log(np.float32([6, 2])), np.array(0)  # q = (3/4, 1/4), Z = 8
    smoothed, _ = loss(logits, label, label_smoothing=0.2)
    np.testing.assert_allclose(smoothed, -0.9 * np.log(0.75) - 0.1 * np.log(0.25), rtol=1e-6)
    penalised, _ = loss(logits, label, z_loss=0.5)
    np.testing.assert_allclose(penalised, -np.log(0.75) + 0.5 * np.log(8) ** 2, rtol=1e-6)


@every_option
def test_equals_float64_numpy(options):
    logits, labels = case()
    value, _ = loss(logits, labels, **options)
    np.testing.assert_allclose(value, exact_cross_entropy(logits, labels, **options), rtol=2e-6, atol=1e-6)


def test_only_the_penalty_sees_a_constant():
    logits, labels = case(4)
    for options in (OPTIONS["plain"], OPTIONS["label_smoothing"]):
        value, _ = loss(logits, labels, **options)
        np.testing.assert_allclose(loss(logits + 2, labels, **options)[0], value, rtol=1e-5, atol=1e-6)
    wide = logits.astype(np.float64)
    normalised, _ = exact_log_probs(wide)
    with jax.enable_x64(True):
        plain, _ = loss(wide, labels)
        np.testing.assert_allclose(loss(normalised, labels, z_loss=1.0)[0], plain, rtol=1e-12)
        assert (loss(normalised + 2, labels, z_loss=1.0)[0] > plain + 3.9).all()


@every_option
def test_gradient_of_cross_entropy(options):
    logits, labels = case(1)
    _, gradient = loss(logits, labels, **options)
    smoothing = options.get("label_smoothing", 0.0)
    log_q, log_z = exact_log_probs(logits)
    target = (1 - smoothing) * np.eye(11)[labels] + smoothing / 11
    closed = np.exp(log_q) * (1 + 2 * options.get("z_loss", 0.0) * log_z[..., None]) - target
    np.testing.assert_allclose(gradient, closed, atol=2e-6)
    run = functools.partial(compiled(cross_entropy, **options), labels=labels)
    with jax.enable_x64(True):
        assert_equals_finite_differences(run, logits.astype(np.float64), rtol=1e-7, atol=1e-9, eps=1e-5)


@every_option
def test_rows_that_are_not_tokens_change_neither_value_nor_gradient(options):
    logits, labels = case(2)
    value, gradient = loss(logits, labels, **options)
    widths = ((0, 0), (0, 0), (0, 2))
    padded, padded_gradient = loss(np.pad(logits, widths, constant_values=-np.inf), labels, **options)
    np.testing.assert_allclose(padded, value, rtol=1e-6)
    np.testing.assert_allclose(padded_gradient, np.pad(gradient, widths), atol=1e-6)


@every_option
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e4), (1.0, -1e4), (1e4, 0.0)])
def test_large_logits_stay_exact_and_their_gradient_finite(options, scale, shift):
    logits, labels = case(2)
    logits = logits * np.float32(scale) + np.float32(shift)
    value, gradient = loss(logits, labels, **options)
    np.testing.assert_allclose(value, exact_cross_entropy(logits, labels, **options), rtol=2e-6, atol=1e-6)
    assert np.isfinite(gradient).all()


@every_option
def test_degenerate_distributions_have_a_finite_gradient(options):
    one_token = np.full((3, 5, 11), -np.inf, np.float32)
    one_token[..., 1] = 3
    value, gradient = loss(one_token, np.ones((3, 5), np.int32), **options)
    np.testing.assert_allclose(value, options.get("z_loss", 0.0) * 9.0, rtol=1e-6)
    assert np.isfinite(gradient).all()
    assert np.isfinite(loss(np.zeros((3, 5, 11), np.float32), np.zeros((3, 5), np.int32), **options)[1]).all()


def test_an_impossible_label_and_nan_are_not_hidden():
    logits, labels = np.zeros((3, 5, 11), np.float32), np.zeros((3, 5), np.int32)
    logits[0, :, 1:], logits[1, :, 1] = -np.inf, np.nan
    labels[0] = 1
    value, _ = loss(logits, labels, **OPTIONS["label_smoothing"])
    np.testing.assert_array_equal(value[0], np.inf)
    np.testing.assert_array_equal(value[1], np.nan)
    assert np.isfinite(value[2]).all()


@every_option
def test_bfloat16_is_summed_in_float32_and_float64_is_kept(options):
    logits, labels = case(3)
    half = logits.astype(jnp.bfloat16)
    value, _ = loss(half, labels, **options)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, loss(half.astype(np.float32), labels, **options)[0])
    # bfloat16 moves each logit by at most 2^-9 of its size; the loss moves by at most twice that, and the
    # penalty by 2 z_loss log Z of it more.
    moved = np.abs(logits).max(-1) * 2**-9
    bound = moved * (2 + 2 * options.get("z_loss", 0.0) * np.abs(exact_log_probs(logits)[1])) * 1.01
    assert (np.abs(value - loss(logits, labels, **options)[0]) <= bound).all()
    with jax.enable_x64(True):
        value, _ = loss(logits.astype(np.float64), labels, **options)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, exact_cross_entropy(logits, labels, **options), rtol=1e-12)


@every_option
def test_transforms_of_cross_entropy_change_nothing(options):
    logits, labels = case(5)
    value, _ = loss(logits, labels, **options)
    function = functools.partial(cross_entropy, **options)
    np.testing.assert_allclose(function(jnp.asarray(logits), jnp.asarray(labels)), value, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(logits, labels), value, rtol=2e-6, atol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_labels_that_are_not_ids_and_options_out_of_range():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"labels must have the leading shape of logits, \(3, 5\), got \(5,\)"):
        loss(logits, labels[0])
    with pytest.raises(TypeError, match=r"labels must be token ids of an integer dtype, got float32"):
        loss(logits, labels.astype(np.float32))
    for value in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=rf"label_smoothing must be in \[0, 1\), got {value}\. .* such as 0\.1"):
            loss(logits, labels, label_smoothing=value)
    for value in (-1e-4, math.nan):
        with pytest.raises(ValueError, match=rf"z_loss must be 0 or more, got {value}\. .* such as 1e-4"):
            loss(logits, labels, z_loss=value)


def test_hand_values_of_sequences_and_segments():
    logits = np.log(np.float32([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]]))
    labels, mask = np.array([0, 0, 1]), np.array([True, True, False])
    np.testing.assert_allclose(sequences(logits, labels, mask)[0], np.log(1 / 8), rtol=1e-6)
    np.testing.assert_allclose(sequences(logits, labels, mask, reduction="mean")[0], np.log(1 / 8) / 2, rtol=1e-6)
    found, _ = segments(logits, labels, mask, np.array([1, 2, 2]), num_segments=3)
    np.testing.assert_allclose(found, [np.log(1 / 2), np.log(1 / 4), 0], rtol=1e-6)


@every_reduction
def test_sequences_and_segments_equal_float64_numpy(reduction):
    logits, labels = case(6)
    exact = exact_sequences(logits, labels, MASK, reduction)
    np.testing.assert_allclose(sequences(logits, labels, reduction=reduction)[0], exact, rtol=2e-6)
    exact = exact_segments(logits, labels, MASK, SEGMENTS, reduction)
    np.testing.assert_allclose(segments(logits, labels, reduction=reduction)[0], exact, rtol=2e-6)


@every_reduction
def test_one_segment_is_the_sequence_and_packing_changes_nothing(reduction):
    logits, labels = case(7)
    rows, _ = sequences(logits, labels, reduction=reduction)
    ones = np.ones((3, 5), int)
    np.testing.assert_allclose(segments(logits, labels, MASK, ones, 1, reduction=reduction)[0][:, 0], rows, rtol=1e-6)
    packed = logits.reshape(15, 11), labels.reshape(15), MASK.reshape(15), np.repeat([1, 2, 3], 5)
    np.testing.assert_allclose(segments(*packed, num_segments=3, reduction=reduction)[0], rows, rtol=1e-6)


def test_a_segment_beyond_the_last_is_left_out():
    logits, labels = case(7)
    whole, _ = segments(logits, labels, reduction="sum")
    np.testing.assert_array_equal(segments(logits, labels, num_segments=2, reduction="sum")[0], whole[:, :2])


@every_reduction
@pytest.mark.parametrize("function", [sequences, segments])
def test_padded_equals_truncated_whatever_the_padding_holds(reduction, function):
    logits, labels = case(8)
    mask = np.broadcast_to(np.arange(5) < 3, (3, 5))
    ids = {"segment_ids": np.where(mask, SEGMENTS, 99)} if function is segments else {}
    short = {name: array[:, :3] for name, array in ids.items()}
    spoilt = np.where(mask[..., None], logits, np.float32(np.nan)), np.where(mask, labels, -100)
    value, gradient = function(*spoilt, mask, **ids, reduction=reduction)
    truncated = function(logits[:, :3], labels[:, :3], mask[:, :3], **short, reduction=reduction)
    np.testing.assert_allclose(value, truncated[0], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, :3], truncated[1], rtol=1e-6)
    np.testing.assert_array_equal(gradient[:, 3:], 0)


@every_reduction
@pytest.mark.parametrize("function", [sequences, segments])
def test_no_tokens_give_zero_and_a_zero_gradient(reduction, function):
    value, gradient = function(*case(9), np.zeros((3, 5), bool), reduction=reduction)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, 0)


@every_reduction
def test_gradients_of_sequences_and_segments(reduction):
    logits, labels = case(10)
    _, gradient = sequences(logits, labels, reduction=reduction)
    closed = np.eye(11)[labels] - np.exp(exact_log_probs(logits)[0])
    tokens = MASK.sum(1)[:, None, None] if reduction == "mean" else 1
    np.testing.assert_allclose(gradient, np.where(MASK[..., None], closed, 0.0) / tokens, atol=1e-6)
    for function in (sequences, segments):

        def run(logits, function=function):
            value, gradient = function(logits, labels, reduction=reduction)
            return value, (gradient,)

        with jax.enable_x64(True):
            assert_equals_finite_differences(run, logits.astype(np.float64), rtol=1e-7, atol=1e-9, eps=1e-5)


@every_reduction
@pytest.mark.parametrize("function", [sequences, segments])
def test_large_and_bfloat16_logits_of_sequences_and_segments(reduction, function):
    logits, labels = case(11)

    def exact(logits):
        if function is sequences:
            return exact_sequences(logits, labels, MASK, reduction)
        return exact_segments(logits, labels, MASK, SEGMENTS, reduction)

    for scale, shift in ((1.0, 1e4), (1e4, 0.0)):
        large = logits * np.float32(scale) + np.float32(shift)
        value, gradient = function(large, labels, reduction=reduction)
        np.testing.assert_allclose(value, exact(large), rtol=2e-6, atol=1e-5)
        assert np.isfinite(gradient).all()
    half = logits.astype(jnp.bfloat16)
    value, _ = function(half, labels, reduction=reduction)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, exact(half), rtol=2e-6)
    with jax.enable_x64(True):
        value, _ = function(logits.astype(np.float64), labels, reduction=reduction)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, exact(logits), rtol=1e-12)


@every_reduction
def test_transforms_of_sequences_and_segments_change_nothing(reduction):
    logits, labels = case(12)
    arrays = [jnp.asarray(array) for array in (logits, labels, MASK, SEGMENTS)]
    for function, expected, inputs in (
        (sequence_log_prob, sequences, arrays[:3]),
        (functools.partial(segment_log_prob, num_segments=NUM_SEGMENTS), segments, arrays),
    ):
        run = functools.partial(function, reduction=reduction)
        value, _ = expected(logits, labels, reduction=reduction)
        np.testing.assert_allclose(run(*inputs), value, rtol=2e-6)
        np.testing.assert_allclose(jax.jit(jax.vmap(run))(*inputs), value, rtol=2e-6)


def test_eight_devices_change_nothing():
    logits, labels = case(13, (8, 3), 16)
    mask, ids = labels < 12, np.broadcast_to(np.array([1, 2, 2]), (8, 3))
    mesh = jax.make_mesh((2, 4), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    placed = (
        jax.device_put(logits, NamedSharding(mesh, PartitionSpec("data", None, "tensor"))),
        *jax.device_put((labels, mask, ids), NamedSharding(mesh, PartitionSpec("data"))),
    )
    options = {"num_segments": 2, "reduction": "mean"}
    found, expected = (segments(*arrays, **options) for arrays in (placed, (logits, labels, mask, ids)))
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_masks_segments_and_reductions_that_do_not_fit():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"mask must have the shape of labels, \(3, 5\), got \(3,\)\. It marks"):
        sequences(logits, labels, MASK[:, 0])
    with pytest.raises(ValueError, match=r"labels must have the leading shape of logits, \(3, 5\), got \(5,\)"):
        sequences(logits, labels[0], MASK)
    with pytest.raises(ValueError, match=r"reduction must be one of sum, mean, got 'max'"):
        sequences(logits, labels, MASK, reduction="max")
    with pytest.raises(ValueError, match=r"segment_ids must have the shape of values, \(3, 5\), got \(5,\)\. Take"):
        segments(logits, labels, MASK, SEGMENTS[0], num_segments=2)
    with pytest.raises(ValueError, match=r"num_segments must be 1 or more, got 0\. Give"):
        segments(logits, labels, MASK, SEGMENTS, num_segments=0)
