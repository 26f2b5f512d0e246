import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.layers import resize
from jaxkd.vision.segmentation.ege_unet import EGEUNet
from tests.vision.segmentation.modules import drawn_params
from tests.vision.segmentation.structure import multiply_adds, parameters_without_effect

TINY = EGEUNet(classes=2, widths=(8, 8, 8, 8, 8, 8), positions=2)
SIZE = (64, 96)


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def params():
    return drawn_params(TINY)


def test_parameters_are_as_many_as_the_released_ones():
    params, state = EGEUNet().abstract()
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 53_374
    assert state == {}


def test_multiply_adds_are_those_of_the_released_code(monkeypatch):
    """The released code's, with a hook on each of its layers: 72,096,256, published as 0.072 G."""
    assert multiply_adds(EGEUNet(), 256, monkeypatch) == 72_096_256


def test_every_parameter_leads_to_the_logits():
    assert parameters_without_effect(EGEUNet(), 256) == []


def test_outputs_have_the_size_of_the_images(params, images):
    """Corners of the logits are those of the last map's, since corners stay in place."""
    maps, _ = jax.jit(TINY.apply)(params, {}, images)
    assert [one.shape for one in (maps.logits, *maps.auxiliary)] == [(1, *SIZE, 2)] * 6
    scales = [2, 4, 8, 16, 32, 32, 32, 16, 8, 4, 2]
    assert [one.shape for one in maps.features] == [(1, SIZE[0] // scale, SIZE[1] // scale, 8) for scale in scales]
    head = params["head"]
    logits = maps.features[-1] @ head["kernel"] + head["bias"][None, None, None]
    np.testing.assert_allclose(maps.logits, resize(logits, SIZE, align_corners=True), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(maps.logits[:, -1, -1], logits[:, -1, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(48, 64), (64, 33), (0, 64)])
def test_a_size_that_cannot_be_halved_five_times_is_refused(size):
    with pytest.raises(
        ValueError, match=r"height and width must be positive multiples of 32, since the size is halved 5 times"
    ):
        TINY.require_size(*size)


@pytest.mark.parametrize("widths", [(8, 16, 24, 32, 48), (8, 16, 24, 32, 48, 66), (0, 16, 24, 32, 48, 64)])
def test_widths_that_do_not_fall_into_groups_are_refused(widths):
    with pytest.raises(ValueError, match=r"widths must be 6 positive multiples of 4, since channels fall into"):
        EGEUNet(widths=widths)


def test_no_class_is_refused():
    with pytest.raises(ValueError, match=r"classes must be 1 or more, got 0\."):
        EGEUNet(classes=0)


def test_a_single_position_is_refused():
    with pytest.raises(ValueError, match=r"positions must be at least 2, one for each end of an axis, got 1\."):
        EGEUNet(positions=1)
