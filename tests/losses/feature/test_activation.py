"""Attention transfer: hand value, what it ignores, mask, zeros, errors."""

import math

import numpy as np
import pytest

from jaxkd.losses import masked_mean
from jaxkd.losses.feature import attention_transfer
from tests.losses.compiled import compiled
from tests.losses.feature.oracles import features

IMAGES = (2, 3, 2, 4)


def value(student, teacher, **options):
    return compiled(attention_transfer, **options)(student, teacher)[0]


def test_hand_values():
    student = np.float32([[[[3], [4]]], [[[2], [2]]]])  # two images of 1 x 2 positions and a channel
    teacher = np.float32([[[[1, 1], [1, -1]]], [[[0, 0], [1, 5]]]])
    root = 0.5**0.5
    first = (0.6 - root) ** 2 + (0.8 - root) ** 2
    second = root**2 + (1 - root) ** 2
    np.testing.assert_allclose(value(student, teacher, exponent=1.0), [first, second], rtol=1e-6)
    first = (9 / math.hypot(9, 16) - root) ** 2 + (16 / math.hypot(9, 16) - root) ** 2
    np.testing.assert_allclose(value(student, teacher), [first, second], rtol=1e-6)


def test_order_sign_and_number_of_channels_do_not_count():
    student, teacher = features(0, IMAGES), features(1, IMAGES)
    changed = np.concatenate([-student, student[..., ::-1]], axis=-1)
    np.testing.assert_allclose(value(changed, teacher), value(student, teacher), rtol=1e-5)
    np.testing.assert_allclose(value(changed, student), 0, atol=1e-6)


def test_position_counts():
    maps = features(2, IMAGES)
    assert (value(maps, maps[:, ::-1]) > 0.01).all()


def test_masked_images_are_as_if_cut_off():
    student, teacher = features(3, (3, *IMAGES[1:])), features(4, (3, *IMAGES[1:]))

    def mean(student, teacher, *, mask):
        return masked_mean(attention_transfer(student, teacher), mask)

    found, (gradient, _) = compiled(mean)(student, teacher, mask=np.array([True, True, False]))
    np.testing.assert_allclose(found, value(student[:2], teacher[:2]).mean(), rtol=1e-6)
    np.testing.assert_array_equal(gradient[2], 0)
    found, (gradient, _) = compiled(mean)(student, teacher, mask=np.zeros(3, bool))
    assert found == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_a_map_of_zeros_costs_one_and_has_no_gradient(exponent):
    found, (gradient, _) = compiled(attention_transfer, exponent=exponent)(
        np.zeros(IMAGES, np.float32), features(5, IMAGES)
    )
    np.testing.assert_allclose(found, 1, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_resolutions_and_small_exponents():
    student = features(0, (2, 4, 4, 3))
    with pytest.raises(
        ValueError,
        match=r"images and the resolution of student, \(2, 4, 4\), got \(2, 2, 2\). Only the channels may differ",
    ):
        value(student, features(1, (2, 2, 2, 3)))
    for exponent in (0.5, math.nan):
        with pytest.raises(ValueError, match=rf"exponent must be 1 or more, got {exponent}"):
            value(student, student, exponent=exponent)
