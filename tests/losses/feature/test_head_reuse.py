"""Reuse of the teacher's head: hand value, levels, the frozen head, other heads and distances, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import bernoulli_divergence, binary_cross_entropy
from jaxkd.losses.feature import head_reuse_kd, hidden_mse
from tests.losses.compiled import compiled
from tests.losses.feature.oracles import features

SIZES = ((4, 6), (2, 3))


def convolution(params, maps, level):
    """A 3 x 3 convolution that all levels share."""
    del level
    dimensions = ("NHWC", "HWIO", "NHWC")
    return (
        jax.lax.conv_general_dilated(maps, params["kernel"], (1, 1), "SAME", dimension_numbers=dimensions)
        + (params["bias"][None, None, None])
    )


def pointwise(params, maps, level):
    """A linear map, times a scale of each level."""
    return maps @ params["kernel"] * params["scales"][level]


def levels(seed, channels):
    return [features(seed + place, (2, *size, channels)) for place, size in enumerate(SIZES)]


PARAMS = {"kernel": features(0, (5, 3)), "scales": np.float32([1, 3])}


def reuse(student, params, teacher, *, head=pointwise, distance=hidden_mse):
    return head_reuse_kd(student, head, params, teacher, distance=distance)


run = compiled(reuse)


def test_hand_values():
    """One level of four positions with gaps of 1 and 3, and one of a single position with the gap 2."""
    student = [np.ones((1, 2, 2, 2), np.float32), np.ones((1, 1, 1, 2), np.float32)]
    params = {"kernel": np.ones((2, 1), np.float32), "scales": np.ones(2, np.float32)}  # outputs of 2
    teacher = [np.float32([1, 1, -1, 5]).reshape(1, 2, 2, 1), np.zeros((1, 1, 1, 1), np.float32)]
    np.testing.assert_allclose(run(student, params, teacher)[0], [(1 + 1 + 9 + 9) / 4 + 4], rtol=1e-6)


def test_equals_float64_numpy_with_a_convolution_that_all_levels_share():
    """A mean within a level, over positions and channels, and a plain sum over levels."""
    student, teacher = levels(1, 5), levels(3, 3)
    params = {"kernel": features(5, (3, 3, 5, 3)), "bias": features(6, (3,))}
    found, _ = compiled(reuse, head=convolution)(student, params, teacher)
    expected = np.zeros(2)
    for maps, outputs in zip(student, teacher, strict=True):
        _, height, width, _ = maps.shape
        padded = np.pad(np.float64(maps), ((0, 0), (1, 1), (1, 1), (0, 0)))
        predicted = np.zeros(outputs.shape) + params["bias"]
        for down, right in np.ndindex(3, 3):
            predicted += padded[:, down : down + height, right : right + width] @ np.float64(
                params["kernel"][down, right]
            )
        expected += np.square(predicted - outputs).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_equal_features_cost_nothing_and_each_level_counts_the_same():
    student = levels(7, 5)
    outputs = [pointwise(PARAMS, jnp.asarray(maps), level) for level, maps in enumerate(student)]
    # In operation by operation order, as the outputs were computed: a compiler may round otherwise.
    np.testing.assert_array_equal(reuse([jnp.asarray(maps) for maps in student], PARAMS, outputs), 0)
    for level in range(len(SIZES)):
        shifted = [np.asarray(one) + np.float32(place == level) for place, one in enumerate(outputs)]
        np.testing.assert_allclose(run(student, PARAMS, shifted)[0], 1, rtol=1e-4)


def test_gradients_reach_the_student_alone():
    student, teacher = levels(9, 5), levels(11, 3)
    _, (to_student, to_params, to_teacher) = run(student, PARAMS, teacher)
    for gradient in (*to_params.values(), *to_teacher):
        np.testing.assert_array_equal(gradient, 0)
    for level, gradient in enumerate(to_student):
        scaled = PARAMS["kernel"] * PARAMS["scales"][level]
        gap = student[level] @ scaled - teacher[level]
        expected = 2 * gap @ scaled.T / gap[0].size
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_the_head_stays_frozen_where_it_also_makes_the_teachers_outputs():
    """Everything is computed from the parameters, and differentiated with respect to them and to an adapter."""
    student, teacher = levels(13, 4), levels(15, 5)

    def loss(adapter, params):
        outputs = [pointwise(params, jnp.asarray(maps), level) for level, maps in enumerate(teacher)]
        return reuse([maps @ adapter for maps in student], params, outputs)

    _, (to_adapter, to_params) = compiled(loss)(features(17, (4, 5)), PARAMS)
    assert (to_adapter != 0).all()
    for gradient in to_params.values():
        np.testing.assert_array_equal(gradient, 0)


def test_a_global_classifier_reads_vectors():
    student, teacher = features(18, (4, 5)), features(19, (4, 3))
    head = compiled(reuse, head=lambda kernel, vectors, level: vectors @ kernel)
    found, _ = head([student], PARAMS["kernel"], [teacher])
    np.testing.assert_allclose(found, np.square(student @ PARAMS["kernel"] - teacher).mean(1), rtol=1e-5)


def quality_focal(student, teacher):
    """One value a class: |sigmoid(t) - sigmoid(s)| BCE(s, sigmoid(t)), without stopping the teacher itself."""
    target = jax.nn.sigmoid(teacher)
    return jnp.abs(target - jax.nn.sigmoid(student)) * binary_cross_entropy(student, target)


@pytest.mark.parametrize("distance", [quality_focal, bernoulli_divergence])
def test_another_distance_is_averaged_over_whatever_it_returns(distance):
    student, teacher = levels(20, 5), levels(22, 3)
    found, (to_student, _, to_teacher) = compiled(reuse, distance=distance)(student, PARAMS, teacher)
    expected = [
        distance(pointwise(PARAMS, jnp.asarray(maps), level), jnp.asarray(outputs)).mean((1, 2, 3))
        for level, (maps, outputs) in enumerate(zip(student, teacher, strict=True))
    ]
    np.testing.assert_allclose(found, sum(expected), rtol=1e-5)
    assert all((gradient != 0).any() for gradient in to_student)
    for gradient in to_teacher:
        np.testing.assert_array_equal(gradient, 0)


def test_images_do_not_touch_one_another():
    student, teacher = levels(24, 5), levels(26, 3)
    expected, _ = run(student, PARAMS, teacher)
    student[1][0, 0, 0] = np.nan
    found, (gradient, *_) = run(student, PARAMS, teacher)
    assert np.isnan(found).tolist() == [True, False]
    np.testing.assert_array_equal(found[1], expected[1])
    assert np.isfinite(gradient[1][1]).all()


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_levels_outputs_and_distances_that_do_not_fit():
    student, teacher = ([jnp.asarray(one) for one in maps] for maps in (levels(28, 5), levels(30, 3)))
    with pytest.raises(ValueError, match=r"one array for each level and at least one, got 2 and 1\. Both run over"):
        reuse(student, PARAMS, teacher[:1])
    with pytest.raises(ValueError, match=r"one array for each level and at least one, got 0 and 0"):
        reuse([], PARAMS, [])
    message = r"shape of teacher_outputs at level 1, got \(2, 2, 3, 3\) and \(2, 2, 3, 2\)\. Student and teacher need"
    with pytest.raises(ValueError, match=message):
        reuse(student, PARAMS, [teacher[0], teacher[1][..., :2]])
    total = functools.partial(reuse, distance=lambda student, teacher: jnp.mean(student - teacher))
    with pytest.raises(
        ValueError, match=r"values of each of the 2 images at level 0, got an array of shape \(\)\. The mean"
    ):
        total(student, PARAMS, teacher)
