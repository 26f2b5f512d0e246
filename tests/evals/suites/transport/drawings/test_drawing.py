import io

import numpy as np
import pytest
from matplotlib.image import imread

from jaxkd.evals.suites.transport.drawings.drawing import SIZE_PX, Canvas, arc, mirrored, regular


def pixels(canvas):
    return imread(io.BytesIO(canvas.png()))[..., :3]


def black(canvas):
    return pixels(canvas).mean(axis=-1) < 0.5


def test_a_picture_has_its_size_and_its_background():
    found = pixels(Canvas("#ff0000"))
    assert found.shape == (SIZE_PX, SIZE_PX, 3)
    assert (found == np.array([1.0, 0.0, 0.0])).all()


def test_a_rectangle_covers_its_pixels():
    canvas = Canvas("#ffffff")
    canvas.rectangle(0.0, 0.0, 1.25, 0.625, "#000000")
    found = black(canvas)
    assert found[64:128, 128:].all() and found.sum() == 64 * 128  # the first row is the top


def test_a_circle_and_a_stroke_have_their_areas():
    canvas = Canvas("#ffffff", scale=0.5)
    canvas.circle((0.0, 0.0), 1.0, "#000000")
    assert black(canvas).mean() == pytest.approx(np.pi * 0.25 / 6.25, rel=0.01)
    canvas = Canvas("#ffffff")
    canvas.stroke([(-1.0, 0.0), (1.0, 0.0)], 0.25, "#000000")
    assert black(canvas).mean() == pytest.approx(0.5 / 6.25, rel=0.02)


def test_turning_a_picture_is_counterclockwise():
    canvas = Canvas("#ffffff", turn_deg=90.0)
    canvas.rectangle(0.5, -0.1, 1.0, 0.1, "#000000")
    rows, columns = np.nonzero(black(canvas))
    assert rows.mean() < SIZE_PX / 4 and abs(columns.mean() - SIZE_PX / 2) < 1


def test_the_head_of_an_arrow_ends_at_its_tip():
    canvas = Canvas("#ffffff")
    canvas.arrow([(-1.0, 0.0), (1.0, 0.0)], 0.2, "#000000")
    columns = black(canvas).sum(axis=0)
    tip = round((1.0 + 1.25) / 2.5 * SIZE_PX)
    assert columns[tip + 1 :].sum() == 0
    # The head is widest at its neck, 2.6 widths of the line.
    assert columns.max() == pytest.approx(2.6 * 0.2 / 2.5 * SIZE_PX, abs=2)


def test_mirrored_letters_are_the_mirror_image():
    pictures = []
    for backwards in (False, True):
        canvas = Canvas("#ffffff")
        canvas.letters("P", (0.0, 0.0), 1.0, "#000000", mirrored=backwards)
        pictures.append(black(canvas))
    assert (pictures[0] != pictures[1]).mean() > 0.02
    assert (pictures[0] != pictures[1][:, ::-1]).mean() < 0.005


def test_points():
    assert arc((1.0, 0.0), 1.0, 0.0, 90.0)[-1] == pytest.approx((1.0, 1.0))
    assert regular(4, 1.0, first_deg=90.0)[1] == pytest.approx((-1.0, 0.0))
    assert mirrored([(1.0, 2.0)]) == [(-1.0, 2.0)]
