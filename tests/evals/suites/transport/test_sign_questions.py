import io
import itertools
import random
from collections import Counter

import numpy as np
import pytest
from matplotlib.image import imread

from jaxkd.evals.suites.transport.drawings import signs
from jaxkd.evals.suites.transport.drawings.drawing import Canvas
from jaxkd.evals.suites.transport.drawings.signs import ROAD_SIGNS
from jaxkd.evals.suites.transport.sign_errors import DRAWING_ERRORS
from jaxkd.evals.suites.transport.sign_questions import sign_choices, sign_errors


def pixels(draw):
    canvas = Canvas("#dddddd")
    draw(canvas)
    return imread(io.BytesIO(canvas.png()))[..., :3]


@pytest.fixture(scope="module")
def pictures():
    return {sign.name: pixels(sign.draw) for sign in ROAD_SIGNS}


def difference(one, other):
    """Share of the pixels that differ, of one in four along each side."""
    return (np.abs(one[::4, ::4] - other[::4, ::4]).max(axis=-1) > 0.2).mean()


def test_no_two_signs_look_the_same(pictures):
    names = list(pictures)
    assert len(names) == len(ROAD_SIGNS) == 48
    shares = [difference(pictures[one], pictures[other]) for one, other in itertools.combinations(names, 2)]
    assert min(shares) > 0.005


def test_every_error_is_seen_in_the_picture(pictures):
    for drawn in DRAWING_ERRORS:
        assert difference(pixels(drawn.draw), pictures[drawn.name]) > 0.01, drawn.reference
        assert drawn.name in drawn.reference and drawn.error in drawn.reference and drawn.right in drawn.reference
    assert len({drawn.reference for drawn in DRAWING_ERRORS}) == len(DRAWING_ERRORS) == 20


def test_signs_to_the_left_are_mirror_images_of_those_to_the_right(pictures):
    for left, right in (("向左转弯", "向右转弯"), ("向左急弯路", "向右急弯路")):
        assert difference(pictures[left], pictures[right][:, ::-1]) < 0.01
    clockwise = pixels(lambda canvas: signs.mandatory_roundabout(canvas, clockwise=True))
    assert difference(clockwise, pictures["环岛行驶"][:, ::-1]) < 0.01 < difference(clockwise, pictures["环岛行驶"])


def test_choices_have_a_sign_each_and_options_of_its_kind():
    rows, files = sign_choices(random.Random(0))
    assert Counter(row["options"][row["answer"]] for row in rows) == Counter(sign.name for sign in ROAD_SIGNS)
    assert Counter(row["answer"] for row in rows) == dict.fromkeys(range(4), 12)
    groups = {sign.name: sign.group for sign in ROAD_SIGNS}
    for row in rows:
        gold = row["options"][row["answer"]]
        assert len(set(row["options"])) == 4
        assert "注意危险" not in set(row["options"]) - {gold}
        assert {groups[option] for option in row["options"]} <= {groups[gold], signs.MANDATORY}
    assert {f"images/{file}" for file in files} == {image for row in rows for image in row["images"]}


def test_errors_have_a_picture_each():
    rows, files = sign_errors(random.Random(0))
    assert {row["reference"] for row in rows} == {drawn.reference for drawn in DRAWING_ERRORS}
    assert {f"images/{file}" for file in files} == {image for row in rows for image in row["images"]}
    assert all(picture.startswith(b"\x89PNG") for picture in files.values())


def test_the_seed_decides_the_pictures():
    drawn = [sign_errors(random.Random(seed))[1] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
