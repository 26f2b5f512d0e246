"""Hands before headsets: what is drawn is what is labelled, and what the splits share."""

import dataclasses
import unittest.mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes import placement, source
from jaxkd.data.images.hand_scenes.articulation import angle_limits
from jaxkd.data.images.hand_scenes.headset import VIEWS, draw_headset
from jaxkd.data.images.hand_scenes.placement import draw_placement
from jaxkd.data.images.hand_scenes.recordings import poses
from jaxkd.data.images.hand_scenes.recordings.motion import HandMotion
from jaxkd.data.images.hand_scenes.recordings.poses import UPRIGHT, HandPoses, draw_pose
from jaxkd.data.images.hand_scenes.source import HandScenes
from jaxkd.data.images.source import require_disjoint_groups
from jaxkd.geometry.rotations import check_rotation
from jaxkd.rendering import Light
from tests.data.images.hand_scenes.tiny_hand import tiny_hand

SMALL = HandScenes(side=64, train=2, validation=1, test=1)


def motion(split):
    """Two recordings of right hands, of three and two frames in a row."""
    rng = np.random.default_rng(len(split))
    lowest, highest = angle_limits()
    return HandMotion(
        angles=(0.25 * rng.uniform(lowest, highest, size=(5, len(lowest)))).astype(np.float32),
        wrist=np.tile(UPRIGHT, (5, 1, 1)),
        residual=np.zeros(5),
        recording=np.array([0, 0, 0, 1, 1]),
        frame=np.array([0, 1, 2, 0, 3]),
        names=(f"{split}/one", f"{split}/other"),
        sides=("right", "right"),
        rates=(25.0, 30.0),
        left_out=0,
    )


@pytest.fixture(autouse=True, scope="module")
def tiny_hands():
    """Meshes of few faces, in place of those that must be downloaded."""
    found = {split: HandPoses(motion=motion(split), recorded=()) for split in ("train", "validation", "test")}
    with (
        unittest.mock.patch.object(source, "load_hand", tiny_hand),
        unittest.mock.patch.object(source, "hand_poses", found.__getitem__),
    ):
        yield
    source._examples.cache_clear()
    source._frame.cache_clear()


def examples(scenes, split="train"):
    return list(scenes.examples(split))


def drawn(scenes, split="train"):
    return [(one.key, one.image.tobytes(), one.target.points.tobytes()) for one in examples(scenes, split)]


def test_an_example_is_a_function_of_seed_split_and_index(packaged_images):
    whole = drawn(SMALL)
    assert drawn(dataclasses.replace(SMALL, train=1, test=0)) == whole[:4]
    assert drawn(dataclasses.replace(SMALL, train=1, seed=1)) != whole[:4]
    assert [key for key, _, _ in whole[:5]] == [
        *(f"train-00000-{view.replace(' ', '-')}" for view in VIEWS),
        "train-00001-upper-left",
    ]
    assert [one.stratum for one in examples(SMALL)] == [*VIEWS, *VIEWS]
    require_disjoint_groups(SMALL)
    assert SMALL.groups("train") == [(one.key, one.group) for one in examples(SMALL)]
    assert len(examples(HandScenes(train=0))) == 0


def test_the_views_of_a_frame_show_one_hand(packaged_images):
    for start in (0, 4):
        targets = [one.target for one in examples(SMALL)[start : start + 4]]
        world = []
        for target in targets:
            check_rotation(jnp.asarray(target.rotation))
            # The ray of a pixel and the depth of the wrist give the wrist, and the points the rest.
            ray = np.append((target.pixels[0] - target.centre) / target.focal, 1)
            inside = target.root_depth * ray + target.points
            world.append(inside @ target.rotation.T + target.translation)
            seen = inside[:, :2] / inside[:, 2:] * target.focal + target.centre
            np.testing.assert_allclose(seen, target.pixels, atol=0.01)
            assert (target.pixels > -10).all()
            assert (target.pixels < SMALL.side + 10).all()
        for other in world[1:]:
            np.testing.assert_allclose(other, world[0], atol=1e-4)


def test_the_hand_is_where_its_joints_are(packaged_images):
    everywhere = Light(
        direction=np.array([0, 0, -1], np.float32),
        colour=np.zeros(3, np.float32),
        ambient=np.full(3, 2, np.float32),
        specular=np.float32(0),
        shininess=np.float32(10),
    )
    with (
        unittest.mock.patch.object(source, "draw_backdrop", lambda rng, split: np.zeros((288, 288, 3), np.float32)),
        unittest.mock.patch.object(source, "draw_light", lambda rng: everywhere),
    ):
        found = [source._draw(SMALL, "train", 0, view) for view in range(4)]
    for one in found:
        bright = one.image.max(axis=-1) > 40
        rows, columns = np.clip(np.rint(one.target.pixels[:, ::-1]), 0, SMALL.side - 1).astype(int).T
        assert all(
            bright[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].any() for r, c in zip(rows, columns, strict=True)
        )
        places = np.argwhere(bright)[:, None] - one.target.pixels[None, :, ::-1]
        distances = np.linalg.norm(places, axis=-1).min(axis=1)
        # Of the 25 small tetrahedra of the mesh, 21 are around these joints, and four at the bases of the fingers'
        # metacarpal bones, each less than 50 mm from the wrist; a vertex is 7 mm from its joint.
        assert np.mean(distances < 3) > 0.5
        nearest = float(one.target.root_depth + one.target.points[:, 2].min())
        assert distances.max() < 0.057 * float(one.target.focal.max()) / nearest


