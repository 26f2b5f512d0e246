"""The page on hands: its blocks of Python run, in order, on files and arrays that the test makes."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry.cameras import Pinhole
from jaxkd.records.hands import ASSEMBLY_HANDS
from tests.data.images.hands.hand_files import assembly_pose, rotation
from tests.docs.pages import python_blocks
from tests.tiny_hands import hands

FRAMES = 16


@pytest.fixture(scope="module")
def blocks():
    """Submission, arrays, metrics, cameras, views, teacher, scene and scenes before a headset."""
    submission, arrays, metrics, cameras, views, teacher, scene, headset = python_blocks("docs/hands.md")
    return {
        "submission": submission,
        "arrays": arrays,
        "metrics": metrics,
        "cameras": cameras,
        "views": views,
        "teacher": teacher,
        "scene": scene,
        "headset": headset,
    }


def poses():
    """[frames, 42, 3] in millimetres: the truth, and a prediction whose fingers are off by 6 mm along one axis."""
    truth = np.stack([assembly_pose(frame) for frame in range(3)])
    predicted = truth + np.array([0.0, 0.0, 6.0]) * (np.arange(42) % 21 != ASSEMBLY_HANDS.wrist)[:, None]
    return predicted, truth


def test_a_submission_file_has_a_score(blocks, tmp_path, monkeypatch, capsys):
    for name, joints in zip(("predicted", "truth"), poses(), strict=True):
        frames = {f"{frame:06d}": {"world_coord": one.tolist()} for frame, one in enumerate(joints)}
        (tmp_path / f"{name}.json").write_text(json.dumps({"annotations": {"kitchen": frames}}))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks["submission"], names)
    assert names["scores"].total.mpjpe_mm == pytest.approx(6 * 20 / 21, rel=1e-4)
    assert "kitchen" in capsys.readouterr().out
    # The same hands as arrays have the same score.
    predicted, truth = poses()
    arrays = {"predicted_mm": predicted, "true_mm": truth}
    exec(blocks["arrays"], arrays)
    assert arrays["scores"].total == names["scores"].total


def test_vertices_have_contacts(blocks, capsys):
    rng = np.random.default_rng(0)
    surface = np.tile(rng.uniform(0, 0.1, (1, 30, 3)), (FRAMES, 1, 1)).astype(np.float32)
    hand = np.concatenate([surface[:, :4], surface[:, :4] + 1], axis=1)
    truth = {"true_hand": jnp.asarray(hand), "true_object": jnp.asarray(surface)}
    exec(
        blocks["metrics"],
        truth | {"hand": truth["true_hand"] + jnp.array([[[0, 0, 0.01]]]), "object_": truth["true_object"]},
    )
    assert capsys.readouterr().out == "CDev 10.0 mm, MDev 0.0 mm a frame\n"


def test_a_wrist_is_in_the_centre_of_its_crop(blocks):
    names = {"photograph": jnp.full((480, 636, 1), 7.0)}
    exec(blocks["cameras"], names)
    np.testing.assert_allclose(names["seen"], [112, 112], atol=1e-3)
    np.testing.assert_allclose(names["back"], names["wrist"], atol=1e-6)
    np.testing.assert_allclose(names["ray"] * np.linalg.norm(names["wrist"]), names["wrist"], atol=1e-5)
    assert names["image"].shape == (224, 224, 1)
    assert names["inside"][112, 112]
    assert names["image"][112, 112] == pytest.approx(7)


def test_views_of_one_hand_are_fused_to_it(blocks):
    (world,) = hands(0, 1, order=ASSEMBLY_HANDS, place=(0, 0, 0))
    rotations = jnp.asarray(np.stack([rotation(seed) for seed in range(4)]), jnp.float32)
    # Each camera is half a metre behind the hand, along its own axis.
    translations = jnp.asarray(world.mean(0) - 0.5 * np.asarray(rotations)[:, :, 2], jnp.float32)
    joints = jnp.einsum("vji,vnj->vni", rotations, jnp.asarray(world, jnp.float32)[None] - translations[:, None])
    cameras = [Pinhole(focal=jnp.full(2, 300.0), centre=jnp.full(2, 100.0))] * 4
    pixels = jnp.stack([camera.project(one) for camera, one in zip(cameras, joints, strict=True)])
    names = {"joints": joints, "rotations": rotations, "translations": translations, "cameras": cameras}
    names |= {"pixels": pixels}
    exec(blocks["views"], names)
    for rule in ("mean", "weighted", "agreed", "met"):
        np.testing.assert_allclose(names[rule], world, atol=1e-5)
    np.testing.assert_allclose(names["labels"], joints, atol=1e-5)


@pytest.mark.slow
def test_a_pose_has_vertices_and_joints(blocks, hand_files):
    names = {}
    exec(blocks["scene"], names)
    assert names["vertices"].shape == (1360, 3)
    assert names["joints"].shape == (21, 3)


@pytest.mark.slow
def test_the_teacher_reads_crops(blocks):
    names = {"crops": jnp.zeros((1, 224, 224, 3))}
    try:
        exec(blocks["teacher"], names)
    except ConnectionError as error:
        pytest.skip(str(error))
    assert names["found"].image.shape == (1, 21, 2)
    assert names["found"].world.shape == (1, 21, 3)


@pytest.mark.slow
def test_a_hand_before_a_headset_has_labels(blocks, hand_files, fingerspelling_wheel, packaged_images):
    names = {}
    exec(blocks["headset"], names)
    target = names["example"].target
    assert names["example"].image.shape == (96, 96, 3)
    assert target.points.shape == (21, 3)
    assert names["scenes"].examples("train")[0].target.known == np.False_
