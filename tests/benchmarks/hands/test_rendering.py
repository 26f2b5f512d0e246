"""Views whose time is measured: each shows a whole hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.hands import rendering, rendering_worker
from jaxkd.data.images.hand_scenes.mesh import load_hand
from jaxkd.data.images.hand_scenes.skinning import pose_joints


@pytest.mark.slow
def test_every_view_shows_the_joints_of_a_hand(hand_files):
    hand = jax.tree.map(jnp.asarray, load_hand("right"))
    rotations, places = rendering_worker.views(hand)
    assert len(places) == rendering.VIEWS
    _, joints = pose_joints(hand, jnp.asarray(rotations), jnp.asarray(places))
    pixels = np.stack([rendering_worker._project(one) for one in joints])
    assert pixels.min() >= 0
    assert pixels.max() <= rendering_worker.SIDE - 1
    # The wrist is below the middle finger's knuckle: fingers point upwards.
    assert (pixels[:, 0, 1] > pixels[:, 11, 1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["view", "motion", "grey"])
def test_a_case_covers_a_part_of_the_image(hand_files, case):
    answer = rendering_worker.answer({"case": case, "repeats": 3})
    assert len(answer["processor"]) == len(answer["wall"]) == 3
    assert all(0.1 < covered < 0.5 for covered in answer["covered"])
