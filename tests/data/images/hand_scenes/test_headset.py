import jax.numpy as jnp
import numpy as np

from jaxkd.data.images.hand_scenes.headset import IMAGE_SIZE, VIEWS, draw_headset
from jaxkd.geometry.cameras import check_camera
from jaxkd.geometry.rotations import check_rotation

HEADSETS = [draw_headset(np.random.default_rng(seed)) for seed in range(20)]


def test_cameras_see_their_images_and_look_where_their_names_say():
    for headset in HEADSETS:
        for camera in headset.cameras:
            check_camera(camera, size=IMAGE_SIZE)
    looks = np.stack([headset.rotations[:, :, 2] for headset in HEADSETS]).mean(0)
    places = np.stack([headset.translations for headset in HEADSETS]).mean(0)
    for name, look, place in zip(VIEWS, looks, places, strict=True):
        height, side = name.split()
        assert (look[0] > 0) == (place[0] > 0) == (side == "right")
        assert (place[1] > 0) == (height == "lower")
        assert (look[1] > 0.3) == (height == "lower")  # y is down
        assert look[2] > 0.7


def test_no_two_headsets_are_calibrated_alike():
    for headset in HEADSETS:
        check_rotation(jnp.asarray(headset.rotations))
    for values in (
        [headset.cameras[0].focal for headset in HEADSETS],
        [headset.cameras[0].distortion for headset in HEADSETS],
        [headset.translations for headset in HEADSETS],
    ):
        assert len({np.asarray(one).tobytes() for one in values}) == len(HEADSETS)
    degrees = np.degrees(
        [np.arccos((one.rotations[0].T @ two.rotations[0]).trace() / 2 - 0.5) for one in HEADSETS for two in HEADSETS]
    )
    assert 3 < np.median(degrees) < 12
