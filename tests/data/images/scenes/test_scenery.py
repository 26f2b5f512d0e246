import itertools
from typing import get_args

import numpy as np
from PIL import Image

from jaxkd.data.images.scenes import scenery
from jaxkd.data.images.scenes.scenery import Backdrop, Backdrops, backdrops, draw_scenery
from jaxkd.typing import Split


def drawn(seed, split: Split = "train", lowest_horizon=96.0):
    rng = np.random.default_rng(seed)
    return draw_scenery(rng, split, 96, 128, lowest_horizon=lowest_horizon, margin=16)


def test_no_photograph_is_in_two_splits(packaged_images):
    found = backdrops()
    names = [{one.name for one in (*each.walls, *each.grounds)} for each in found.values()]
    assert [len(each) for each in names] == [5, 2, 4]
    assert not any(left & right for left, right in itertools.combinations(names, 2))
    # Where the cameraman stands is cut off.
    assert {one.name: one.image.size for one in found["test"].walls}["camera"] == (196, 400)
    assert all(one.image.mode == "RGB" for each in found.values() for one in (*each.walls, *each.grounds))


def test_the_ground_is_below_the_horizon(monkeypatch):
    rng = np.random.default_rng(0)
    walls, grounds = ([Backdrop(name=name, image=noise(rng))] for name in ("wall", "ground"))
    chosen = Backdrops(walls=tuple(walls), grounds=tuple(grounds))
    monkeypatch.setattr(scenery, "backdrops", lambda: {"train": chosen})
    one = drawn(3)
    assert one.name == "wall-ground"
    wall, ground = (crop.albedo(96, 128, (0, 0)) for crop in (one.wall, one.ground))
    whole, row = one.albedo(96, 128), int(one.horizon)
    np.testing.assert_array_equal(whole[:row], wall[:row])
    np.testing.assert_allclose(whole[row + 1 :], ground[row + 1 :], rtol=1e-6)
    share = row + 1 - one.horizon
    np.testing.assert_allclose(whole[row], (1 - share) * wall[row] + share * ground[row], atol=1e-5)
    assert 0.01 < whole.min() < whole.max() < 1
    assert max(drawn(seed).horizon for seed in range(20)) > 50
    assert max(drawn(seed, lowest_horizon=30.0).horizon for seed in range(20)) == 30


def noise(rng):
    small = rng.integers(0, 255, size=(20, 30, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((300, 200), Image.Resampling.BICUBIC)


def test_a_shift_moves_everything(packaged_images):
    for seed in range(6):
        one = drawn(seed, split="test")
        whole = one.albedo(96, 128)
        for right, down in ((16, 0), (-5, 3), (0, -16)):
            moved = one.albedo(96, 128, (right, down))
            inside = np.s_[max(0, down) : 96 + min(0, down), max(0, right) : 128 + min(0, right)]
            before = np.s_[max(0, -down) : 96 + min(0, -down), max(0, -right) : 128 + min(0, -right)]
            # Pillow rounds to grey levels, whose contrast is stretched at most 1.5 times.
            assert abs(moved[inside] - whole[before]).max() < 2 * 1.5 / 255
        half = one.albedo(96, 128, (0.5, 0))
        assert abs(half - whole).max() > 2 * 1.5 / 255


def test_brightness_and_contrast_are_alike_in_all_splits(packaged_images):
    means = {}
    for split in get_args(Split):
        brightness = [drawn(seed, split=split).albedo(96, 128).mean(-1) for seed in range(30)]
        means[split] = np.mean(brightness), np.mean([each.std() for each in brightness])
    for mean, deviation in means.values():
        assert 0.33 < mean < 0.47
        assert 0.07 < deviation < 0.16