def test_frames_are_described_whatever_the_size_and_the_labels():
    assert SMALL.frames("test") == "HandScenes 1: 1 of test, perspective crops, seed 0"
    assert SMALL.frames("test") == dataclasses.replace(SMALL, side=128, labelled=0).frames("test")
    for changes in ({"crop": "plain"}, {"seed": 1}, {"test": 2}):
        assert SMALL.frames("test") != dataclasses.replace(SMALL, **changes).frames("test")


def test_only_the_first_training_frames_are_labelled(packaged_images):
    found = examples(dataclasses.replace(SMALL, labelled=1))
    assert [bool(one.target.known) for one in found] == [True] * 4 + [False] * 4
    assert all(one.image is drawn.image for one, drawn in zip(found, examples(SMALL), strict=True))  # once for both
    assert all(one.target.known for one in examples(dataclasses.replace(SMALL, labelled=0), "test"))


def test_a_place_has_all_joints_in_all_images():
    rng, hand = np.random.default_rng(0), tiny_hand()
    headset = draw_headset(rng)
    found = draw_placement(rng, hand, headset, angles=motion("train").angles[0], wrist=UPRIGHT)
    for camera, rotation, translation in zip(headset.cameras, headset.rotations, headset.translations, strict=True):
        pixels = np.asarray(camera.project(jnp.asarray((found.joints - translation) @ rotation)))
        assert (pixels > 7).all()
        assert (pixels < np.array([628, 472])).all()
    assert 0.25 <= np.linalg.norm(found.translation) <= 0.55
    turned = np.einsum("nij->nji", headset.rotations) * np.array([[[1]], [[-1]], [[1]], [[-1]]], np.float32)
    back = dataclasses.replace(headset, rotations=turned)
    with (
        unittest.mock.patch.object(placement, "_ATTEMPTS", 3),
        pytest.raises(ValueError, match=r"headset must have cameras that can see one hand at a time, got none in 3 "),
    ):
        draw_placement(rng, hand, back, angles=motion("train").angles[0], wrist=UPRIGHT)


def test_poses_go_on_to_the_next_frame_of_their_recording():
    found = HandPoses(motion=motion("train"), recorded=())
    rates = {}
    for seed in range(60):
        pose = draw_pose(np.random.default_rng(seed), found)
        place = int(np.flatnonzero((found.motion.angles == pose.angles).all(1))[0])
        rates[place] = pose.rate
    angles = found.motion.angles
    np.testing.assert_allclose(rates[0], 25 * (angles[1] - angles[0]), rtol=1e-5)
    # The last frame of a recording, and one before a gap, do not go on.
    assert not any(rates[place].any() for place in (2, 3, 4))


def test_refusals():
    for changes, message in (
        ({"side": 225}, r"side must be in \[32, 224\] pixels, got 225\."),
        ({"test": -1}, r"test must be at least 0, got -1\."),
        ({"labelled": 4}, r"labelled must be in \[0, 2\], the number of training frames, got 4\."),
        ({"crop": "round"}, r"crop must be one of perspective, plain, got 'round'\."),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(SMALL, **changes)


@pytest.mark.slow
def test_the_real_hands(hand_files, fingerspelling_wheel, packaged_images):
    with (
        unittest.mock.patch.object(source, "load_hand", poses.load_hand),
        unittest.mock.patch.object(source, "hand_poses", poses.hand_poses),
    ):
        source._examples.cache_clear()
        scenes = HandScenes(train=60, validation=4, test=24)
        require_disjoint_groups(scenes)
        assert any(group.startswith("recorded-") for _, group in scenes.groups("train"))
        found = examples(dataclasses.replace(scenes, test=2), "test")
        groups = scenes.groups("test")[:: len(VIEWS)]
        left = next(place for place, (_, group) in enumerate(groups) if group.endswith("left"))
        found += [source._draw(scenes, "test", left, view) for view in range(len(VIEWS))]
        other = dataclasses.replace(scenes, test=1)
        large, plain = (
            examples(dataclasses.replace(other, **one), "test") for one in ({"side": 192}, {"crop": "plain"})
        )
    assert len({one.group for one in found}) == 3
    sizes = [np.linalg.norm(one.target.points[12]) for one in found]
    assert max(sizes) < 0.19
    assert all(one.image.std() > 5 for one in found)
    assert jax.tree.structure(found[0].target) == jax.tree.structure(found[-1].target)
    mirrored = [bool(np.linalg.det(one.target.rotation) < 0) for one in found]
    assert mirrored == [one.group.endswith("left") for one in found]
    assert True in mirrored
    # A larger crop shows the same, and a plain one the same hand from another side.
    for one, other, flat in zip(found, large, plain, strict=False):
        np.testing.assert_allclose(other.target.pixels, (one.target.pixels + 0.5) * 2 - 0.5, atol=1e-3)
        np.testing.assert_array_equal(other.target.points, one.target.points)
        halved = other.image.astype(float).reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - one.image).mean() < 6
        lengths = [np.linalg.norm(target.points, axis=1) for target in (one.target, flat.target)]
        np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-6)
        assert one.target.eccentricity == pytest.approx(float(flat.target.eccentricity), abs=1e-5)
