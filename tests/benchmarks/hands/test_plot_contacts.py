"""Curves and drawing of contacts over time."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.hands import contacts, plot_contacts
from jaxkd.data.images.hand_scenes.box_opening import draw_opening
from jaxkd.data.images.hand_scenes.hinged_box import HingedBox, box_mesh
from tests.data.images.hand_scenes.tiny_hand import tiny_hand

BOX = HingedBox(base_spacing=0.05, lid_spacing=0.005)


@pytest.fixture(scope="module")
def opening():
    return draw_opening(np.random.default_rng(0), tiny_hand(), BOX)


def test_the_truth_touches_as_it_was_drawn(opening):
    mesh = box_mesh(BOX)
    truth = contacts.posed(tiny_hand(), mesh, opening)
    found = plot_contacts.curves({"truth": truth}, truth, mesh)["truth"]
    assert (found.touching[opening.contact] == len(opening.hand_vertices)).all()
    assert found.touching[0] == found.touching[-1] == 0
    np.testing.assert_allclose(found.deviation_mm[opening.contact], 1000 * opening.distances.mean(), atol=1e-3)
    assert np.isnan(found.deviation_mm[[0, -1]]).all()


def test_a_camera_stands_upright_and_looks_at_its_target():
    eye, target = np.array([0.4, 0.3, 0.5]), np.array([0.0, 0.1, 0.2])
    turn = plot_contacts._looking(eye, target)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn @ (target - eye), [0, 0, np.linalg.norm(target - eye)], atol=1e-12)
    up = turn @ np.array([0, 1.0, 0])
    assert up[0] == pytest.approx(0)
    assert up[1] < 0
    assert np.linalg.det(turn) == pytest.approx(1)


def test_images_stand_over_the_curves(opening, tmp_path):
    frames = len(opening.hinge)
    shown = {name: [np.full((30, 40, 3), 90, np.uint8)] * len(plot_contacts.MOMENTS) for name in plot_contacts.IMAGES}
    curve = plot_contacts.Curves(touching=np.arange(frames), deviation_mm=np.full(frames, 2.0))
    plot_contacts.draw(shown, dict.fromkeys(plot_contacts.PREDICTIONS, curve), opening, tmp_path / "drawn.png")
    pixels = np.asarray(Image.open(tmp_path / "drawn.png"))
    assert pixels.shape[2] == 3
    grey = (pixels == 90).all(axis=2)
    assert grey[: len(pixels) // 2].mean() > 0.3  # the images, above
    assert grey[len(pixels) // 2 :].mean() < 0.01
