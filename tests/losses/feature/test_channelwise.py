"""Channel-wise distillation: hand value, laws, mask, errors, and torch's divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import forward_kl
from jaxkd.losses.feature import channelwise_kd
from tests.losses.compiled import compiled
from tests.losses.feature.oracles import features

IMAGES = (8, 3, 2, 4)


def value(student, teacher, **options):
    return compiled(channelwise_kd, **options)(student, teacher)[0]


def test_hand_values():
    student = np.zeros((2, 1, 2, 2), np.float32)  # two images of 1 x 2 positions and two channels
    teacher = np.log(np.float32([[[[3, 1], [1, 1]]], [[[1, 1], [1, 1]]]]))  # (3/4, 1/4) in one channel of one image
    first = (0.75 * np.log(1.5) + 0.25 * np.log(0.5)) / 2
    np.testing.assert_allclose(value(student, teacher, temperature=1.0), [first, 0], rtol=1e-6)
    np.testing.assert_allclose(value(student, 4 * teacher), [first, 0], rtol=1e-6)  # temperature 4 by default


def test_is_the_forward_kl_over_the_positions_of_each_channel():
    student, teacher = features(0, IMAGES), features(1, IMAGES)
    rows = [jnp.asarray(one.reshape(8, 6, 4).transpose(0, 2, 1)) for one in (student, teacher)]
    expected = forward_kl(*rows, temperature=4.0).mean(axis=-1)
    np.testing.assert_allclose(value(student, teacher), expected, rtol=1e-5, atol=1e-8)


def test_a_constant_of_a_channel_and_the_order_of_channels_and_positions_do_not_count():
    with jax.enable_x64(True):
        student, teacher = (features(seed, IMAGES).astype(np.float64) for seed in (2, 3))
        found = value(student, teacher)
        assert (found > 0).all()
        np.testing.assert_allclose(value(student + features(4, (8, 1, 1, 4)), teacher), found, rtol=1e-9)
        reordered = [one[:, ::-1, ::-1, ::-1] for one in (student, teacher)]
        np.testing.assert_allclose(value(*reordered), found, rtol=1e-12)
        moved = value(student, teacher[:, ::-1])  # what stands where does count
        assert (np.abs(moved - found) > 1e-3 * found).all()
        np.testing.assert_allclose(value(student, student), 0, atol=1e-15)


def test_temperature_squared_times_it_tends_to_the_halved_squares_of_centred_maps():
    """KL between nearly even distributions over n positions is half the mean of their squared differences."""
    with jax.enable_x64(True):
        student, teacher = (features(seed, IMAGES).astype(np.float64) for seed in (5, 6))
        gaps = student - teacher
        limit = np.square(gaps - gaps.mean(axis=(1, 2), keepdims=True)).mean(axis=(1, 2, 3)) / 2
        errors = [
            np.abs(temperature**2 * value(student, teacher, temperature=temperature) / limit - 1).max()
            for temperature in (1e2, 1e3)
        ]
    assert errors[0] < 0.1
    assert errors[1] < errors[0] / 5  # it falls as 1 / temperature


@pytest.mark.parametrize("junk", [1e4, np.nan])
def test_masked_positions_are_as_if_cut_off(junk):
    student, teacher = features(7, IMAGES), features(8, IMAGES)
    mask = np.zeros(IMAGES[:-1], bool)
    mask[:, 1:, :1] = True
    cut = channelwise_kd(*(jnp.asarray(one[:, 1:, :1]) for one in (student, teacher)))
    student[~mask], teacher[~mask] = junk, junk
    found, (gradient, to_teacher) = compiled(channelwise_kd)(student, teacher, mask=mask)
    np.testing.assert_allclose(found, cut, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert (gradient[mask] != 0).all()
    assert not to_teacher.any()


def test_an_image_without_positions_costs_nothing():
    student, teacher = features(9, IMAGES), features(10, IMAGES)
    mask = np.ones(IMAGES[:-1], bool)
    mask[2] = False
    student[2] = np.nan
    found, (gradient, _) = compiled(channelwise_kd)(student, teacher, mask=mask)
    assert found[2] == 0
    np.testing.assert_array_equal(gradient[2], 0)
    np.testing.assert_allclose(np.delete(found, 2), np.delete(value(features(9, IMAGES), teacher), 2), rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_masks_and_temperatures():
    student = jnp.asarray(features(11, IMAGES))
    message = (
        r"height, width, channels\] of one shape, got \(8, 3, 2, 4\) and \(8, 3, 2, 3\)\. Map the student's channels"
    )
    with pytest.raises(ValueError, match=message):
        channelwise_kd(student, student[..., :3])
    with pytest.raises(ValueError, match=r"height, width, channels\] of one shape, got \(2, 4\) and \(2, 4\)"):
        channelwise_kd(student[0, 0], student[0, 0])
    with pytest.raises(
        ValueError,
        match=r"mask must have an entry for each position, shape \(8, 3, 2\), got \(8, 3, 2, 4\).*all channels",
    ):
        channelwise_kd(student, student, mask=jnp.ones(IMAGES, bool))
    with pytest.raises(ValueError, match=r"temperature must be > 0, got 0\.0"):
        channelwise_kd(student, student, temperature=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_that_of_torch_over_the_squared_temperature(temperature):
    """The published loss: the sum over all images, over images and channels, times the squared temperature."""
    torch = pytest.importorskip("torch")
    student, teacher = features(12, IMAGES), features(13, IMAGES)
    s, t = (torch.tensor(one, dtype=torch.float64).permute(0, 3, 1, 2).flatten(2) for one in (student, teacher))
    s = s.requires_grad_()
    log_q, p = torch.log_softmax(s / temperature, dim=-1), torch.softmax(t / temperature, dim=-1)
    published = torch.nn.functional.kl_div(log_q, p, reduction="sum") * temperature**2 / (8 * 4)
    published.backward()
    found, (gradient, _) = compiled(channelwise_kd, temperature=temperature)(student, teacher)
    np.testing.assert_allclose(temperature**2 * found.mean(), published.item(), rtol=1e-5)
    expected = s.grad.unflatten(2, (3, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(temperature**2 * gradient / 8, expected, rtol=1e-4, atol=1e-7)
