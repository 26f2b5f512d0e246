import numpy as np
import pytest

from jaxkd.data.images.lesions.textures import WINDOW, blend, windows_across


def patch_of(colour, noise=0.0, seed=0, shape=(32, 28)):
    values = np.array(colour) + noise * np.random.default_rng(seed).normal(size=(*shape, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def choices(side, value=0):
    return np.full((windows_across(side), windows_across(side)), value)


@pytest.mark.parametrize("side", [40, 48, 53])
def test_a_patch_of_one_colour_stays_so(side):
    colour, detail = blend([patch_of((200, 150, 120))], choices(side), side, np.random.default_rng(0))
    assert colour.shape == detail.shape == (side, side, 3)
    # Weights sum to one, in float32.
    np.testing.assert_allclose(colour, np.broadcast_to((200, 150, 120), colour.shape), rtol=1e-5)
    np.testing.assert_allclose(detail, 0, atol=1e-4)


def test_the_detail_has_the_variance_of_the_patches_everywhere():
    patches = [patch_of((128, 128, 128), noise=12, seed=seed) for seed in range(40)]
    side = 240
    rng = np.random.default_rng(0)
    chosen = rng.integers(40, size=(windows_across(side), windows_across(side)))
    colour, detail = blend(patches, chosen, side, rng)
    assert abs(colour - 128).max() < 2
    # 57,600 pixels of 3 colours; neighbours of one window are independent.
    assert detail.std() == pytest.approx(12, rel=0.02)
    # A plain mean of windows would have its variance rise and fall with the weights.
    by_phase = detail.reshape(-1, WINDOW // 2, side // (WINDOW // 2), WINDOW // 2, 3).std((0, 2, 4))
    assert by_phase.min() > 0.9 * 12
    assert by_phase.max() < 1.1 * 12


def test_windows_have_the_colours_that_are_chosen():
    side = 48
    chosen = choices(side)
    chosen[:, 3:] = 1
    colour, _ = blend([patch_of((0, 0, 0)), patch_of((100, 50, 10))], chosen, side, np.random.default_rng(0))
    # Columns 24 to 36 lie in windows 2 and 3: there one turns into the other.
    assert colour[:, :24].max() == 0
    np.testing.assert_allclose(colour[:, 36:], np.broadcast_to((100, 50, 10), (side, 12, 3)), rtol=1e-5)
    assert (np.diff(colour[:, 24:36], axis=1) > 0).all()


def test_windows_are_cut_turned_and_mirrored_at_random():
    patch = patch_of((128, 128, 128), noise=20)
    _, first = blend([patch], choices(48), 48, np.random.default_rng(0))
    _, again = blend([patch], choices(48), 48, np.random.default_rng(0))
    _, other = blend([patch], choices(48), 48, np.random.default_rng(1))
    assert (first == again).all()
    assert abs(first - other).mean() > 10
